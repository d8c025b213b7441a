//! Several hosts: lines between them part silently, in one direction or with a refusal, processes are killed, in
//! random order and two at a time, while applications call. The load goes on and the books balance.
//!
//! In `./test-full` the hosts are network namespaces behind a router (root is needed, and said so when it is not
//! there); in `./test` the lines are those of `Shape::lines`, which any user has.

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_testkit::host::{Cut, Network};
use tidegate_testkit::installation::{Installation, Line, Shape};

use super::random::{self, Random};
use super::storm::{CALLS_PER_KILL, some_calls};
use super::world::World;
use super::{Size, books, judge};
use crate::support::{full, install, reclaiming};

const HOSTS: [&str; 8] =
    ["application", "postgres", "redis", "simulator", "control-0", "node-0", "node-1", "node-2"];
const NETWORK: &str = "TIDEGATE_TEST_NETWORK";
const NAME: &str =
    "chaos::hosts::on_several_hosts_partitions_and_kills_in_any_order_leave_books_that_balance";

/// What hosts hang on.
enum Net {
    Lines,
    Hosts(Network),
}

/// A pair that is parted, or a process that dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    NodeFromControl(usize, Cut),
    NodeFromRedis(usize, Cut),
    ControlFromPostgres(Cut),
    NodeKilled(usize),
    ControlKilled,
    RedisKilled,
}

impl Fault {
    fn pick(random: &mut Random) -> Self {
        let cut = *random.one(&[Cut::Silent, Cut::OneWay, Cut::Refused]);
        let node = usize::try_from(random.below(3)).unwrap();
        match random.below(10) {
            0..3 => Self::NodeFromControl(node, cut),
            3..6 => Self::NodeFromRedis(node, cut),
            6..8 => Self::ControlFromPostgres(cut),
            8 => Self::NodeKilled(node),
            _ => *random.one(&[Self::ControlKilled, Self::RedisKilled]),
        }
    }

    /// The two hosts, the answering one first: what disappears in one direction are answers.
    fn pair(self) -> Option<(String, String, Cut)> {
        let node = |node: usize| format!("node-{node}");
        match self {
            Self::NodeFromControl(index, cut) => Some(("control-0".into(), node(index), cut)),
            Self::NodeFromRedis(index, cut) => Some(("redis".into(), node(index), cut)),
            Self::ControlFromPostgres(cut) => Some(("postgres".into(), "control-0".into(), cut)),
            _ => None,
        }
    }

    fn begin(self, net: &Net, installation: &mut Installation) {
        match (self.pair(), net) {
            (Some((from, to, cut)), Net::Hosts(network)) => network.cut(&from, &to, cut).unwrap(),
            (Some((.., cut)), Net::Lines) => self.set(
                installation,
                match cut {
                    Cut::Silent => Line::Silent,
                    Cut::OneWay => Line::HalfOpen,
                    Cut::Refused => Line::Refused,
                },
            ),
            (None, _) => match self {
                Self::NodeKilled(node) => installation.nodes[node].kill(),
                Self::ControlKilled => installation.control_planes[0].kill(),
                _ => installation.redis.as_mut().unwrap().stop(),
            },
        }
    }

    async fn end(self, net: &Net, installation: &mut Installation) {
        match (self.pair(), net) {
            (Some((from, to, cut)), Net::Hosts(network)) => network.join(&from, &to, cut).unwrap(),
            (Some(_), Net::Lines) => self.set(installation, Line::Open),
            (None, _) => match self {
                Self::NodeKilled(node) => installation.start_node(node).unwrap(),
                Self::ControlKilled => installation.restart_control_plane(0).await.unwrap(),
                _ => installation.redis.as_mut().unwrap().start_again().unwrap(),
            },
        }
    }

    fn set(self, installation: &Installation, line: Line) {
        let lines = &installation.lines;
        match self {
            Self::NodeFromControl(node, _) => lines.to_control[node].set(line),
            Self::NodeFromRedis(node, _) => lines.to_redis[node].set(line),
            _ => lines.to_postgres[0].set(line),
        }
    }
}

async fn story(net: &Net, installation: Installation, size: Size, seed: u64) {
    let mut world = World::prepare(installation, size, seed).await;
    let load = world.load();
    let clients = join_all((1..=size.clients).map(|row| load.client(Random::new(seed, row as u64))));
    let faults = async {
        let mut random = Random::new(seed, u64::MAX - 1);
        for done in 0..size.kills {
            some_calls(&load, done).await;
            let (first, second) = (Fault::pick(&mut random), Fault::pick(&mut random));
            let mut now = vec![first];
            // A pair is parted in one way at a time.
            let apart = first.pair().zip(second.pair()).is_none_or(|(a, b)| (a.0, a.1) != (b.0, b.1));
            if random.percent(30) && first != second && apart {
                now.push(second);
            }
            println!("{now:?}");
            now.iter().for_each(|fault| fault.begin(net, &mut world.installation));
            tokio::time::sleep(Duration::from_millis(random.within(200, if full() { 4_000 } else { 900 })))
                .await;
            // A control plane does not start without its database.
            now.sort_by_key(|fault| *fault == Fault::ControlKilled);
            for fault in now {
                fault.end(net, &mut world.installation).await;
            }
        }
        some_calls(&load, size.kills).await;
        load.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, faults);
    let completed = std::mem::take(&mut load.seen.lock().await.completed);
    println!("{} calls completed", completed.len());
    assert!(completed.len() >= size.kills * CALLS_PER_KILL, "{} calls are no load", completed.len());
    world.come_to_rest().await;
    let found = books::read(&world, &completed).await;
    println!("{found}");
    assert_eq!(judge::after_the_storm(&found), [], "seed {seed}");
    world.reconcile().await;
    let found = books::read(&world, &completed).await;
    assert_eq!(judge::reconciled(&found), [], "seed {seed}");
}

/// This test again, on the host of the applications.
fn on_its_own_host() {
    let network = Network::make(&HOSTS).unwrap_or_else(|error| panic!("{error:#}"));
    let mut again = network.hosts()["application"].command(std::env::current_exe().unwrap());
    again.args(["--exact", NAME, "--nocapture"]).env(NETWORK, network.name()).stdin(Stdio::null());
    assert!(again.status().unwrap().success(), "the story on hosts of their own failed");
    // Positive control: hosts that are parted do not reach one another, hosts that are not do.
    let reached = |from: &str, to: &str| {
        let [from, to] = [from, to].map(|host| &network.hosts()[host]);
        let ask = format!("exec 3<>/dev/tcp/{}/9", to.address);
        let asked: Command = from.command("timeout");
        let mut asked = asked;
        let said = asked.args(["1", "bash", "-c", &ask]).output().unwrap();
        // Nobody listens there: whoever hears that has reached the host.
        String::from_utf8_lossy(&said.stderr).contains("refused")
    };
    assert!(reached("node-0", "redis"));
    for cut in [Cut::Silent, Cut::OneWay, Cut::Refused] {
        network.cut("redis", "node-0", cut).unwrap();
        assert!(!reached("node-0", "redis") && reached("node-1", "redis"), "{cut:?}");
        network.join("redis", "node-0", cut).unwrap();
        assert!(reached("node-0", "redis"), "{cut:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_several_hosts_partitions_and_kills_in_any_order_leave_books_that_balance() {
    let seed = random::seed();
    println!("seed {seed}");
    let Some(name) = std::env::var_os(NETWORK) else {
        if full() {
            return tokio::task::spawn_blocking(on_its_own_host).await.unwrap();
        }
        let size = Size { clients: 16, kills: 8, limit: "0.50" };
        return story(&Net::Lines, install(Shape { lines: true, ..reclaiming(3) }).await, size, seed).await;
    };
    let network = Network::named(name.to_str().unwrap(), &HOSTS);
    let shape = Shape { hosts: network.hosts().clone(), ..reclaiming(3) };
    let size = Size { clients: 60, kills: 60, limit: "1" };
    story(&Net::Hosts(network), install(shape).await, size, seed).await;
}
