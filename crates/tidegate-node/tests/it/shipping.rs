//! What the journal holds reaches the control plane once, whatever breaks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_limits::{BudgetHold, Hold, Limiter, Timing};
use tidegate_proto::budget::OpeningBalance;
use tidegate_proto::usage::Outcome;
use tidegate_proto::usage::journal_record::Record;
use tidegate_telemetry::SystemClock;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, Clock, NanoUsd, Timestamp};

use crate::control_plane::FakeControl;
use crate::fleet::{Moved, Tenant, copy_of, end, settings, settings_with_clock, start_ready, until};
use crate::support::{call_of, ended, intent};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_shipped_before_a_node_ends() {
    let control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let node = start_ready(&control, state.path()).await;
    for call in 0..3000 {
        node.journal().append(&ended(call)).unwrap();
    }
    end(node).await;
    let stored = control.shared.stored();
    assert_eq!(stored.len(), 3000);
    let mut calls: Vec<_> = stored.values().map(call_of).collect();
    calls.sort_unstable();
    assert_eq!(calls, (0..3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_acknowledgements_and_restarts_lose_nothing_and_double_nothing() {
    let mut control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    control.shared.lost_acks.store(3, Ordering::SeqCst);
    let node = start_ready(&control, state.path()).await;
    for call in 0..1500 {
        node.journal().append(&ended(call)).unwrap();
    }
    until("some have come", || control.shared.stored().len() > 400).await;
    control.stop().await;
    for call in 1500..2000 {
        node.journal().append(&ended(call)).unwrap();
    }
    // As kill -9 leaves it: a second process goes on from a copy.
    let copy = copy_of(state.path());
    drop(node);
    control.restart().await;
    let again = start_ready(&control, copy.path()).await;
    again.journal().append(&ended(2000)).unwrap();
    until("all is acknowledged", || again.journal().status().pending_records == 0).await;
    let stored = control.shared.stored();
    let mut calls: Vec<_> = stored.values().map(call_of).collect();
    calls.sort_unstable();
    assert_eq!(calls, (0..=2000).collect::<Vec<_>>());
    assert!(control.shared.received.lock().len() >= stored.len());
    end(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_cut_off_by_a_kill_is_reported_as_unresolved() {
    let mut control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let node = start_ready(&control, state.path()).await;
    control.stop().await;
    node.journal().append(&intent(1)).unwrap();
    let copy = copy_of(state.path());
    drop(node);
    control.restart().await;
    let again = start_ready(&control, copy.path()).await;
    until("the end is reported", || {
        control.shared.stored().values().any(|record| {
            matches!(&record.record, Some(Record::Event(event)) if event.outcome() == Outcome::Unresolved)
        })
    })
    .await;
    end(again).await;
}

/// Ships so many records in small segments, and waits until the node has let go of the first ones.
async fn trimmed(control: &FakeControl, state: &TempDir) -> tidegate_node::RunningNode {
    let mut with = settings(control, state.path());
    with.journal_limit_bytes = Some(1 << 20);
    let node = tidegate_node::Node::start(with).await.unwrap();
    let held = || node.journal().oldest_held().unwrap().iter().map(|lane| lane.sequence).min().unwrap();
    let mut call = 0;
    until("every lane has let go of its first segment", || {
        (0..200).for_each(|more| node.journal().append(&ended(call + more)).unwrap());
        call += 200;
        held() > 1
    })
    .await;
    until("all is acknowledged", || node.journal().status().pending_records == 0).await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_gets_again_what_the_node_still_holds_and_the_rest_is_told_as_missing() {
    let mut control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let node = trimmed(&control, &state).await;
    let all = control.shared.stored();
    control.stop().await;
    // A backup of long ago: nothing of what the lanes held is there but their beginning.
    control.shared.restore_to(10);
    control.restart().await;
    node.journal().append(&ended(u128::MAX)).unwrap();
    until("shipping goes on", || control.shared.stored().values().any(|record| call_of(record) == u128::MAX))
        .await;
    until("all is acknowledged", || node.journal().status().pending_records == 0).await;
    let (stored, missing) = (control.shared.stored(), control.shared.missing.load(Ordering::SeqCst));
    assert!(missing > 0);
    assert_eq!(stored.len() as u64 + missing, all.len() as u64 + 1, "nothing is lost that is not told");
    let again = stored.keys().filter(|place| place.2 > 10 && all.contains_key(place)).count();
    assert!(again > 0, "what is still held is shipped again");
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_to_a_moment_ago_loses_nothing() {
    let mut control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let node = start_ready(&control, state.path()).await;
    (0..1000).for_each(|call| node.journal().append(&ended(call)).unwrap());
    until("all is acknowledged", || node.journal().status().pending_records == 0).await;
    control.stop().await;
    control.shared.restore_to(3);
    control.restart().await;
    until("everything is there again", || control.shared.stored().len() == 1000).await;
    until("all is acknowledged", || node.journal().status().pending_records == 0).await;
    assert_eq!(control.shared.missing.load(Ordering::SeqCst), 0);
    end(node).await;
}

fn hold(limiter_epoch: u64) -> Hold {
    let window = Window { start: Timestamp::from_micros(0), end: Timestamp::from_micros(i64::MAX) };
    let part = BudgetHold {
        budget_id: BudgetId::from_u128(5),
        window,
        limit: NanoUsd::new(100),
        limit_revision: 1,
        amount: NanoUsd::new(60),
        hard: true,
    };
    Hold {
        call_id: CallId::from_u128(9),
        attempt: 0,
        step: 0,
        epoch: limiter_epoch,
        deadline: SystemClock.now().plus_millis(60_000),
        budgets: [part].into_iter().collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_open_before_the_first_call_with_the_balances_of_the_ledger() {
    let control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    control.shared.retries.store(2, Ordering::SeqCst);
    control.shared.unconfirmed.store(1, Ordering::SeqCst);
    control.shared.balances.lock().push(OpeningBalance {
        budget_id: BudgetId::from_u128(5).to_string(),
        window_start_micros: 0,
        window_end_micros: i64::MAX,
        spent_nano_usd: 50,
        unresolved_nano_usd: 0,
    });
    tenant.publish(&control);
    control.shared.publish(&tenant.budget());
    let limiter = Limiter::memory("run-1".into(), Arc::new(SystemClock), Timing::default());
    let mut with = settings(&control, state.path());
    with.limiter = limiter.clone();
    let node = tidegate_node::Node::start(with).await.unwrap();
    until("two permits were used", || control.shared.confirmed.lock().len() == 2).await;
    until("the flight has landed", || control.shared.opened.lock().len() >= 4).await;
    let opened = control.shared.opened.lock().clone();
    assert!(opened.iter().all(|one| one.organization_id == tenant.organization.to_string()));
    assert!(opened.iter().all(|one| one.store_run_id == "run-1"));
    let refused = limiter.hold(tenant.organization, &hold(0)).await;
    assert!(
        matches!(refused, Err(tidegate_limits::LimitError::Refused(_))),
        "50 of 100 were spent: {refused:?}"
    );
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_when_a_third_of_its_time_is_over() {
    let control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let clock = Arc::new(Moved::default());
    let node =
        tidegate_node::Node::start(settings_with_clock(&control, state.path(), clock.clone())).await.unwrap();
    let id = node.node_id();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(control.shared.renewals.load(Ordering::SeqCst), 0);
    clock.0.store(56 * 3_600_000 + 60_000, Ordering::SeqCst);
    until("it is renewed", || control.shared.renewals.load(Ordering::SeqCst) == 1).await;
    clock.0.store(0, Ordering::SeqCst);
    node.journal().append(&ended(1)).unwrap();
    until("the new certificate serves", || control.shared.stored().len() == 1).await;
    end(node).await;
    let node = start_ready(&control, state.path()).await;
    assert_eq!(node.node_id(), id);
    end(node).await;
}
