//! Postgres is away under load, which goes on: how long the ledger takes to have all of it, once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::Installation;
use tokio::time::{Instant, sleep};

use crate::support::{App, Ask, OwnBudget, apps, bill, charge, client, full, install, nodes, seconds, until};

/// Calls until told to stop; all of them are served.
async fn load(app: App, served: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        app.expect(&Ask::chat("Hello").at_most(50), 200).await;
        served.fetch_add(1, Ordering::Relaxed);
        sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// What waits in all journals at this moment.
async fn pending(installation: &Installation) -> u64 {
    let mut all = 0;
    for node in &installation.nodes {
        let url = format!("{}/metrics", node.url("metrics on ").unwrap());
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("tidegate_journal_pending_records "));
        all += line.unwrap().parse::<u64>().unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_has_every_call_soon_after_postgres_is_back_and_the_load_goes_on_all_the_while() {
    let mut installation = install(nodes(2)).await;
    let (id, key) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("cap", "100", json!({"key": id})).await.unwrap();
    let apps = apps(&installation, &key);
    let (served, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let count = || served.load(Ordering::Relaxed);
    let loads = join_all(apps.iter().chain(&apps).cloned().map(|app| load(app, &served, &stop)));
    let outage = async {
        until("the load runs", seconds(20), || async { count() > 50 }).await;
        installation.postgres.stop();
        let before = count();
        sleep(seconds(if full() { 60 } else { 3 })).await;
        until("calls were served without Postgres", seconds(20), || async { count() > before + 20 }).await;
        assert!(pending(&installation).await > 20, "positive control: nobody takes what is kept");
        let (kept, back) = (count() - before, Instant::now());
        installation.postgres.start_again().unwrap();
        // What comes between two acknowledgements is always there.
        let caught_up = || async { pending(&installation).await < 100 };
        until("what was kept is booked", seconds(if full() { 300 } else { 60 }), caught_up).await;
        let late = back.elapsed();
        let meanwhile = count() - before - kept;
        stop.store(true, Ordering::Relaxed);
        println!(
            "{kept} calls without Postgres, and {meanwhile} after its return, on the books {late:?} after it"
        );
    };
    tokio::join!(loads, outage);
    let billed = bill(&installation).await;
    until("ledger and bill agree", seconds(60), || async { charge(&installation.admin).await == billed })
        .await;
    let own = || async { OwnBudget::of(&apps[0]).await };
    until("and so do the counters", seconds(60), || async {
        own().await.is_some_and(|own| (own.spent, own.held, own.unresolved) == (billed, 0, 0))
    })
    .await;
}
