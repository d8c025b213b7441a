//! Usage reports.

use tidegate_store::intake::{Record, ingest};
use tidegate_store::usage::{Dimension, Interval, Query, Row, Rows, report};
use tidegate_types::usage::{CredentialType, EventKind, Outcome, Usage};
use tidegate_types::{CallId, LabelHash, NanoUsd, ProviderId, Timestamp};

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

#[tokio::test]
async fn users_tags_credential_types_and_months_come_from_the_events_and_agree_with_the_roll_ups() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let mut tagged = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 100);
    tagged.tags = vec![LabelHash::from_bytes([8; 16]), LabelHash::from_bytes([9; 16])];
    let mut byok = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 30);
    (byok.credential_type, byok.end_user, byok.tags) = (CredentialType::Byok, None, vec![]);
    let mut answered = call_record(&f.acme, tagged.call_id, false);
    answered.end_user = tagged.end_user;
    let records = [billed(tagged), billed(byok), Record::Call(answered)];
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let mut rows = async |query: Query| report(&mut tx, &query, 0, 100).await.unwrap().data;
    let total = |by| Query { interval: Interval::Total, by, ..Query::last_30_days(NOW) };
    let costs = |rows: &[Row]| rows.iter().map(|row| row.total_cost.get()).collect::<Vec<_>>();

    let users = rows(total(vec![Dimension::User])).await;
    assert_eq!((costs(&users), users[0].request_count), (vec![100, 30], 1));
    assert_eq!((users[0].user, users[1].user), (Some(LabelHash::from_bytes([1; 16])), None));
    let tags = rows(total(vec![Dimension::Tag])).await;
    assert_eq!(costs(&tags), [100, 100, 30], "a call with two tags is in both rows");
    let types = rows(total(vec![Dimension::CredentialType])).await;
    let names: Vec<_> = types.iter().filter_map(|row| row.credential_type.as_deref()).collect();
    assert_eq!((names, costs(&types)), (vec!["byok", "system"], vec![30, 100]));
    let one = Query { user: Some(LabelHash::from_bytes([1; 16])), ..total(vec![]) };
    assert_eq!(costs(&rows(one).await), [100]);
    let coarse = rows(total(vec![Dimension::Key])).await;
    let fine = rows(Query { credential_type: Some("system".into()), ..total(vec![Dimension::Key]) }).await;
    assert_eq!((coarse[0].total_cost.get(), fine[0].total_cost.get()), (130, 100));
    assert_eq!(coarse[0].usage.input_tokens, 2 * fine[0].usage.input_tokens);

    // 2026-11-21T10:00Z is the 21st in Kolkata, half past three in the afternoon.
    for (zone, start) in [
        ("UTC", "2026-11-01T00:00:00Z"),
        ("Asia/Kolkata", "2026-10-31T18:30:00Z"),
        ("America/New_York", "2026-11-01T04:00:00Z"),
    ] {
        let months =
            rows(Query { interval: Interval::Month, zone: zone.into(), ..Query::last_30_days(NOW) }).await;
        let used: Vec<_> = months.iter().filter(|row| row.total_cost.get() > 0).collect();
        assert_eq!(
            (used.len(), used[0].start, used[0].total_cost.get()),
            (1, Some(start.parse().unwrap()), 130),
            "{zone}"
        );
        let days = rows(Query { zone: zone.into(), ..Query::last_30_days(NOW) }).await;
        assert!((30..=31).contains(&days.len()), "{zone}: {}", days.len());
        assert_eq!(days.iter().map(|row| row.total_cost.get()).sum::<i64>(), 130);
    }
}

#[tokio::test]
async fn a_long_report_is_read_part_by_part() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let charges: Vec<Record> = (0..25u128)
        .map(|n| {
            let mut charge = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 1);
            charge.provider_id = ProviderId::from_u128(1_000 + n);
            billed(charge)
        })
        .collect();
    ingest(&f.store, node, &shipped(node, 1, charges), NOW).await.unwrap();
    let query =
        Query { interval: Interval::Total, by: vec![Dimension::Provider], ..Query::last_30_days(NOW) };
    let tx = f.store.begin(&f.acme.actor).await.unwrap();
    let mut rows = Rows::open(tx, &query).await.unwrap();
    let mut parts = Vec::new();
    loop {
        let part = rows.next(10).await.unwrap();
        if part.is_empty() {
            break;
        }
        parts.push(part.len());
    }
    assert_eq!(parts, [10, 10, 5]);
}
