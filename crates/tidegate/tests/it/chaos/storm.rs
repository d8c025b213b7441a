//! `kill -9` of nodes, control plane, Redis and Postgres, one or two at once, while applications call.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidegate_testkit::installation::Installation;

use super::Size;
use super::load::{Load, Seen};
use super::random::Random;
use super::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Node(usize),
    ControlPlane,
    Redis,
    Postgres,
}

impl Victim {
    fn pick(random: &mut Random) -> Self {
        match random.below(10) {
            0..5 => Self::Node(usize::try_from(random.below(3)).unwrap()),
            5..7 => Self::ControlPlane,
            7..9 => Self::Redis,
            _ => Self::Postgres,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Node(_) => "node",
            Self::ControlPlane => "control plane",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    fn kill(self, installation: &mut Installation) {
        match self {
            Self::Node(index) => installation.nodes[index].kill(),
            Self::ControlPlane => installation.control_planes[0].kill(),
            Self::Redis => installation.redis.as_mut().unwrap().stop(),
            Self::Postgres => installation.postgres.kill(),
        }
    }

    /// Starts it again. A node is not waited for: the next kill may meet it while it starts.
    async fn start(self, installation: &mut Installation, copy: Option<&[u8]>) {
        match (self, copy) {
            (Self::Node(index), _) => installation.start_node(index).unwrap(),
            (Self::ControlPlane, _) => installation.restart_control_plane(0).await.unwrap(),
            (Self::Redis, Some(copy)) => installation.redis.as_mut().unwrap().start_from(copy).unwrap(),
            (Self::Redis, None) => installation.redis.as_mut().unwrap().start_again().unwrap(),
            (Self::Postgres, _) => installation.postgres.start_again().unwrap(),
        }
    }
}

/// Calls that come to their end for each kill, at the least: otherwise the storm is none.
pub(crate) const CALLS_PER_KILL: usize = 10;

/// Waits until the applications got something done, or for a second; for longer where they have done less than
/// `kills` ask for: on a busy machine the storm waits for its load, but not for ever, because at the cap nothing is done.
pub(crate) async fn some_calls(load: &Load, kills: usize) {
    let (before, began) = (load.count.load(Ordering::Relaxed), Instant::now());
    loop {
        let (now, owed) = (load.count.load(Ordering::Relaxed), (kills + 1) * CALLS_PER_KILL);
        let most = Duration::from_millis(if now < owed { 20_000 } else { 1_200 });
        if now >= before + 25 && now >= owed || began.elapsed() > most {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn kills(installation: &mut Installation, load: &Load, size: Size, mut random: Random) {
    let (mut copy, began) = (None, Instant::now());
    let (mut done, mut told) = (0, 0);
    while done < size.kills {
        some_calls(load, done).await;
        if done >= told + 50 {
            told = done;
            let calls = load.count.load(Ordering::Relaxed);
            println!("{done} kills, {calls} calls completed, {} s", began.elapsed().as_secs());
        }
        let mut victims = vec![Victim::pick(&mut random)];
        let second = Victim::pick(&mut random);
        if random.percent(25) && second != victims[0] && done + 1 < size.kills {
            victims.push(second);
        }
        // Every other Redis comes back with what it had some kills ago: a restored, stale copy.
        if random.percent(20) {
            copy = installation.redis.as_ref().unwrap().copy().ok();
        }
        for victim in &victims {
            victim.kill(installation);
            *load.seen.lock().await.kills.entry(victim.name()).or_default() += 1;
            done += 1;
        }
        tokio::time::sleep(Duration::from_millis(random.below(400))).await;
        // The control plane cannot start without its database.
        victims.sort_by_key(|victim| *victim == Victim::ControlPlane);
        for victim in victims {
            let stale = copy.as_deref().filter(|_| random.percent(50));
            victim.start(installation, stale).await;
        }
    }
}

/// The whole storm; what the applications saw.
pub(crate) async fn rage(world: &mut World, size: Size, seed: u64) -> Seen {
    let began = Instant::now();
    let load = world.load();
    let clients = join_all((1..=size.clients).map(|row| load.client(Random::new(seed, row as u64))));
    let storm = async {
        kills(&mut world.installation, &load, size, Random::new(seed, 0)).await;
        some_calls(&load, size.kills).await;
        load.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, storm);
    let mut seen = std::mem::take(&mut *load.seen.lock().await);
    seen.seconds = began.elapsed().as_secs();
    seen
}
