//! Many nodes at once come back to a control plane that was away: bounded work for it, all of them soon.
//!
//! They wait as real nodes do: the back-off is the nodes' own file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_push::PushSettings;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::fleet;
use tidegate_store::testing::TestDatabase;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::Code;

use crate::fake_node::{FakeNode, Held, Stream, dial};
use crate::plane::Plane;

#[path = "../../../tidegate-node/src/backoff.rs"]
mod backoff;

use backoff::Backoff;

/// So many in `./test`, a thousand in `./test-full`; and how long the control plane is away.
fn size() -> (usize, Duration) {
    let full = std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1");
    if full { (1_000, Duration::from_secs(60)) } else { (150, Duration::from_secs(4)) }
}

/// Of a control plane, by default.
const RATE: usize = 50;
const BURST: usize = 100;

async fn start(database: TestDatabase, kek: KeyEncryptionKey) -> Plane {
    let settings = PushSettings { enrolments_per_second: 10_000, ..PushSettings::default() };
    Plane::start_over(database, kek, settings).await
}

/// Many nodes, enrolled by one token each, a few at a time.
async fn enrol(plane: &Arc<Plane>, count: usize) -> Vec<Arc<FakeNode>> {
    let (mut nodes, mut tasks) = (Vec::new(), JoinSet::new());
    for number in 0..count {
        if number >= 4 {
            nodes.push(Arc::new(tasks.join_next().await.unwrap().unwrap()));
        }
        let plane = Arc::clone(plane);
        tasks.spawn(async move { FakeNode::enrol(&plane).await });
    }
    while let Some(node) = tasks.join_next().await {
        nodes.push(Arc::new(node.unwrap()));
    }
    nodes
}

/// Resident memory of this process, in which the nodes are too.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() / 1024
}

/// A node that is back.
struct Back {
    let_in: Instant,
    /// How often it was told to wait.
    told: usize,
    _stream: Stream,
}

/// Tries until it holds everything.
async fn come_back(node: Arc<FakeNode>, plane: Arc<Plane>) -> Back {
    let (mut backoff, mut told) = (Backoff::default(), 0);
    let (roots, identity) = (plane.material.roots_pem(), (&node.key, &*node.chain));
    loop {
        if let Ok(channel) = dial(plane.address, &roots, Some(identity)).await {
            match node.stream_from(Held::default(), channel).await {
                Ok(mut stream) => {
                    let let_in = Instant::now();
                    stream.until("it holds everything", |stream| stream.synchronised).await;
                    return Back { let_in, told, _stream: stream };
                }
                Err(status) => told += usize::from(status.code() == Code::ResourceExhausted),
            }
        }
        tokio::time::sleep(backoff.next(Duration::ZERO)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_of_nodes_that_comes_back_is_let_in_at_a_bounded_rate_and_all_of_it_within_a_minute() {
    let (count, away) = size();
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let plane = Arc::new(start(database.clone(), kek.clone()).await);
    plane.organization("acme").await;
    let nodes = enrol(&plane, count).await;
    plane.stop.cancel();
    let address = plane.address;

    // They all lose it, and try again and again.
    let mut tasks = JoinSet::new();
    for node in &nodes {
        tasks.spawn(come_back(Arc::clone(node), Arc::clone(&plane)));
    }
    tokio::time::sleep(away).await;
    let before = resident_mib();
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let again = Plane::start_on(listener, database, kek, PushSettings::default(), None).await;
    let back = Instant::now();

    // Meanwhile administrators look at the fleet.
    let (mut looks, mut came) = (Vec::new(), Vec::new());
    while came.len() < count {
        let look = Instant::now();
        let mut tx = again.store.begin(&again.system()).await.unwrap();
        fleet::list(&mut tx).await.unwrap();
        drop(tx);
        looks.push(look.elapsed());
        let pause = Instant::now() + Duration::from_millis(100);
        while let Ok(Some(one)) = tokio::time::timeout_at(pause.into(), tasks.join_next()).await {
            came.push(one.unwrap());
        }
        assert!(
            back.elapsed() < Duration::from_secs(60),
            "{} of {count} are back after a minute",
            came.len()
        );
    }
    let last = back.elapsed();

    let most = came.iter().map(|one| {
        let second = one.let_in..one.let_in + Duration::from_secs(1);
        came.iter().filter(|other| second.contains(&other.let_in)).count()
    });
    let most = most.max().unwrap();
    let told: usize = came.iter().map(|one| one.told).sum();
    looks.sort_unstable();
    let slow = looks[looks.len() * 99 / 100];
    println!(
        "{count} nodes back after {last:?}, {most} in the busiest second, told to wait {told} times; \
         {} MiB more; a look at the fleet takes {slow:?} at p99 of {}",
        resident_mib().saturating_sub(before),
        looks.len()
    );
    assert!(told > 0, "a herd that is never told to wait is none");
    assert!(most <= RATE + BURST, "{most} streams were let in within a second");
    assert!(resident_mib().saturating_sub(before) < 512, "memory");
    assert!(slow < Duration::from_millis(if count < 1_000 { 1_000 } else { 250 }), "{slow:?}");
    again.stop.cancel();
}
