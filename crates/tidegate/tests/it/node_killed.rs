//! `kill -9` of a node under load: the books have every call that a client saw complete, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};

use crate::support::{
    App, Ask, OwnBudget, apps, bill, bill_lines, calls, epoch, full, install, metric, nano, nodes,
    reclaiming, seconds, until,
};

/// Calls until told to stop; ids of the calls that came to their end.
pub(crate) async fn load(apps: &[App], worker: usize, stop: &AtomicBool) -> Vec<String> {
    let mut completed = Vec::new();
    let mut number = worker;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let ask = &Ask::all("Say 20 words")[number % 4];
        // A broken connection is what a killed node leaves; the call may be on the books or not.
        let Ok(reply) = apps[number / 4 % apps.len()].call(ask).await else {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        assert_eq!(reply.status, 200, "{}", reply.text);
        if reply.whole {
            completed.push(reply.id());
        }
    }
    completed
}

async fn kill_and_restart(installation: &mut Installation, times: usize) {
    for _ in 0..times {
        let before = bill_lines(installation).await.len();
        let busy = || async {
            let granted = metric(installation, 0, "tidegate_limiter_passed_total{by=\"grants\"}").await;
            granted > Some(0.0) && bill_lines(installation).await.len() > before + 100
        };
        until("the nodes are busy, and the first one has something in advance", seconds(30), busy).await;
        installation.restart_node(0).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
}

/// Waits until no node has anything left to ship.
async fn shipped(installation: &Installation, completed: usize) {
    let ready = || async {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        let empty = |node: &Value| node["live"] == true && node["journal_pending_records"] == 0;
        fleet["data"].as_array().unwrap().iter().all(empty)
            && calls(&installation.admin).await.len() >= completed
    };
    until("every journal is shipped", seconds(30), ready).await;
}

/// Once everything is shipped: each completed call is on the books, once and for what the provider bills; what of its
/// bill is not charged is unresolved. Answers what the budget says is spent and unresolved, in nano-dollars.
pub(crate) async fn books(installation: &Installation, budget: &str, completed: &[String]) -> (i128, i128) {
    shipped(installation, completed.len()).await;

    let records = calls(&installation.admin).await;
    let mut by_id: BTreeMap<&str, &Value> = BTreeMap::new();
    for record in &records {
        let doubled = by_id.insert(record["id"].as_str().unwrap(), record);
        assert!(doubled.is_none(), "{record} is on the books twice");
    }
    let distinct: BTreeSet<&String> = completed.iter().collect();
    assert_eq!(distinct.len(), completed.len(), "call ids are unique, over restarts too");
    let mut lines: BTreeMap<String, i128> = BTreeMap::new();
    for line in bill_lines(installation).await {
        *lines.entry(line["call_id"].as_str().unwrap().to_owned()).or_default() +=
            i128::from(line["nano_usd"].as_i64().unwrap());
    }
    for id in completed {
        let record =
            by_id.get(id.as_str()).unwrap_or_else(|| panic!("{id} completed and is not on the books"));
        assert_eq!(Some(&nano(&record["cost"])), lines.get(id), "{id}: our charge and the provider's line");
    }

    let spend = &installation.admin.get(&format!("/budgets/{budget}")).await.unwrap()["spend"];
    let (spent, unresolved) = (nano(&spend["spent"]), nano(&spend["unresolved"]));
    let billed = bill(installation).await;
    assert!(spent <= billed, "never charged without evidence: {spent} of {billed}");
    assert!(billed <= spent + unresolved, "bill {billed}, spent {spent}, unresolved {unresolved}");
    (spent, unresolved)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_and_doubles_no_completed_call() {
    // No epoch is ended for what the killed ones had in advance: their successors bring it back.
    let mut installation = install(Shape { reclaim_after_seconds: Some(3_600), ..nodes(2) }).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let budget = installation.budget("all", "1000", json!({"key": id})).await.unwrap();
    installation.script(json!([{"then": {"chunk_delay_ms": 2, "latency_ms": 5}}])).await.unwrap();
    let (apps, stop) = (apps(&installation, &key), AtomicBool::new(false));
    until("counters are open", seconds(30), || async { OwnBudget::of(&apps[1]).await.is_some() }).await;
    let before = epoch(&installation);
    let workers = join_all((0..16).map(|worker| load(&apps, worker * 7, &stop)));
    let fault = async {
        kill_and_restart(&mut installation, if full() { 10 } else { 2 }).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (completed, ()) = tokio::join!(workers, fault);
    let completed: Vec<String> = completed.into_iter().flatten().collect();
    assert!(completed.len() > 200, "{} calls are no load", completed.len());
    let (spent, unresolved) = books(&installation, &budget, &completed).await;

    let back = || async {
        let counted = OwnBudget::of(&apps[1]).await;
        counted.is_some_and(|own| (own.spent, own.held, own.unresolved) == (spent, 0, unresolved))
    };
    until("the counters are the books, and nothing is kept for the dead", seconds(60), back).await;
    assert_eq!(epoch(&installation), before, "and they are the same counters as ever");
    let reclaimed = metric(&installation, 0, "tidegate_grants_reclaimed_total").await;
    assert!(
        reclaimed > Some(0.0),
        "positive control: something was in advance, and came back: {reclaimed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_twice_before_the_counters_hear_of_its_calls_leaves_nothing_held() {
    let mut installation = install(reclaiming(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("all", "1", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    app.expect(&Ask::chat("Hello"), 200).await;
    installation.script(json!([{"then": {"latency_ms": 60_000}}])).await.unwrap();
    let running: Vec<_> = (0..4)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.call(&Ask::chat("a slow one")).await.is_err() })
        })
        .collect();
    let held = || async { OwnBudget::of(&app).await.is_some_and(|budget| budget.held > 0) };
    until("the calls run", seconds(20), held).await;

    // The first start writes down that nobody knows how they ended, and cannot tell the counters.
    assert!(installation.redis.as_ref().unwrap().freeze());
    installation.restart_node(0).await.unwrap_or_else(|error| panic!("{error:#}"));
    installation.restart_node(0).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(installation.redis.as_ref().unwrap().thaw());
    for call in running {
        assert!(call.await.unwrap(), "the caller saw its connection break");
    }
    let told = || async {
        OwnBudget::of(&app).await.is_some_and(|budget| budget.held == 0 && budget.unresolved > 0)
    };
    until("the counters know that the calls are in doubt", seconds(30), told).await;
}
