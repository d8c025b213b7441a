//! Background jobs: partitions, unresolved attempts, pools, clean-up, one at a time.

use sqlx::PgPool;
use tidegate_store::intake::ingest;
use tidegate_store::{Store, budgets, feed, fleet, idempotency, upkeep};
use tidegate_types::resource::Resource;
use tidegate_types::usage::{EventKind, Outcome};
use tidegate_types::{CallId, NodeId, Shard, Timestamp};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples::{BUDGET, billed, event, node, shipped};

#[tokio::test]
async fn partitions_are_made_ahead_and_a_day_without_one_is_no_loss() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let far = Timestamp::from_seconds(NOW.as_seconds() + 100 * 86_400);
    let call = CallId::from_parts(far.as_millis().unsigned_abs(), 1);
    let record = billed(event(&f.acme, call, EventKind::Final, Outcome::Completed, 9));
    assert_eq!(ingest(&f.store, node, &shipped(node, 1, [record]), NOW).await.unwrap().inserted, 1);
    // Three days around it; its own has rows in the default partition of one of the two tables.
    assert_eq!(upkeep::ensure_partitions(&f.store, far, 2).await.unwrap(), 5);
    assert_eq!(upkeep::ensure_partitions(&f.store, far, 2).await.unwrap(), 0);
    let next = CallId::from_parts(far.as_millis().unsigned_abs() + 86_400_000, 1);
    let record = billed(event(&f.acme, next, EventKind::Final, Outcome::Completed, 9));
    assert_eq!(ingest(&f.store, node, &shipped(node, 2, [record]), NOW).await.unwrap().inserted, 1);
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let (waiting,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM billing_events_default").fetch_one(&superuser).await.unwrap();
    assert_eq!(waiting, 1);
    // A new partition is as closed and as immutable as its parent.
    let app = PgPool::connect(&f.database.app_url).await.unwrap();
    let name: (String,) = sqlx::query_as(
        "SELECT max(relname) FROM pg_class WHERE relname LIKE 'billing_events_2%' AND relkind = 'r'",
    )
    .fetch_one(&superuser)
    .await
    .unwrap();
    let peek = sqlx::AssertSqlSafe(format!("SELECT * FROM {}", name.0));
    assert!(sqlx::query(peek).fetch_all(&app).await.unwrap_err().to_string().contains("permission denied"));
}

async fn unresolved(f: &Fixture) -> i64 {
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap().iter().map(|spend| spend.unresolved.get()).sum()
}

async fn beat(store: &Store, node: NodeId, boot: u64, at: Timestamp) {
    fleet::heartbeat(store, node, &fleet::Heartbeat { boot, ..fleet::Heartbeat::default() }, at)
        .await
        .unwrap();
}

#[tokio::test]
async fn attempts_of_absent_nodes_become_unresolved_and_a_late_final_puts_it_right() {
    let f = Fixture::new().await;
    let (node, call) = (node(&f.store).await, new_id());
    beat(&f.store, node, 1, NOW).await;
    let intent = billed(event(&f.acme, call, EventKind::Intent, Outcome::Open, 0));
    ingest(&f.store, node, &shipped(node, 1, [intent]), NOW).await.unwrap();
    let reap = async |at: Timestamp| upkeep::reap(&f.store, at, at.plus_millis(-30_000)).await.unwrap();
    assert_eq!(reap(NOW.plus_millis(59_000)).await, 0, "its deadline has not passed");
    beat(&f.store, node, 1, NOW.plus_millis(60_000)).await;
    assert_eq!(reap(NOW.plus_millis(61_000)).await, 0, "its node is live");
    assert_eq!(reap(NOW.plus_millis(120_000)).await, 1, "its node is away");
    assert_eq!(reap(NOW.plus_millis(120_000)).await, 0, "once");
    assert_eq!(unresolved(&f).await, 1000);
    let end = billed(event(&f.acme, call, EventKind::Final, Outcome::Completed, 250));
    ingest(&f.store, node, &shipped(node, 2, [end]), NOW).await.unwrap();
    assert_eq!(unresolved(&f).await, 0);
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(budgets::spend(&mut tx, &[BUDGET], NOW).await.unwrap()[0].spent.get(), 250);
}

#[tokio::test]
async fn attempts_of_an_earlier_process_of_a_live_node_are_given_up_as_well() {
    let f = Fixture::new().await;
    let node = node(&f.store).await;
    let intent = billed(event(&f.acme, new_id(), EventKind::Intent, Outcome::Open, 0));
    ingest(&f.store, node, &shipped(node, 1, [intent]), NOW).await.unwrap();
    let later = NOW.plus_millis(70_000);
    beat(&f.store, node, 2, later).await;
    assert_eq!(upkeep::reap(&f.store, later, later.plus_millis(-30_000)).await.unwrap(), 1);
    assert_eq!(unresolved(&f).await, 1000);
}

#[tokio::test]
async fn pools_are_published_when_their_live_nodes_change() {
    let f = Fixture::new().await;
    let publish = async |at: Timestamp, may_shrink| {
        upkeep::publish_pools(&f.store, at, at.plus_millis(-5_000), may_shrink).await.unwrap()
    };
    let live = async || {
        let items = feed::changes_since(&f.store, Shard::SYSTEM, 0, 10).await.unwrap();
        match items.last().and_then(|item| item.versioned.resource.clone()) {
            Some(Resource::Pool(pool)) => pool.live_nodes,
            _ => 0,
        }
    };
    assert_eq!((publish(NOW, false).await, live().await), (1, 1));
    assert_eq!(publish(NOW, true).await, 0);
    for _ in 0..3 {
        beat(&f.store, node(&f.store).await, 1, NOW).await;
    }
    assert_eq!((publish(NOW, false).await, live().await), (1, 3));
    let silent = NOW.plus_millis(60_000);
    assert_eq!(
        (publish(silent, false).await, live().await),
        (0, 3),
        "an outage of ours is no absence of theirs"
    );
    assert_eq!((publish(silent, true).await, live().await), (1, 1));
}

#[tokio::test]
async fn one_control_plane_leads_and_another_follows_when_it_ends() {
    let f = Fixture::new().await;
    let other = f.database.store().await.unwrap();
    let mut lead = upkeep::try_lead(&f.store).await.unwrap().unwrap();
    assert!(lead.is_held().await);
    assert!(upkeep::try_lead(&other).await.unwrap().is_none());
    lead.release().await;
    let mut next = upkeep::try_lead(&other).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while next.is_none() && std::time::Instant::now() < deadline {
        next = upkeep::try_lead(&other).await.unwrap();
    }
    assert!(next.is_some());
}

#[tokio::test]
async fn expired_idempotency_keys_are_swept() {
    let f = Fixture::new().await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    for (key, ttl) in [("old", 1), ("new", 100_000)] {
        idempotency::claim(&mut change, key, &[1; 32], NOW.plus_millis(ttl)).await.unwrap();
    }
    commit(change).await;
    upkeep::sweep(&f.store, NOW.plus_millis(1_000)).await.unwrap();
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let left: Vec<(String,)> =
        sqlx::query_as("SELECT key FROM idempotency_keys").fetch_all(&superuser).await.unwrap();
    assert_eq!(left, [("new".to_owned(),)]);
}
