//! Intake: stored once, whatever is repeated, reordered or cut.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::PgPool;
use tidegate_store::intake::{self, LaneMark, Record, ingest};
use tidegate_store::{StoreError, budgets, ledger};
use tidegate_types::usage::{EventKind, Outcome};
use tidegate_types::{CallId, NanoUsd};

use crate::fixture::{Fixture, NOW, Tenant, new_id, tenant};
use crate::samples::{BUDGET, billed, call_record, event, node, shipped};

async fn spend(f: &Fixture, tenant: &Tenant) -> (i64, i64) {
    let mut tx = f.store.begin(&tenant.actor).await.unwrap();
    ledger::check(&mut tx).await.unwrap();
    let spends = budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap();
    spends.first().map_or((0, 0), |spend| (spend.spent.get(), spend.unresolved.get()))
}

#[tokio::test]
async fn a_completed_attempt_is_charged_once_however_often_it_is_shipped() {
    let f = Fixture::new().await;
    let (node, call) = (node(&f.store).await, new_id());
    let batch = shipped(
        node,
        1,
        [
            billed(event(&f.acme, call, EventKind::Intent, Outcome::Open, 0)),
            billed(event(&f.acme, call, EventKind::Final, Outcome::Completed, 700)),
            Record::Call(call_record(&f.acme, call, false)),
        ],
    );
    let first = ingest(&f.store, node, &batch, NOW).await.unwrap();
    assert_eq!((first.inserted, first.refused, first.cost_differences), (3, 0, 0));
    assert_eq!(first.marks, [LaneMark { boot: 1, lane: 0, sequence: 3 }]);
    let again = ingest(&f.store, node, &batch, NOW).await.unwrap();
    assert_eq!((again.inserted, again.marks), (0, first.marks));
    assert_eq!(spend(&f, &f.acme).await, (700, 0));
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(ledger::charged(&mut tx).await.unwrap(), NanoUsd::new(700));
    assert_eq!(
        ledger::totals(&mut tx).await.unwrap().iter().map(|total| total.sum).sum::<NanoUsd>(),
        NanoUsd::ZERO
    );
    assert_eq!(spend(&f, &f.umbrella).await, (0, 0));
}

#[tokio::test]
async fn a_watermark_stops_before_a_gap_and_the_rest_is_no_loss() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let records: Vec<Record> =
        (0..4).map(|_| billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5))).collect();
    let all = shipped(node, 1, records);
    let late = ingest(&f.store, node, &all[2..], NOW).await.unwrap();
    assert_eq!((late.inserted, late.marks[0].sequence), (2, 0));
    let rest = ingest(&f.store, node, &all, NOW).await.unwrap();
    assert_eq!((rest.inserted, rest.marks[0].sequence), (2, 4));
    assert_eq!(intake::marks(&f.store, node).await.unwrap(), rest.marks);
    assert_eq!(spend(&f, &f.acme).await, (20, 0));
}

#[tokio::test]
async fn a_correction_replaces_the_final_before_it() {
    let f = Fixture::new().await;
    let (node, call) = (node(&f.store).await, new_id());
    let unresolved = billed(event(&f.acme, call, EventKind::Final, Outcome::Unresolved, 0));
    ingest(&f.store, node, &shipped(node, 1, [unresolved]), NOW).await.unwrap();
    assert_eq!(spend(&f, &f.acme).await, (0, 1000));
    let evidence = billed(event(&f.acme, call, EventKind::Correction, Outcome::Completed, 321));
    ingest(&f.store, node, &shipped(node, 2, [evidence]), NOW).await.unwrap();
    assert_eq!(spend(&f, &f.acme).await, (321, 0));
}

#[tokio::test]
async fn the_control_planes_cost_counts_and_a_difference_is_told() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let said = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 1);
    let batch = shipped(node, 1, [Record::Event { event: said, cost: NanoUsd::new(900) }]);
    assert_eq!(ingest(&f.store, node, &batch, NOW).await.unwrap().cost_differences, 1);
    assert_eq!(spend(&f, &f.acme).await, (900, 0));
}

#[tokio::test]
async fn absurd_and_foreign_records_never_stop_a_lane() {
    let f = Fixture::new().await;
    let node_id = node(&f.store).await;
    let mut nobody = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5);
    nobody.organization_id = new_id();
    let mut absurd = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, i64::MAX);
    absurd.usage.input_tokens = u64::MAX;
    let timeless = event(&f.acme, CallId::from_u128(1), EventKind::Final, Outcome::Completed, 5);
    let mut backwards = event(&f.acme, new_id(), EventKind::Intent, Outcome::Open, 0);
    backwards.holds[0].window_end = backwards.holds[0].window_start;
    let good = event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5);
    let batch = shipped(node_id, 1, [nobody, absurd, timeless, backwards, good].map(billed));
    let done = ingest(&f.store, node_id, &batch, NOW).await.unwrap();
    assert_eq!((done.inserted, done.refused, done.marks[0].sequence), (1, 4, 5));
    assert_eq!(spend(&f, &f.acme).await, (5, 0));

    let other = node(&f.store).await;
    assert!(matches!(ingest(&f.store, other, &batch, NOW).await, Err(StoreError::NotFound)));
    let unknown = new_id();
    let from_nowhere =
        shipped(unknown, 1, [billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 1))]);
    assert!(matches!(ingest(&f.store, unknown, &from_nowhere, NOW).await, Err(StoreError::Dangling(_))));
}

#[tokio::test]
async fn concurrent_batches_of_many_nodes_add_up() {
    let f = Fixture::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let node = node(&f.store).await;
        let calls: Vec<CallId> = (0..30).map(|_| new_id()).collect();
        let finals =
            calls.iter().map(|call| billed(event(&f.acme, *call, EventKind::Final, Outcome::Completed, 3)));
        let batch = shipped(node, 1, finals);
        let store = f.store.clone();
        tasks.spawn(async move {
            for chunk in batch.chunks(7).chain(batch.chunks(11)) {
                ingest(&store, node, chunk, NOW).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(spend(&f, &f.acme).await, (4 * 30 * 3, 0));
}

/// What may be said of one attempt, and in which order and how often it is shipped.
#[derive(Debug, Clone)]
struct Story {
    events: Vec<(usize, EventKind, Outcome, i64)>,
    orders: [Vec<(usize, bool)>; 2],
}

fn stories() -> impl Strategy<Value = Story> {
    let outcome = prop_oneof![
        Just(Outcome::Completed),
        Just(Outcome::Interrupted),
        Just(Outcome::Refused),
        Just(Outcome::NotSent),
        Just(Outcome::Unresolved)
    ];
    let attempt = (
        any::<bool>(),
        prop::option::of((outcome.clone(), 0i64..5000)),
        prop::option::of((outcome, 0i64..5000)),
    );
    prop::collection::vec(attempt, 1..6).prop_flat_map(|attempts| {
        let mut events = Vec::new();
        for (number, (intent, end, correction)) in attempts.into_iter().enumerate() {
            events.extend(intent.then_some((number, EventKind::Intent, Outcome::Open, 0)));
            events.extend(end.map(|(outcome, cost)| (number, EventKind::Final, outcome, cost)));
            events.extend(correction.map(|(outcome, cost)| (number, EventKind::Correction, outcome, cost)));
        }
        // Each event at least once and some again, in two orders, cut into batches.
        let places: Vec<usize> = (0..events.len()).chain((0..events.len()).step_by(2)).collect();
        let cuts = prop::collection::vec(any::<bool>(), places.len());
        let order = (Just(places).prop_shuffle(), cuts)
            .prop_map(|(places, cuts)| places.into_iter().zip(cuts).collect());
        (Just(events), [order.clone(), order]).prop_map(|(events, orders)| Story { events, orders })
    })
}

async fn tell(f: &Fixture, tenant: &Tenant, story: &Story, order: &[(usize, bool)]) -> (String, (i64, i64)) {
    let node = node(&f.store).await;
    let calls: Vec<CallId> = (0..6).map(|n| CallId::from_parts(NOW.as_millis().unsigned_abs(), n)).collect();
    let mut batch = Vec::new();
    for (place, cut) in order {
        let (number, kind, outcome, cost) = story.events[*place];
        let record = billed(event(tenant, calls[number], kind, outcome, cost));
        batch.extend(shipped(node, *place as u64 + 1, [record]));
        if *cut {
            ingest(&f.store, node, &std::mem::take(&mut batch), NOW).await.unwrap();
        }
    }
    ingest(&f.store, node, &batch, NOW).await.unwrap();
    (books(f, tenant).await, spend(f, tenant).await)
}

/// Everything derived, as text, without ids of the tenant.
async fn books(f: &Fixture, tenant: &Tenant) -> String {
    let pool = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let (text,): (String,) = sqlx::query_as(
        "SELECT concat_ws(' | ',
             (SELECT string_agg(format('%s %s', call_id, attempt), ',' ORDER BY call_id) FROM open_attempts WHERE organization_id = $1),
             (SELECT string_agg(format('%s %s %s', cost, input_tokens, output_tokens), ',' ORDER BY provider_id)
                  FROM usage_hourly WHERE organization_id = $1 AND (cost, input_tokens) <> (0, 0)),
             (SELECT string_agg(format('%s %s', account, sum), ',' ORDER BY account) FROM (
                  SELECT account, sum(nano_usd) FROM ledger_postings WHERE organization_id = $1 GROUP BY account) AS s WHERE sum <> 0))",
    )
    .bind(tenant.organization.id.to_uuid())
    .fetch_one(&pool)
    .await
    .unwrap();
    text
}

fn expected(story: &Story) -> (i64, i64) {
    let (mut spent, mut unresolved) = (0, 0);
    for number in 0..6 {
        let of = |kind| story.events.iter().find(|event| event.0 == number && event.1 == kind);
        match of(EventKind::Correction).or_else(|| of(EventKind::Final)).map(|event| (event.2, event.3)) {
            Some((Outcome::Completed | Outcome::Interrupted, cost)) => spent += cost,
            Some((Outcome::Unresolved, _)) => unresolved += 1000,
            _ => {}
        }
    }
    (spent, unresolved)
}

#[test]
fn any_order_and_repetition_leaves_the_same_books() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let f = runtime.block_on(Fixture::new());
    let config = Config { cases: 40, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let case = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&stories(), |story| {
            runtime.block_on(async {
                let mut told = Vec::new();
                for order in &story.orders {
                    case.set(case.get() + 1);
                    let tenant = tenant(&f.store, &format!("case-{}", case.get())).await;
                    told.push(tell(&f, &tenant, &story, order).await);
                }
                prop_assert_eq!(&told[0], &told[1]);
                prop_assert_eq!(told[0].1, expected(&story));
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn the_ledger_and_the_events_cannot_be_changed_nor_a_batch_left_unbalanced() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let record = billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 5));
    ingest(&f.store, node, &shipped(node, 1, [record]), NOW).await.unwrap();
    let feed = PgPool::connect(&f.database.feed_url).await.unwrap();
    let owner = PgPool::connect(&f.database.owner_url).await.unwrap();
    for (table, column) in [("ledger_postings", "nano_usd"), ("billing_events", "cost"), ("audit", "n")] {
        for statement in [
            format!("UPDATE {table} SET {column} = 0"),
            format!("DELETE FROM {table}"),
            // Without CASCADE what refers to the table refuses, before its own trigger does.
            format!("TRUNCATE {table} CASCADE"),
        ] {
            let by_feed =
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&feed).await.unwrap_err();
            assert!(by_feed.to_string().contains("permission denied"), "{statement}: {by_feed}");
            let by_owner =
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&owner).await.unwrap_err();
            assert!(by_owner.to_string().contains("immutable"), "{statement}: {by_owner}");
        }
    }
    let lopsided = "INSERT INTO ledger_postings SELECT organization_id, batch_id, 'byok', provider_id, 1 FROM ledger_postings LIMIT 1";
    let refused = sqlx::raw_sql(lopsided).execute(&feed).await.unwrap_err();
    assert!(refused.to_string().contains("does not balance"), "{refused}");
}

#[tokio::test]
async fn sums_beyond_what_doubles_hold_are_exact_in_every_book() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    // The largest charge of one attempt, less one: ten of them are more than 2^53.
    let most = 1_000_000_000_000_000 - 1;
    let batch = (0..10).map(|_| billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, most)));
    let odd = billed(event(&f.acme, new_id(), EventKind::Final, Outcome::Completed, 3));
    ingest(&f.store, node, &shipped(node, 1, batch.chain([odd])), NOW).await.unwrap();
    let sum = 10 * most + 3;
    assert!(sum > 1 << 53 && (sum as f64) as i64 != sum, "a double could not hold it");
    assert_eq!(spend(&f, &f.acme).await, (sum, 0));
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(ledger::charged(&mut tx).await.unwrap(), NanoUsd::new(sum));
    for by in [vec![], vec![tidegate_store::usage::Dimension::CredentialType]] {
        let query = tidegate_store::usage::Query {
            interval: tidegate_store::usage::Interval::Total,
            by,
            ..tidegate_store::usage::Query::last_30_days(NOW)
        };
        let rows = tidegate_store::usage::report(&mut tx, &query, 0, 9).await.unwrap().data;
        assert_eq!(rows.iter().map(|row| row.total_cost).sum::<NanoUsd>(), NanoUsd::new(sum));
    }
}
