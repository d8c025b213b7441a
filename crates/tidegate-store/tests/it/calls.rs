//! Lists of calls, page by page.

use tidegate_store::calls::{Filter, list};
use tidegate_store::intake::{Record, ingest};
use tidegate_types::{CallId, Timestamp};

use crate::fixture::{Fixture, NOW};
use crate::samples::{call_record, node, shipped};

const DAY_MS: i64 = 86_400_000;

fn between(from: Timestamp, to: Timestamp) -> Filter {
    Filter { from, to, team: None, key: None, model: None, status: None }
}

#[tokio::test]
async fn pages_follow_one_another_over_days_and_each_call_is_on_one_of_them() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    // Four days of seven calls, shipped in no order; one at the first instant of its day.
    let midnight = NOW.as_millis() / DAY_MS * DAY_MS;
    let started = |number: i64| match number {
        21 => midnight,
        _ => NOW.as_millis() - number / 7 * DAY_MS - number % 7,
    };
    let mut ids: Vec<CallId> = (0..28)
        .map(|number| {
            CallId::from_parts(started(number * 11 % 28).unsigned_abs(), number.unsigned_abs().into())
        })
        .collect();
    let records: Vec<_> = ids.iter().map(|id| Record::Call(call_record(&f.acme, *id, false))).collect();
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();
    ids.sort_unstable_by(|a, b| b.cmp(a));

    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let filter = between(NOW.plus_millis(-5 * DAY_MS), NOW.plus_millis(DAY_MS));
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = list(&mut tx, &filter, before, 5).await.unwrap();
        seen.extend(page.data.iter().map(|record| record.call_id));
        before = seen.last().copied();
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, ids);

    // Whoever reads as another tenant sees none of them, at whichever call the page begins.
    let mut other = f.store.begin(&f.umbrella.actor).await.unwrap();
    for before in [None, Some(ids[3])] {
        assert!(list(&mut other, &filter, before, 5).await.unwrap().data.is_empty());
    }
}
