//! Every way in which Redis forgets or lies, under load: paused, killed, emptied, restored from an old copy,
//! replaced by a replica that had stopped following. After each the books agree with the bill, and the cap holds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_testkit::installation::Installation;
use tidegate_testkit::redis::Server;

use super::load::Load;
use super::random::{self, Random};
use super::world::World;
use super::{Size, books, judge};
use crate::support::{install, reclaiming, seconds, until};

const SIZE: Size = Size { clients: 16, kills: 0, limit: "0.30" };

/// What becomes of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Paused,
    Killed,
    Emptied,
    OldCopy,
    StaleReplica,
}

const ALL: [Fault; 5] = [Fault::Paused, Fault::Killed, Fault::Emptied, Fault::OldCopy, Fault::StaleReplica];

/// Waits until so many more calls are answered in full: money is decided on again.
async fn calls(load: &Load, more: usize) {
    let before = load.count.load(Ordering::Relaxed);
    let answered = || async { load.count.load(Ordering::Relaxed) >= before + more };
    until("capped calls are answered", seconds(30), answered).await;
}

/// What the counters in a server say was spent.
fn spent(server: &Server) -> i128 {
    let keys = server.command(&["KEYS", "tg:*:b:*"]).unwrap();
    let key = keys.lines().next().expect("the budget has counters").to_owned();
    server.command(&["HGET", &key, "s"]).unwrap().parse().unwrap()
}

impl Fault {
    async fn happen(self, installation: &mut Installation, load: &Load) {
        let redis = installation.redis.as_mut().unwrap();
        match self {
            Self::Paused => {
                assert!(redis.freeze());
                tokio::time::sleep(Duration::from_secs(2)).await;
                assert!(redis.thaw());
            }
            Self::Killed => redis.start_again().unwrap(),
            Self::Emptied => redis.flush().unwrap(),
            Self::OldCopy => {
                let (copy, then) = (redis.copy().unwrap(), spent(redis));
                calls(load, 60).await;
                assert!(spent(redis) > then, "the copy is old: it knows less than was spent");
                redis.start_from(&copy).unwrap();
            }
            Self::StaleReplica => {
                // It stops following, as behind a broken link, and is believed to be up to date.
                let replica = redis.replica().unwrap();
                replica.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
                calls(load, 60).await;
                let now = spent(redis);
                assert!(spent(&replica) < now, "the replica knows less than was spent");
                redis.fail_over_to(replica).unwrap();
            }
        }
    }
}

/// Load before, during and after the fault; ids of the calls whose whole answer came.
async fn under_load(world: &mut World, fault: Fault, seed: u64) -> Vec<String> {
    let load = world.load();
    let row = |client: usize| client as u64 + 1_000 * fault as u64;
    let clients = join_all((1..=SIZE.clients).map(|client| load.client(Random::new(seed, row(client)))));
    let story = async {
        calls(&load, 60).await;
        fault.happen(&mut world.installation, &load).await;
        calls(&load, 60).await;
        load.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, story);
    println!("{fault:?}: {}", load.seen.lock().await);
    std::mem::take(&mut load.seen.lock().await.completed)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_redis_forgets_the_cap_holds_and_what_is_left_can_be_used() {
    let seed = random::seed();
    println!("seed {seed}");
    let mut world = World::prepare(install(reclaiming(3)).await, SIZE, seed).await;
    let mut completed = Vec::new();
    for fault in ALL {
        completed.extend(under_load(&mut world, fault, seed).await);
        world.come_to_rest().await;
        let books = books::read(&world, &completed).await;
        println!("{books}");
        assert_eq!(judge::after_the_storm(&books), [], "{fault:?}, seed {seed}");
    }
    // What a lost counter had forgotten would be spent here a second time.
    world.use_the_rest_to_the_last_token().await;
    world.reconcile().await;
    let books = books::read(&world, &completed).await;
    assert_eq!(judge::reconciled(&books), [], "seed {seed}");
}
