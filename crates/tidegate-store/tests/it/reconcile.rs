//! A provider's bill against the books, and what a new budget finds spent.

use std::collections::BTreeMap;

use tidegate_store::intake::ingest;
use tidegate_store::reconcile::{Bill, Covered, reconcile};
use tidegate_store::{budgets, ledger};
use tidegate_types::resource::{Budget, Scope};
use tidegate_types::usage::{BillingEvent, EventKind, MeterMethod, Outcome};
use tidegate_types::{CallId, NanoUsd};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples::{BUDGET, billed, budget, event, node, shipped};

fn bill(lines: &[(CallId, i64)], complete: bool) -> Bill {
    let lines: BTreeMap<CallId, NanoUsd> =
        lines.iter().map(|(call, nano)| (*call, NanoUsd::new(*nano))).collect();
    let covered = Covered { from: NOW.plus_millis(-1000), to: NOW.plus_millis(1000) };
    Bill { lines, covered: complete.then_some(covered) }
}

async fn spend(f: &Fixture) -> (i64, i64) {
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    ledger::check(&mut tx).await.unwrap();
    let spends = budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap();
    spends.first().map_or((0, 0), |spend| (spend.spent.get(), spend.unresolved.get()))
}

#[tokio::test]
async fn a_bill_resolves_what_nobody_knew_and_changes_no_charge_that_the_provider_reported() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let [reported, estimated, charged, free, silent]: [CallId; 5] = std::array::from_fn(|_| new_id());
    let ended = |call, outcome, cost| event(&f.acme, call, EventKind::Final, outcome, cost);
    let estimate =
        BillingEvent { method: MeterMethod::Counted, ..ended(estimated, Outcome::Interrupted, 90) };
    let events = [
        ended(reported, Outcome::Completed, 100),
        estimate,
        ended(charged, Outcome::Unresolved, 0),
        ended(free, Outcome::Unresolved, 0),
        ended(silent, Outcome::Unresolved, 0),
    ];
    let provider = events[0].provider_id;
    ingest(&f.store, node, &shipped(node, 1, events.map(billed)), NOW).await.unwrap();
    assert_eq!(spend(&f).await, (190, 3000));

    let lines = [(reported, 101), (estimated, 70), (charged, 321), (free, 0), (new_id(), 5)];
    let dry = reconcile(&f.store, provider, &bill(&lines, true), true, NOW).await.unwrap();
    assert_eq!((dry.charged, dry.voided), (2, 2));
    assert_eq!(spend(&f).await, (190, 3000), "a dry run changes nothing");

    let done = reconcile(&f.store, provider, &bill(&lines, false), false, NOW).await.unwrap();
    assert_eq!((done.charged, done.voided, done.agreeing), (2, 1, 1));
    let mut told: Vec<_> =
        done.differences.iter().map(|d| (d.ours.get(), d.theirs.get(), d.settled)).collect();
    told.sort_unstable();
    assert_eq!(told, [(0, 5, false), (0, 321, true), (90, 70, true), (100, 101, false)]);
    assert_eq!(spend(&f).await, (100 + 70 + 321, 1000), "what is on no line stays unresolved");

    let rest = reconcile(&f.store, provider, &bill(&lines, true), false, NOW).await.unwrap();
    assert_eq!((rest.charged, rest.voided), (0, 1));
    assert_eq!(spend(&f).await, (491, 0));
    let other = [(charged, 999), (estimated, 1)];
    let again = reconcile(&f.store, provider, &bill(&other, true), false, NOW).await.unwrap();
    assert_eq!((again.charged, again.voided), (0, 0), "an attempt is corrected once");
    assert_eq!(spend(&f).await, (491, 0));
}

#[tokio::test]
async fn a_final_that_comes_after_the_bill_changes_nothing() {
    let f = Fixture::new().await;
    let (node, call) = (node(&f.store).await, new_id());
    let late = event(&f.acme, call, EventKind::Final, Outcome::Completed, 700);
    let lost = event(&f.acme, call, EventKind::Intent, Outcome::Open, 0);
    let provider = lost.provider_id;
    ingest(&f.store, node, &shipped(node, 1, [billed(lost)]), NOW).await.unwrap();
    let running = reconcile(&f.store, provider, &bill(&[(call, 650)], true), false, NOW).await.unwrap();
    assert_eq!((running.charged, running.running), (0, 1), "a running attempt is left alone");
    ingest(&f.store, node, &shipped(node, 2, [billed(late)]), NOW).await.unwrap();
    let told = reconcile(&f.store, provider, &bill(&[(call, 650)], true), false, NOW).await.unwrap();
    assert_eq!((told.charged, told.differences.len()), (0, 1));
    assert_eq!(spend(&f).await, (700, 0));
}

#[tokio::test]
async fn a_new_budget_counts_what_did_not_know_it_once_and_in_its_window_only() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let ended = |outcome, cost| event(&f.acme, new_id(), EventKind::Final, outcome, cost);
    let scope = Scope { team: Some(f.acme.team.id), ..Scope::default() };
    let new = Budget { scope, ..budget(f.acme.organization.id, f.acme.team.id) };
    let mut knows = ended(Outcome::Completed, 9);
    knows.holds[0].budget_id = new.id;
    let mut elsewhere = ended(Outcome::Completed, 7_000);
    elsewhere.team_id = new_id();
    let events = [
        ended(Outcome::Completed, 300),
        ended(Outcome::Unresolved, 0),
        ended(Outcome::NotSent, 0),
        knows,
        elsewhere,
    ];
    ingest(&f.store, node, &shipped(node, 1, events.map(billed)), NOW).await.unwrap();

    let mut change = f.store.change(&f.acme.actor, NOW.plus_millis(1)).await.unwrap();
    let past = budgets::count_past(&mut change, &new).await.unwrap();
    // 300 charged and 1000 held for the unresolved one.
    assert_eq!(past.map(|past| past.amount.get()), Some(1300));
    let new = Budget { past, ..new };
    budgets::insert(&mut change, &new).await.unwrap();
    commit(change).await;

    // One that ran when the budget was made ends; it is found by the next count, and only once.
    let late = ended(Outcome::Completed, 11);
    ingest(&f.store, node, &shipped(node, 2, [billed(late)]), NOW).await.unwrap();
    let soon = NOW.plus_millis(10_000);
    assert_eq!(budgets::recount_pasts(&f.store, soon).await.unwrap().done, 1);
    assert_eq!(budgets::recount_pasts(&f.store, soon.plus_millis(1)).await.unwrap().done, 0);
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let stored = budgets::get(&mut tx, new.id).await.unwrap().value;
    assert_eq!(stored.past.map(|past| past.amount.get()), Some(1311));
    let spends = budgets::spend(&mut tx, &[new.id], NOW).await.unwrap();
    assert_eq!(
        spends.iter().map(|spend| spend.spent.get()).sum::<i64>(),
        9,
        "what names it is counted apart"
    );
}
