//! An installation whose counters lie in a Redis Cluster: a primary dies under load, calls under its cap are served
//! again, those of other primaries do not wait, and caps and books hold over it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::cluster::{Cluster, Shape as Nodes};
use tidegate_testkit::installation::Shape;

use crate::sentinel::{LIMIT, cap_holds, find, load, redis_has_counters, serve_more};
use crate::support::{apps, install, reclaiming, seconds, until};

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
    let story = async {
        serve_more(&served, 40).await;
        let hit = cluster
            .primaries
            .iter()
            .position(redis_has_counters)
            .expect("one primary has the organization's counters");
        cluster.primaries[hit].stop();
        let began = Instant::now();
        let replica = &cluster.replicas[hit];
        until("the replica is promoted", seconds(60), async || {
            replica.command(&["INFO", "replication"]).is_ok_and(|told| told.contains("role:master"))
        })
        .await;
        let promoted = began.elapsed();
        serve_more(&served, 40).await;
        println!("promoted after {promoted:?}, 40 more calls served after {:?}", began.elapsed());
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, story);
    cap_holds(&installation, &apps[0]).await;
}
