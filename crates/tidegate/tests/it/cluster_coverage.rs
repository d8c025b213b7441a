//! A Redis Cluster with `cluster-require-full-coverage yes`, of which some slots are lost: the organization's own primary
//! lives and refuses all the same. That is as when Redis is away, and over by itself when the slots are back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidegate_testkit::cluster::{Cluster, Shape as Nodes};
use tidegate_testkit::installation::{Installation, Shape};
use tidegate_testkit::redis::Server;

use crate::sentinel::{LIMIT, find, load, redis_has_counters, serve_more};
use crate::support::{App, Ask, OwnBudget, apps, bill, install, nano, reclaiming, seconds, until};

/// Waits until a node of the cluster thinks of it like that.
async fn state(node: &Server, wanted: &str) {
    let line = format!("cluster_state:{wanted}");
    until(&line, seconds(60), async || {
        node.command(&["CLUSTER", "INFO"]).is_ok_and(|told| told.contains(&line))
    })
    .await;
}

/// Waits until every node says so of its limiter.
async fn mode(installation: &Installation, wanted: &str) {
    until(wanted, seconds(60), async || {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        fleet["data"].as_array().unwrap().iter().all(|node: &Value| node["limiter_mode"] == wanted)
    })
    .await;
}

/// So many calls, and no more than some: the cap has to last until the slots are back.
async fn serve(apps: &[App], calls: usize) {
    let (served, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let clients = join_all((0..4).map(|client| load(&apps[client % 2], &served, &stop)));
    let enough = async {
        serve_more(&served, calls).await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, enough);
}

/// The capped key is refused at every node until the slots are back, and who has no cap is served; what that cost.
async fn closed(installation: &Installation, capped: &[App], free: &[App]) -> i128 {
    mode(installation, "away").await;
    let ask = Ask::chat("Hello").at_most(20);
    for app in capped {
        until("the cap is closed", seconds(30), async || app.call(&ask).await.unwrap().status == 503).await;
    }
    let before = bill(installation).await;
    for (capped, free) in capped.iter().zip(free) {
        for _ in 0..10 {
            capped.expect(&ask, 503).await;
            free.expect(&ask, 200).await;
        }
    }
    bill(installation).await - before
}

/// What is left is spent to the last call, and what was billed of the capped key stays below its cap.
async fn spent_and_no_more(installation: &Installation, app: &App, others: i128) {
    let refused = async || app.call(&Ask::chat("Hello").at_most(20)).await.unwrap().status == 402;
    until("the budget is used up", seconds(120), refused).await;
    let billed = async || bill(installation).await - others;
    until("every call is in the books", seconds(60), async || {
        let billed = billed().await;
        let own = OwnBudget::of(app).await;
        own.is_some_and(|own| own.held == 0 && own.spent + own.unresolved >= billed)
    })
    .await;
    let (own, billed, limit) = (OwnBudget::of(app).await.unwrap(), billed().await, nano(&json!(LIMIT)));
    println!("bill {billed}, spent {}, unresolved {}, limit {limit}", own.spent, own.unresolved);
    assert!(billed <= limit && own.spent + own.unresolved <= limit, "the cap holds");
    assert!(billed * 10 > limit * 8, "an outage of slots leaves the most of it to spend");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_slots_of_a_cluster_that_wants_all_of_them_are_an_outage_and_no_cap_is_exceeded() {
    // Without grants: every capped call asks Redis.
    let mut installation = install(Shape { grant_percent: Some(0), ..reclaiming(2) }).await;
    let nodes = Nodes { full_coverage: true, node_timeout_ms: 1_000, ..Nodes::default() };
    let mut cluster = Cluster::start(&nodes).unwrap();
    let named = format!("cluster = {{addresses = {:?}}}", cluster.addresses());
    for node in 0..2 {
        find(&mut installation, node, &named).await;
    }
    // The one that was started with the installation counts nothing.
    drop(installation.redis.take());
    let (id, capped) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("cap", LIMIT, json!({"key": id})).await.unwrap();
    let (_, free) = installation.key("free", &json!({})).await.unwrap();
    let (capped, free) = (apps(&installation, &capped), apps(&installation, &free));
    serve(&capped, 40).await;
    let own = cluster.primaries.iter().position(redis_has_counters).expect("one has the counters");
    let other = (own + 1) % 3;
    cluster.primaries[other].stop();
    state(&cluster.primaries[own], "fail").await;
    let others = closed(&installation, &capped, &free).await;
    cluster.primaries[other].start_again().unwrap();
    state(&cluster.primaries[own], "ok").await;
    serve(&capped, 40).await;
    mode(&installation, "healthy").await;
    spent_and_no_more(&installation, &capped[0], others).await;
}
