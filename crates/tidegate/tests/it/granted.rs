//! What nodes have in advance, in a whole installation: money and rates, while Redis or the control plane is away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::Installation;
use tokio::time::Instant;

use crate::support::{
    App, Ask, OwnBudget, apps, bill, charge, full, install, losing_redis, nodes, seconds, until,
};

/// Calls at every application for a while, several at once, and on until so many are served (a slow machine
/// is given 20 s more); how many were served and how many refused.
async fn call(apps: &[App], least: usize, span: Duration) -> (usize, usize) {
    let (end, [served, refused]) = (Instant::now() + span, [const { AtomicUsize::new(0) }; 2]);
    let last = end + seconds(20);
    let over = || {
        let now = Instant::now();
        now >= last || (now >= end && served.load(Ordering::Relaxed) >= least)
    };
    let (served_here, refused_here, over) = (&served, &refused, &over);
    let caller = |app: App| async move {
        while !over() {
            let count = match app.call(&Ask::chat("Hello").at_most(50)).await.unwrap().status {
                200 => served_here,
                402 | 503 => refused_here,
                other => panic!("status {other}"),
            };
            count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    join_all(apps.iter().chain(apps).cloned().map(caller)).await;
    let counts = [&served, &refused].map(|count| count.load(Ordering::Relaxed));
    assert!(counts[0] >= least, "{} served, {} refused", counts[0], counts[1]);
    (counts[0], counts[1])
}

/// Nothing is held or kept, and every book says what the provider bills.
async fn assert_books_agree(installation: &Installation, app: &App) {
    let agree = || async {
        let billed = bill(installation).await;
        let counted = OwnBudget::of(app).await;
        counted.is_some_and(|budget| budget.held == 0 && budget.spent == billed && budget.unresolved == 0)
            && charge(&installation.admin).await == billed
    };
    until("counters, ledger and bill agree, and nothing is held", seconds(30), agree).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_busy_capped_keys_go_on_with_what_their_nodes_have_in_advance() {
    let installation = install(losing_redis(2)).await;
    let limits = json!({"requests_per_minute": 60_000, "tokens_per_minute": 6_000_000, "concurrency": 500});
    let (id, key) = installation.key("capped", &json!({"limits": limits})).await.unwrap();
    installation.budget("cap", "10", json!({"key": id})).await.unwrap();
    let apps = apps(&installation, &key);
    let (_, refused) = call(&apps, 100, seconds(2)).await;
    assert_eq!(refused, 0);

    assert!(installation.redis.as_ref().unwrap().freeze());
    let (served, refused) = call(&apps, 5, seconds(2)).await;
    println!("without Redis {served} served, {refused} refused");
    assert!(installation.redis.as_ref().unwrap().thaw());
    until("capped calls are served again", seconds(10), || async { apps[0].status().await == 200 }).await;
    assert_books_agree(&installation, &apps[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_control_plane_capped_keys_are_served_in_every_new_window() {
    let mut installation = install(nodes(2)).await;
    let (id, key) = installation.key("capped", &json!({})).await.unwrap();
    let body =
        json!({"name": "a minute's", "limit": "10", "window": {"every": "minute"}, "scope": {"key": id}});
    installation.admin.post("/budgets?wait=fleet", &body).await.unwrap();
    let apps = apps(&installation, &key);
    let (_, refused) = call(&apps, 20, seconds(1)).await;
    assert_eq!(refused, 0);
    // Windows that nobody has written down anywhere begin meanwhile.
    installation.control_planes[0].kill();
    let (served, refused) = call(&apps, 20, seconds(if full() { 150 } else { 3 })).await;
    assert_eq!(refused, 0);
    // Nothing runs any more: read once, because to read a bill of tens of thousands of lines again and again
    // takes more of a small machine than to store the calls.
    let billed = bill(&installation).await;
    installation.restart_control_plane(0).await.unwrap();
    let back = std::time::Instant::now();
    let books = || async { charge(&installation.admin).await == billed };
    until("ledger and bill agree", seconds(if full() { 300 } else { 30 }), books).await;
    assert_eq!(bill(&installation).await, billed);
    println!("{served} calls without the control plane, on the books {:?} after its return", back.elapsed());
}
