//! `kill -9` of a node that comes back as another release: what one wrote into its journal, the other ships.
//!
//! `TIDEGATE_OLD=path/to/an/older/tidegate`; there is no such story without one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::{Installation, Shape};

use crate::node_killed::{books, load};
use crate::support::{Ask, OwnBudget, apps, bill_lines, binary, full, seconds, until};

/// Kills the first node while calls are under way and some of its events have not been shipped, and starts it as the
/// other release each time: forth and back.
async fn kills(installation: &mut Installation, older: &Path) {
    for number in 0..if full() { 8 } else { 4 } {
        let before = bill_lines(installation).await.len();
        let busy = || async { bill_lines(installation).await.len() > before + 100 };
        until("the nodes are busy", seconds(60), busy).await;
        installation.change_binary(if number % 2 == 0 { binary() } else { older });
        installation.restart_node(0).await.unwrap_or_else(|error| panic!("{number}: {error:#}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_that_comes_back_as_another_release_loses_and_doubles_no_completed_call() {
    let Some(older) = std::env::var_os("TIDEGATE_OLD").map(PathBuf::from) else {
        println!("no TIDEGATE_OLD: there is no other release to come back as");
        return;
    };
    let shape = Shape {
        nodes: 2,
        drain_lead_seconds: None,
        decision_timeout_ms: None,
        wave_seconds: None,
        ..Shape::default()
    };
    let mut installation =
        Installation::start(&older, shape).await.unwrap_or_else(|error| panic!("{error:#}"));
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let budget = installation.budget("all", "1000", json!({"key": id})).await.unwrap();
    installation.change_binary(binary());
    installation.migrate().unwrap();
    installation.restart_control_plane(0).await.unwrap();
    installation.script(json!([{"then": {"chunk_delay_ms": 2, "latency_ms": 5}}])).await.unwrap();
    let (apps, stop) = (apps(&installation, &key), AtomicBool::new(false));
    for app in &apps {
        app.expect(&Ask::chat("Hello"), 200).await;
    }

    let workers = join_all((0..16).map(|worker| load(&apps, worker * 7, &stop)));
    let fault = async {
        kills(&mut installation, &older).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (completed, ()) = tokio::join!(workers, fault);
    let completed: Vec<String> = completed.into_iter().flatten().collect();
    assert!(completed.len() > 200, "{} calls are no load", completed.len());
    let (spent, unresolved) = books(&installation, &budget, &completed).await;
    println!("{} completed, {spent} spent, {unresolved} unresolved", completed.len());

    // What the newer release had in advance when it was killed comes back at the latest with the counters' next epoch.
    let back = || async {
        let counted = OwnBudget::of(&apps[1]).await;
        counted.is_some_and(|own| (own.spent, own.held, own.unresolved) == (spent, 0, unresolved))
    };
    until("the counters are the books, and nothing is kept for the dead", seconds(180), back).await;
}
