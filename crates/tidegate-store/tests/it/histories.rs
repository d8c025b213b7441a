//! Numbers of changes in a database that was restored, or lost its last transactions to a failover.

use sqlx::PgPool;
use tidegate_store::{feed, teams};
use tidegate_types::{Shard, Timestamp};

use crate::fixture::{Fixture, NOW, commit, team};

/// More than are given between two backups.
const LEAP: u64 = 1 << 32;

impl Fixture {
    async fn superuser(&self) -> PgPool {
        PgPool::connect(&self.database.superuser_url).await.unwrap()
    }

    /// As if the database were a dump of another server's.
    async fn is_restored(&self) {
        let moved = "UPDATE feed_head SET history = '1234567890/00000001' WHERE history IS NOT NULL";
        let moved = sqlx::query(moved).execute(&self.superuser().await).await.unwrap();
        assert!(moved.rows_affected() > 0, "the server tells no history of its own");
    }

    async fn add_team(&self, name: &str) -> u64 {
        let mut change = self.store.change(&self.acme.actor, NOW).await.unwrap();
        teams::insert(&mut change, &team(self.acme.organization.id, name)).await.unwrap();
        commit(change).await.revision.unwrap().n
    }

    fn shard(&self) -> Shard {
        Shard::of(self.acme.organization.id)
    }
}

#[tokio::test]
async fn a_restored_database_gives_no_number_that_may_have_been_given() {
    let f = Fixture::new().await;
    let first = f.add_team("one").await;
    assert_eq!(f.add_team("two").await, first + 1, "one history: one after the other");
    f.is_restored().await;
    assert_eq!(f.add_team("three").await, first + 2 + LEAP);
    assert_eq!(f.add_team("four").await, first + 3 + LEAP, "once for each history");
    assert_eq!(feed::heads(&f.store).await.unwrap().get(f.shard()), first + 3 + LEAP);
}

#[tokio::test]
async fn a_shard_that_is_renewed_comes_whole_beyond_everything_that_was_given() {
    let f = Fixture::new().await;
    let head = f.add_team("one").await;
    let others = feed::heads(&f.store).await.unwrap();
    let order = async |after| {
        let items = feed::changes_since(&f.store, f.shard(), after, 100).await.unwrap();
        items.into_iter().map(|item| item.versioned.key).collect::<Vec<_>>()
    };
    let before = order(0).await;
    assert!(feed::renew(&f.store, f.shard(), NOW).await.unwrap());
    assert_eq!(order(head + LEAP).await, before, "all of it, in its order");
    let heads = feed::heads(&f.store).await.unwrap();
    assert_eq!(heads.get(f.shard()), head + LEAP + before.len() as u64);
    for shard in Shard::all().filter(|shard| *shard != f.shard()) {
        assert_eq!(heads.get(shard), others.get(shard), "another shard");
    }
    assert_eq!(f.add_team("two").await, heads.get(f.shard()) + 1);
}

#[tokio::test]
async fn nodes_cannot_have_a_shard_renewed_again_and_again() {
    let f = Fixture::new().await;
    f.add_team("one").await;
    let renewed = async |now: Timestamp| feed::renew(&f.store, f.shard(), now).await.unwrap();
    assert!(renewed(NOW).await);
    let head = feed::heads(&f.store).await.unwrap();
    assert!(!renewed(NOW.plus_millis(3_599_000)).await);
    assert_eq!(feed::heads(&f.store).await.unwrap(), head);
    // What was renewed in another history is not in this one.
    f.is_restored().await;
    assert!(renewed(NOW.plus_millis(3_599_000)).await);
    assert!(renewed(NOW.plus_millis(7_200_000)).await);
}

#[tokio::test]
async fn a_server_that_tells_no_history_goes_on_counting() {
    let f = Fixture::new().await;
    let first = f.add_team("one").await;
    let silent = "CREATE OR REPLACE FUNCTION feed_history() RETURNS text LANGUAGE sql AS 'SELECT NULL'";
    sqlx::query(silent).execute(&f.superuser().await).await.unwrap();
    f.is_restored().await;
    assert_eq!(f.add_team("two").await, first + 1);
}
