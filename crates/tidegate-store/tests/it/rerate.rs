//! Computing charges again: every line comes back as it was booked, and what is adjusted is adjusted
//! everywhere, beside what it adjusts.

use tidegate_store::intake::ingest;
use tidegate_store::rerate::{self, Adjustment, Line};
use tidegate_store::usage::{Dimension, Interval, Query, report};
use tidegate_store::{budgets, ledger};
use tidegate_types::usage::{CredentialType, EventKind, Outcome};
use tidegate_types::{NanoUsd, Timestamp};

use crate::fixture::{Fixture, NOW, new_id};
use crate::samples::{BUDGET, billed, event, node, shipped};

const SPAN: (Timestamp, Timestamp) = (NOW.plus_millis(-1_000), NOW.plus_millis(1_000));

async fn lines(f: &Fixture) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    loop {
        let after = all.last().map(|line| (line.organization_id, line.call_id, line.attempt));
        let page = rerate::lines(&f.store, None, SPAN, after, 2).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn every_charge_of_a_period_is_read_once_as_it_was_booked() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let last = |kind, outcome, cost| billed(event(&f.acme, new_id(), kind, outcome, cost));
    let mut other = event(&f.umbrella, new_id(), EventKind::Final, Outcome::Interrupted, 40);
    other.credential_type = CredentialType::Byok;
    let corrected = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5);
    let mut correction = corrected.clone();
    (correction.kind, correction.cost) = (EventKind::Correction, NanoUsd::new(6));
    let batch = shipped(
        node,
        1,
        [
            last(EventKind::Final, Outcome::Completed, 10),
            last(EventKind::Final, Outcome::Refused, 0),
            last(EventKind::Intent, Outcome::Open, 0),
            last(EventKind::Final, Outcome::Unresolved, 0),
            billed(corrected),
            billed(correction),
            billed(other),
            last(EventKind::Final, Outcome::Completed, 20),
        ],
    );
    ingest(&f.store, node, &batch, NOW).await.unwrap();
    let mut found: Vec<(i64, bool)> =
        lines(&f).await.iter().map(|line| (line.cost.get(), line.billed)).collect();
    found.sort_unstable();
    assert_eq!(found, [(6, true), (10, false), (20, false), (40, false)]);
    let one = rerate::lines(&f.store, Some(f.umbrella.organization.id), SPAN, None, 9).await.unwrap();
    assert_eq!((one.len(), one[0].usage.input_tokens, one[0].usage.requests), (1, 10, 1));
}

#[tokio::test]
async fn an_adjustment_moves_ledger_budgets_and_reports_and_leaves_the_event() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let batch =
        shipped(node, 1, [billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 100))]);
    ingest(&f.store, node, &batch, NOW).await.unwrap();
    let line = lines(&f).await.remove(0);
    let to = |charge| Adjustment {
        charge: NanoUsd::new(charge),
        price_id: None,
        actor: "test",
        reason: "late price",
    };
    assert!(rerate::adjust(&f.store, &line, &to(130), NOW).await.unwrap());
    assert!(!rerate::adjust(&f.store, &line, &to(130), NOW).await.unwrap(), "once");
    assert!(
        rerate::adjust(&f.store, &line, &to(90), NOW).await.unwrap(),
        "and again when it turns out otherwise"
    );
    let again = lines(&f).await.remove(0);
    assert_eq!((again.cost.get(), again.adjusted.get()), (100, -10));
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    ledger::check(&mut tx).await.unwrap();
    assert_eq!(ledger::charged(&mut tx).await.unwrap().get(), 90);
    assert_eq!(budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap()[0].spent.get(), 90);
    for by in [vec![Dimension::Key], vec![Dimension::CredentialType]] {
        let query = Query { interval: Interval::Total, by, ..Query::last_30_days(NOW) };
        assert_eq!(report(&mut tx, &query, 0, 9).await.unwrap().data[0].total_cost.get(), 90);
    }
}

#[tokio::test]
async fn a_providers_bill_that_comes_later_takes_the_place_of_an_adjustment() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let mut counted = event(&f.acme, new_id(), EventKind::Final, Outcome::Interrupted, 100);
    counted.method = tidegate_types::usage::MeterMethod::Counted;
    let (call, provider) = (counted.call_id, counted.provider_id);
    ingest(&f.store, node, &shipped(node, 1, [billed(counted)]), NOW).await.unwrap();
    let line = lines(&f).await.remove(0);
    let to = Adjustment { charge: NanoUsd::new(130), price_id: None, actor: "test", reason: "r" };
    assert!(rerate::adjust(&f.store, &line, &to, NOW).await.unwrap());
    let bill = tidegate_store::reconcile::Bill { lines: [(call, NanoUsd::new(77))].into(), covered: None };
    tidegate_store::reconcile::reconcile(&f.store, provider, &bill, false, NOW).await.unwrap();
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    ledger::check(&mut tx).await.unwrap();
    assert_eq!(ledger::charged(&mut tx).await.unwrap().get(), 77);
    assert!(!rerate::adjust(&f.store, &line, &to, NOW).await.unwrap(), "the bill decides from now on");
}
