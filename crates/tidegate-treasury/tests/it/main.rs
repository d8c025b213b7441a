//! The background jobs happen, once for all control planes, and survive a database that stops.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_store::testing::TestDatabase;
use tidegate_store::{Store, feed, upkeep};
use tidegate_testkit::postgres::Server;
use tidegate_treasury::{Settings, Treasury};
use tidegate_types::resource::Resource;
use tidegate_types::{Clock, Shard, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A day in the future, so that its partitions are not there yet.
const NOW: Timestamp = Timestamp::from_seconds(1_900_000_000);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "owned by this value")]
    fn start(store: &Store) -> Self {
        let fast = Settings {
            lead_every: Duration::from_millis(50),
            pools_every: Duration::from_millis(50),
            ..Settings::default()
        };
        let stop = CancellationToken::new();
        let treasury = Treasury::new(store.clone(), Arc::new(Fixed)).with(fast);
        Self { task: tokio::spawn(treasury.run(stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_led(store: &Store) -> bool {
    match upkeep::try_lead(store).await {
        Ok(Some(free)) => {
            free.release().await;
            false
        }
        Ok(None) => true,
        Err(_) => false,
    }
}

async fn pool_is_published(store: &Store) -> bool {
    let items = feed::changes_since(store, Shard::SYSTEM, 0, 10).await.unwrap();
    items
        .iter()
        .any(|item| matches!(&item.versioned.resource, Some(Resource::Pool(pool)) if pool.live_nodes == 1))
}

#[tokio::test]
async fn the_jobs_are_done_and_a_second_control_plane_takes_over() {
    let database = TestDatabase::create().await.unwrap();
    let (one, two) = (database.store().await.unwrap(), database.store().await.unwrap());
    let first = Running::start(&one);
    until("the pool is published", async || pool_is_published(&one).await).await;
    let second = Running::start(&two);
    first.stop().await;
    until("the second leads", async || is_led(&one).await).await;
    assert_eq!(upkeep::ensure_partitions(&one, NOW, 9).await.unwrap(), 0, "made ahead by the job");
    second.stop().await;
    until("nobody leads", async || !is_led(&one).await).await;
}

#[tokio::test]
async fn a_database_that_stops_and_returns_is_waited_for() {
    let mut server = Server::start().unwrap();
    let database = TestDatabase::create_in(server.address()).await.unwrap();
    let store = database.store().await.unwrap();
    let running = Running::start(&store);
    until("somebody leads", async || is_led(&store).await).await;
    server.stop();
    assert!(!store.is_alive().await);
    server.start_again().unwrap();
    until("somebody leads again", async || is_led(&store).await).await;
    running.stop().await;
}
