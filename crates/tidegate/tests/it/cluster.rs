//! An installation whose counters lie in a Redis Cluster: a primary dies under load, calls under its cap are served
//! again, those of other primaries do not wait, and caps and books hold over it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::cluster::{Cluster, Shape as Nodes};
use tidegate_testkit::installation::Shape;

use crate::sentinel::{find, load};
use crate::support::{Ask, OwnBudget, apps, bill, install, nano, reclaiming, seconds, until};

const LIMIT: &str = "0.01";

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_dies_under_load_and_no_cap_is_exceeded() {
    // Without grants: every capped call asks Redis.
    let mut installation = install(Shape { grant_percent: Some(0), ..reclaiming(2) }).await;
    let nodes = Nodes { replicated: true, node_timeout_ms: 1_000, ..Nodes::default() };
    let mut cluster = Cluster::start(&nodes).unwrap();
    for node in 0..2 {
        // One of the nodes that each is told of is enough.
        let named =
            format!("cluster = {{addresses = [\"127.0.0.1:1\", {:?}]}}", cluster.addresses()[node + 1]);
        find(&mut installation, node, &named).await;
    }
    // The one that was started with the installation counts nothing.
    drop(installation.redis.take());
    let (_, key) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("cap", LIMIT, json!({"team": installation.team})).await.unwrap();
    let apps = apps(&installation, &key);
    let (served, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let clients = join_all((0..8).map(|client| load(&apps[client % 2], &served, &stop)));
    let counted = |cluster: &Cluster| {
        let has = |at: &tidegate_testkit::redis::Server| {
            at.command(&["KEYS", "tg:*:b:*"]).is_ok_and(|keys| !keys.is_empty())
        };
        cluster.primaries.iter().position(has)
    };
    let story = async {
        let after = async |more: usize| {
            let before = served.load(Ordering::Relaxed);
            until("calls under the cap are served", seconds(60), async || {
                served.load(Ordering::Relaxed) >= before + more
            })
            .await;
        };
        after(40).await;
        let hit = counted(&cluster).expect("one primary has the organization's counters");
        cluster.primaries[hit].stop();
        let began = Instant::now();
        let replica = &cluster.replicas[hit];
        until("the replica is promoted", seconds(60), async || {
            replica.command(&["INFO", "replication"]).is_ok_and(|told| told.contains("role:master"))
        })
        .await;
        let promoted = began.elapsed();
        after(40).await;
        println!("promoted after {promoted:?}, 40 more calls served after {:?}", began.elapsed());
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, story);
    // The cap: what is left is spent to the last call, and the simulator's bill stays below it.
    let app = &apps[0];
    let refused = async || app.call(&Ask::chat("Hello").at_most(20)).await.unwrap().status == 402;
    until("the budget is used up", seconds(120), refused).await;
    let limit = nano(&json!(LIMIT));
    until("every call is in the books", seconds(60), async || {
        let billed = bill(&installation).await;
        OwnBudget::of(app).await.is_some_and(|own| own.held == 0 && own.spent + own.unresolved >= billed)
    })
    .await;
    let (own, billed) = (OwnBudget::of(app).await.unwrap(), bill(&installation).await);
    println!("bill {billed}, spent {}, unresolved {}, limit {limit}", own.spent, own.unresolved);
    assert!(billed <= limit && own.spent + own.unresolved <= limit, "the cap holds");
}
