//! An installation whose nodes find Redis by Sentinels: the primary dies under load, calls under a cap are served
//! again, and the cap and the books hold over it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::{Installation, Shape};
use tidegate_testkit::redis::{Sentinels, Server};

use crate::support::{App, Ask, OwnBudget, apps, bill, install, nano, reclaiming, seconds, until};

pub(crate) const LIMIT: &str = "0.01";

/// From now on a node finds Redis by these Sentinels.
async fn find_by(installation: &mut Installation, node: usize, sentinels: &Sentinels) {
    let named = format!("sentinel = {{addresses = {:?}, group = \"tidegate\"}}", sentinels.addresses());
    find(installation, node, &named).await;
}

/// From now on a node finds Redis by what this line names.
pub(crate) async fn find(installation: &mut Installation, node: usize, named: &str) {
    let file = installation.folder().join(format!("node-{node}.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let url = text.lines().find(|line| line.starts_with("url = ")).unwrap();
    // Nobody listens there: others say where.
    let by_name = format!("url = \"redis://127.0.0.1:1\"\n{named}");
    std::fs::write(&file, text.replace(url, &by_name)).unwrap();
    installation.nodes[node].signal("TERM");
    installation.nodes[node].wait(seconds(30)).await.unwrap();
    installation.restart_node(node).await.unwrap();
}

/// Calls until `stop`; counts those that were served.
pub(crate) async fn load(app: &App, served: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match app.call(&Ask::chat("Hello").at_most(20)).await {
            Ok(reply) if reply.status == 200 => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(reply) => {
                assert!([402, 503].contains(&reply.status), "{}", reply.text);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Waits until so many more calls were served.
pub(crate) async fn serve_more(served: &AtomicUsize, more: usize) {
    let before = served.load(Ordering::Relaxed);
    until("calls under the cap are served", seconds(60), async || {
        served.load(Ordering::Relaxed) >= before + more
    })
    .await;
}

/// The cap of [`LIMIT`]: what is left is spent to the last call, and the simulator's bill stays below it.
pub(crate) async fn cap_holds(installation: &Installation, app: &App) {
    let refused = async || app.call(&Ask::chat("Hello").at_most(20)).await.unwrap().status == 402;
    until("the budget is used up", seconds(120), refused).await;
    let limit = nano(&json!(LIMIT));
    until("every call is in the books", seconds(60), async || {
        let billed = bill(installation).await;
        OwnBudget::of(app).await.is_some_and(|own| own.held == 0 && own.spent + own.unresolved >= billed)
    })
    .await;
    let (own, billed) = (OwnBudget::of(app).await.unwrap(), bill(installation).await);
    println!("bill {billed}, spent {}, unresolved {}, limit {limit}", own.spent, own.unresolved);
    assert!(billed <= limit && own.spent + own.unresolved <= limit, "the cap holds");
}

/// Whether budgets are counted there.
pub(crate) fn redis_has_counters(server: &Server) -> bool {
    server.command(&["KEYS", "tg:*:b:*"]).is_ok_and(|keys| !keys.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_of_redis_under_load_costs_seconds_and_no_cap() {
    // Without grants: every capped call asks Redis.
    let mut installation = install(Shape { grant_percent: Some(0), ..reclaiming(2) }).await;
    let replica = installation.redis.as_ref().unwrap().replica().unwrap();
    let sentinels = Sentinels::around(installation.redis.as_ref().unwrap(), 3, 1, 1_000, "").unwrap();
    for node in 0..2 {
        find_by(&mut installation, node, &sentinels).await;
    }
    let (_, key) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("cap", LIMIT, json!({"team": installation.team})).await.unwrap();
    let apps = apps(&installation, &key);
    let (served, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let clients = join_all((0..8).map(|client| load(&apps[client % 2], &served, &stop)));
    let mut redis = installation.redis.take().unwrap();
    let story = async {
        serve_more(&served, 40).await;
        redis.stop();
        let began = Instant::now();
        until("the replica is promoted", seconds(60), async || sentinels.primary() == Some(replica.port()))
            .await;
        let promoted = began.elapsed();
        serve_more(&served, 40).await;
        println!("promoted after {promoted:?}, 40 more calls served after {:?}", began.elapsed());
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, story);
    assert!(redis_has_counters(&replica), "the promoted server decides");
    cap_holds(&installation, &apps[0]).await;
}
