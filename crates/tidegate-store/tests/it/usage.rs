//! Usage reports.

use tidegate_store::intake::{Record, ingest};
use tidegate_store::usage::{Dimension, Interval, Query, report};
use tidegate_types::usage::{CredentialType, EventKind, Outcome, Usage};
use tidegate_types::{CallId, NanoUsd, ProviderId, Timestamp};

use crate::fixture::{Fixture, NOW, new_id};
use crate::samples::{billed, call_record, event, node, shipped};

#[tokio::test]
async fn calls_tokens_and_costs_are_reported_by_day_and_by_every_dimension() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let yesterday = NOW.as_millis().unsigned_abs() - 86_400_000;
    let (today, before) = (new_id(), CallId::from_parts(yesterday, 1));
    let mut byok = event(&f.acme, before, EventKind::Final, Outcome::Interrupted, 30);
    (byok.credential_type, byok.provider_id) = (CredentialType::Byok, ProviderId::from_u128(99));
    let records = [
        billed(event(&f.acme, today, EventKind::Final, Outcome::Completed, 100)),
        Record::Call(call_record(&f.acme, today, false)),
        Record::Call(call_record(&f.acme, new_id(), true)),
        billed(byok),
    ];
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();

    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let days = report(&mut tx, &Query::last_30_days(NOW), 0, 100).await.unwrap();
    assert_eq!((days.data.len(), days.has_more), (30, false));
    let today = &days.data[29];
    assert_eq!((today.request_count, today.refused_count, today.total_cost), (1, 1, NanoUsd::new(100)));
    assert_eq!(
        (today.usage.input_tokens, today.usage.output_tokens, today.byok_cost),
        (10, 5, NanoUsd::ZERO)
    );
    assert_eq!((days.data[28].total_cost, days.data[28].byok_cost), (NanoUsd::new(30), NanoUsd::new(30)));
    assert_eq!(
        days.data[0].start,
        Some(Timestamp::from_seconds(NOW.as_seconds() / 86_400 * 86_400 - 29 * 86_400))
    );
    let page = report(&mut tx, &Query::last_30_days(NOW), 10, 5).await.unwrap();
    assert_eq!((page.data[0].start, page.data.len(), page.has_more), (days.data[10].start, 5, true));

    let by = vec![Dimension::Team, Dimension::Key, Dimension::Model, Dimension::Provider];
    let total = Query { interval: Interval::Total, by, ..Query::last_30_days(NOW) };
    let rows = report(&mut tx, &total, 0, 10).await.unwrap().data;
    assert_eq!(rows.iter().map(|row| row.total_cost).sum::<NanoUsd>(), NanoUsd::new(130));
    assert!(rows.iter().any(|row| row.provider_id.is_none() && row.refused_count == 1));
    assert!(rows.iter().all(|row| row.start.is_none() && row.team_id == Some(f.acme.team.id)));
    let one = Query { provider: Some(ProviderId::from_u128(99)), interval: Interval::Hour, ..total };
    assert_eq!(report(&mut tx, &one, 0, 10).await.unwrap().data.len(), 1);

    let mut other = f.store.begin(&f.umbrella.actor).await.unwrap();
    let none = report(&mut other, &Query::last_30_days(NOW), 0, 100).await.unwrap();
    assert!(none.data.iter().all(|row| row.request_count == 0 && row.total_cost == NanoUsd::ZERO));
}

#[tokio::test]
async fn every_unit_is_kept_summed_and_corrected() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let counts = |times: u64| Usage::from_counts(std::array::from_fn(|place| (place as u64 + 1) * times));
    let with = |kind, outcome, usage, call| {
        let mut event = event(&f.acme, call, kind, outcome, 100);
        event.usage = usage;
        billed(event)
    };
    let (one, other) = (new_id(), new_id());
    let records = [
        with(EventKind::Final, Outcome::Completed, counts(10), one),
        with(EventKind::Final, Outcome::Completed, counts(1), other),
        with(EventKind::Correction, Outcome::Completed, counts(3), one),
    ];
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let total = Query { interval: Interval::Total, ..Query::last_30_days(NOW) };
    let row = report(&mut tx, &total, 0, 10).await.unwrap().data.remove(0);
    // Calls are counted by their records.
    assert_eq!(row.usage, Usage { requests: 0, ..counts(4) });
}
