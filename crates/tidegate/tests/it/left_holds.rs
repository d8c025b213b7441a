//! A node that died between the counters and its journal: what it held is free again within a minute of its
//! return, on the evidence of the books, and without counters that begin anew.

use serde_json::json;
use tidegate_testkit::installation::Installation;

use crate::support::{App, Ask, OwnBudget, apps, epoch, install, nodes, seconds, until};

/// A budget of one dollar, and an application at each of two nodes.
async fn world() -> (Installation, Vec<App>) {
    let installation = install(nodes(2)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("all", "1", json!({"key": id})).await.unwrap();
    let apps = apps(&installation, &key);
    for app in &apps {
        app.expect(&Ask::chat("Hello"), 200).await;
    }
    (installation, apps)
}

fn redis(installation: &Installation, words: &[&str]) -> String {
    installation.redis.as_ref().unwrap().command(words).unwrap()
}

/// The open holds: organization's prefix and members.
fn holds(installation: &Installation) -> (String, Vec<String>) {
    let Some(key) = redis(installation, &["KEYS", "tg:*:d"]).lines().next().map(str::to_owned) else {
        return (String::new(), Vec::new());
    };
    let members = redis(installation, &["ZRANGE", &key, "0", "-1"]).lines().map(str::to_owned).collect();
    (key.trim_end_matches(":d").to_owned(), members)
}

/// Places the same hold as a running attempt has, for a call that no journal knows: just what is there when
/// its process dies right after the counters have granted it.
fn place_as_if_it_died(installation: &Installation, number: usize) -> i128 {
    let (prefix, members) = holds(installation);
    let running = format!("{prefix}:h:{}", members[0]);
    let (call, _) = members[0].split_once(':').unwrap();
    let never_sent = format!("{}{number:04}:0", &call[..22]);
    let deadline = redis(installation, &["ZSCORE", &format!("{prefix}:d"), &members[0]]);
    let mut place = vec!["HSET".to_owned(), format!("{prefix}:h:{never_sent}")];
    place.extend(redis(installation, &["HGETALL", &running]).lines().map(str::to_owned));
    redis(installation, &place.iter().map(String::as_str).collect::<Vec<_>>());
    redis(installation, &["ZADD", &format!("{prefix}:d"), &deadline, &never_sent]);
    let budgets: Vec<_> = place[2..].chunks(2).filter(|two| two[0].contains(':')).collect();
    for two in &budgets {
        redis(installation, &["HINCRBY", &format!("{prefix}:b:{}", two[0]), "h", &two[1]]);
    }
    budgets[0][1].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_node_held_for_calls_that_it_never_sent_is_free_again_when_it_is_back() {
    let (mut installation, apps) = world().await;
    installation.script(json!([{"then": {"latency_ms": 60_000}}])).await.unwrap();
    let app = apps[0].clone();
    let running = tokio::spawn(async move { app.call(&Ask::chat("a slow one")).await.is_err() });
    until("a call runs at the first node", seconds(20), || async { holds(&installation).1.len() == 1 }).await;
    let amount = (1..=3).map(|number| place_as_if_it_died(&installation, number)).sum::<i128>();
    let own = || async { OwnBudget::of(&apps[1]).await };
    let held = own().await.unwrap().held;
    assert!(amount > 0 && held == amount / 3 * 4, "{held} held, {amount} of it for nothing");
    let before = epoch(&installation);

    // Without the books nobody knows what was never sent: it stays, also when the node is back.
    installation.control_planes[0].kill();
    installation.nodes[0].kill();
    assert!(running.await.unwrap(), "the caller saw its connection break");
    installation.start_node(0).unwrap();
    let told =
        || async { own().await.is_some_and(|own| own.held == amount && own.unresolved == held - amount) };
    until("the call that ran is in doubt, the others are held", seconds(30), told).await;
    tokio::time::sleep(seconds(3)).await;
    assert_eq!(own().await.unwrap().held, amount, "nothing is freed without evidence");

    installation.restart_control_plane(0).await.unwrap();
    let free = || async { own().await.is_some_and(|own| own.held == 0) };
    until("nothing is held", seconds(60), free).await;
    let after = own().await.unwrap();
    assert_eq!(after.unresolved, held - amount, "what was sent stays in doubt");
    assert!(!before.is_empty());
    assert_eq!(epoch(&installation), before, "the counters are the same as ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_return_frees_nothing_that_another_node_holds() {
    let (mut installation, apps) = world().await;
    installation.script(json!([{"then": {"latency_ms": 55_000}}])).await.unwrap();
    let app = apps[1].clone();
    let running = tokio::spawn(async move { app.call(&Ask::chat("a slow one")).await.is_ok() });
    until("a call runs at the second node", seconds(20), || async { holds(&installation).1.len() == 1 })
        .await;
    place_as_if_it_died(&installation, 1);
    let held = OwnBudget::of(&apps[1]).await.unwrap().held;
    installation.restart_node(0).await.unwrap_or_else(|error| panic!("{error:#}"));
    until("the first node serves", seconds(30), || async { OwnBudget::of(&apps[0]).await.is_some() }).await;
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(OwnBudget::of(&apps[0]).await.unwrap().held, held);
    assert!(!running.is_finished(), "positive control: the call still runs");
    running.abort();
}
