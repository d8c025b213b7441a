//! Holds that were added to: what is held, and what becomes unresolved, is what the newest step says.

use tidegate_store::epochs::{Asked, Decision, open};
use tidegate_store::intake::ingest;
use tidegate_store::{budgets, fleet, upkeep};
use tidegate_types::usage::{BillingEvent, EventKind, Outcome};
use tidegate_types::{CallId, NodeId};

use crate::fixture::{Fixture, NOW, new_id};
use crate::samples::{BUDGET, billed, event, held, node, shipped};

fn step(f: &Fixture, call: CallId, step: u16, amount: i64) -> BillingEvent {
    let intent = event(&f.acme, call, EventKind::Intent, Outcome::Open, 0);
    BillingEvent { step, holds: vec![held(amount)], ..intent }
}

async fn ship(f: &Fixture, node: NodeId, first: u64, events: Vec<BillingEvent>) -> usize {
    let records: Vec<_> = events.into_iter().map(billed).collect();
    ingest(&f.store, node, &shipped(node, first, records), NOW).await.unwrap().inserted
}

async fn used(f: &Fixture) -> (i64, i64) {
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let spend = budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap();
    spend.iter().fold((0, 0), |sum, one| (sum.0 + one.spent.get(), sum.1 + one.unresolved.get()))
}

async fn opened(f: &Fixture) -> Vec<(u16, i64)> {
    let asked =
        Asked { organization_id: f.acme.organization.id, pool: "default", store_run_id: "r", found_epoch: 0 };
    let Decision::Open(opening) = open(&f.store, &asked, "permit", NOW).await.unwrap() else {
        return Vec::new();
    };
    opening.holds.iter().map(|hold| (hold.attempt, hold.amount.get())).collect()
}

#[tokio::test]
async fn an_epoch_opens_with_what_the_newest_step_holds_in_whatever_order_they_come() {
    let f = Fixture::new().await;
    let (node, call) = (node(&f.store).await, new_id());
    // The first two in one batch, the newest before an older one, and one twice.
    let both = vec![step(&f, call, 0, 1_000), step(&f, call, 1, 1_500)];
    assert_eq!(ship(&f, node, 1, both).await, 1);
    assert_eq!(ship(&f, node, 3, vec![step(&f, call, 4, 4_000)]).await, 0);
    assert_eq!(ship(&f, node, 4, vec![step(&f, call, 3, 3_000), step(&f, call, 4, 4_000)]).await, 0);
    // A step of nobody's attempt is nothing.
    assert_eq!(ship(&f, node, 6, vec![step(&f, new_id(), 1, 9_000)]).await, 0);
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let shown = budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap()[0];
    assert_eq!((shown.held.get(), shown.spent.get(), shown.unresolved.get()), (4_000, 0, 0));
    drop(tx);
    assert_eq!(opened(&f).await, [(0, 4_000)]);
}

#[tokio::test]
async fn an_attempt_whose_node_stays_away_is_unresolved_with_all_of_its_steps_and_charged_once_it_is_known() {
    let f = Fixture::new().await;
    let (node, call) = (node(&f.store).await, new_id());
    ship(&f, node, 1, vec![step(&f, call, 0, 1_000), step(&f, call, 1, 1_500)]).await;
    fleet::heartbeat(&f.store, node, &fleet::Heartbeat { boot: 1, ..fleet::Heartbeat::default() }, NOW)
        .await
        .unwrap();
    let later = NOW.plus_millis(120_000);
    assert_eq!(upkeep::reap(&f.store, later, later.plus_millis(-30_000)).await.unwrap(), 1);
    assert_eq!(used(&f).await, (0, 1_500));
    // A step that had not been shipped comes with the journal.
    ship(&f, node, 3, vec![step(&f, call, 2, 2_500)]).await;
    assert_eq!(used(&f).await, (0, 2_500));
    let end = event(&f.acme, call, EventKind::Final, Outcome::Completed, 250);
    ship(&f, node, 4, vec![end]).await;
    assert_eq!(used(&f).await, (250, 0));
    // Behind the end a step says nothing any more.
    ship(&f, node, 5, vec![step(&f, call, 3, 9_000)]).await;
    assert_eq!(used(&f).await, (250, 0));
}
