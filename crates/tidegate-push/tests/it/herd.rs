//! Many nodes at once enrol, and come back to a control plane that was away: bounded work for it, all of them soon.
//!
//! They wait as real nodes do: the back-off is the nodes' own file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_push::PushSettings;
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_store::fleet;
use tidegate_store::testing::TestDatabase;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::fake_node::{FakeNode, Held, Stream, dial_lazily, enroll_request};
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
/// Longer than anything should take on a slow machine. That a thousand nodes are back within a minute is a matter
/// of their waits, and shown in simulated time (`backoff.rs` of the node).
const PATIENCE: Duration = Duration::from_secs(400);

async fn start(database: TestDatabase, kek: KeyEncryptionKey) -> Plane {
    // A thousand are let in as by default; few of them without waiting, which takes a busy machine long.
    let settings = PushSettings::default();
    let enrolments_per_second = if size().0 < 1_000 { 10_000 } else { settings.enrolments_per_second };
    Plane::start_over(database, kek, PushSettings { enrolments_per_second, ..settings }).await
}

/// Whether a newcomer asks again, as a node's own `enrol.rs` does.
fn is_final(status: &Status) -> bool {
    let refusals =
        [Code::Unauthenticated, Code::PermissionDenied, Code::InvalidArgument, Code::FailedPrecondition];
    refusals.contains(&status.code()) || status.code() == Code::AlreadyExists
}

/// Many nodes, a thousand of them all at once, each with a token of its own; and how often one was told to wait.
async fn enrol(plane: &Arc<Plane>, count: usize) -> (Vec<Arc<FakeNode>>, usize) {
    let (mut tokens, mut tasks) = (Vec::new(), JoinSet::new());
    for _ in 0..count {
        tokens.push(plane.join_token(3_600_000).await);
    }
    let turns = Arc::new(Semaphore::new(if count < 1_000 { 8 } else { count }));
    for token in tokens {
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        let plane = Arc::clone(plane);
        tasks.spawn(async move {
            let _turn = turn;
            newcomer(&plane, token.expose()).await
        });
    }
    let (mut nodes, mut told) = (Vec::new(), 0);
    let all = async {
        while let Some(enrolled) = tasks.join_next().await {
            let (node, waits) = enrolled.unwrap();
            nodes.push(Arc::new(node));
            told += waits;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, all).await;
    assert!(ended.is_ok(), "{} of {count} have enrolled", nodes.len());
    (nodes, told)
}

/// Asks with the same keys, over one connection, until it is let in.
async fn newcomer(plane: &Plane, token: &str) -> (FakeNode, usize) {
    let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let (request, roots) = (enroll_request(token, &key, &sealing), plane.material.roots_pem());
    let (mut backoff, mut told) = (Backoff::default(), 0);
    let mut client = EnrollServiceClient::new(dial_lazily(plane.address, &roots, None));
    loop {
        match client.enroll(request.clone()).await {
            Ok(answer) => return (FakeNode::without_connection(answer.into_inner(), key, sealing), told),
            Err(status) if is_final(&status) => panic!("{status:?}"),
            Err(status) if status.code() == Code::ResourceExhausted => told += 1,
            Err(status) => println!("a newcomer was put off: {status}"),
        }
        tokio::time::sleep(backoff.next(Duration::ZERO)).await;
    }
}

/// Resident memory of this process, in which the nodes are too.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() / 1024
}

/// An administrator looks at the fleet; how long each look took.
async fn looks_at_the_fleet(plane: &Plane, times: usize) -> Vec<Duration> {
    let mut looks = Vec::new();
    for _ in 0..times {
        let look = Instant::now();
        let mut tx = plane.store.begin(&plane.system()).await.unwrap();
        fleet::list(&mut tx).await.unwrap();
        drop(tx);
        looks.push(look.elapsed());
    }
    looks
}

/// A node that is back.
struct Back {
    let_in: Instant,
    /// How often it was told to wait.
    told: usize,
    _stream: Stream,
}

/// Tries until it holds everything: over one connection as long as that lasts, as a node does.
async fn come_back(node: Arc<FakeNode>, plane: Arc<Plane>) -> Back {
    let (mut backoff, mut told) = (Backoff::default(), 0);
    let channel = dial_lazily(plane.address, &plane.material.roots_pem(), Some((&node.key, &*node.chain)));
    loop {
        match node.stream_from(Held::default(), channel.clone()).await {
            Ok(mut stream) => {
                let let_in = Instant::now();
                if stream.lasts_until_synchronised().await {
                    return Back { let_in, told, _stream: stream };
                }
            }
            Err(status) => told += usize::from(status.code() == Code::ResourceExhausted),
        }
        tokio::time::sleep(backoff.next(Duration::ZERO)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_of_nodes_enrols_and_comes_back_at_a_bounded_rate_and_all_of_it() {
    let (count, away) = size();
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let plane = Arc::new(start(database.clone(), kek.clone()).await);
    plane.organization("acme").await;
    let begun = Instant::now();
    let (nodes, waits) = enrol(&plane, count).await;
    let ids: BTreeSet<_> = nodes.iter().map(|node| node.id).collect();
    assert_eq!(ids.len(), count, "each is a node of its own");
    println!("{count} nodes enrolled in {:?}, told to wait {waits} times", begun.elapsed());
    let quiet = looks_at_the_fleet(&plane, 20).await;
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
        looks.extend(looks_at_the_fleet(&again, 1).await);
        let pause = Instant::now() + Duration::from_millis(100);
        while let Ok(Some(one)) = tokio::time::timeout_at(pause.into(), tasks.join_next()).await {
            came.push(one.unwrap());
        }
        assert!(back.elapsed() < PATIENCE, "{} of {count} are back", came.len());
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
    assert!(most <= RATE + BURST, "{most} streams were let in within a second");
    assert!(resident_mib().saturating_sub(before) < 512, "memory");
    let usual = quiet.iter().max().copied().unwrap_or_default();
    assert!(slow < Duration::from_millis(250).max(usual * 25), "{slow:?}, and {usual:?} without a herd");
    again.stop.cancel();
}
