//! A line to the control plane that breaks after any number of bytes, again and again, while changes come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tidegate_node::Node;
use tidegate_types::resource::KeyStatus;
use tidegate_types::{Digest, Revision, Shard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::control_plane::FakeControl;
use crate::fleet::{Tenant, end, settings, until};

/// A row of numbers (SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Passes connections on; the first so many end after some bytes of what the control plane says.
struct Line {
    address: SocketAddr,
    broken: Arc<AtomicUsize>,
}

impl Line {
    async fn to(control: SocketAddr, breaks: usize, mut seed: u64, tasks: &TaskTracker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, broken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (count, connections) = (Arc::clone(&broken), tasks.clone());
        tasks.spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                // A handshake takes about three thousand: some of them end within it.
                let bytes =
                    if count.load(Ordering::SeqCst) < breaks { random(&mut seed) % 20_000 } else { u64::MAX };
                let Ok(control) = TcpStream::connect(control).await else { continue };
                let count = Arc::clone(&count);
                connections.spawn(async move {
                    pass(node, control, bytes).await;
                    count.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, broken }
    }
}

/// Passes both directions on until so many bytes came from the control plane.
async fn pass(node: TcpStream, control: TcpStream, bytes: u64) {
    let (mut from_node, mut to_node) = node.into_split();
    let (from_control, mut to_control) = control.into_split();
    let mut from_control = from_control.take(bytes);
    tokio::select! {
        _ = tokio::io::copy(&mut from_node, &mut to_control) => {}
        _ = tokio::io::copy(&mut from_control, &mut to_node) => {}
    }
    let _ = to_node.shutdown().await;
}

/// What a node must say that it holds of a shard.
fn expected(control: &FakeControl, shard: Shard) -> Vec<u8> {
    let mut digest = Digest::default();
    for ((of, n), one) in control.shared.feed.lock().iter().filter(|((of, _), _)| *of == shard) {
        let key = one.key.as_ref().unwrap();
        let name = format!("{}/{}/{}", key.organization_id, key.kind, key.id);
        let hash = one.content_hash.as_slice().try_into().unwrap();
        digest.add(Digest::of_member(&name, Revision { shard: *of, n: *n }, &hash, true));
    }
    digest.to_u128().to_be_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_anywhere_skips_no_change_and_leaves_nothing_half_applied() {
    let full = std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1");
    let (breaks, seed) = (if full { 100 } else { 8 }, 0x5EED);
    let control = FakeControl::start().await;
    let (state, tasks) = (TempDir::new().unwrap(), TaskTracker::new());
    let tenants: Vec<Tenant> = (0..20).map(|_| Tenant::new()).collect();
    tenants.iter().for_each(|tenant| tenant.publish(&control));
    let line = Line::to(control.address, breaks, seed, &tasks).await;
    let mut of = settings(&control, state.path());
    of.control.url = format!("https://localhost:{}", line.address.port());
    let node = Node::start(of).await.unwrap();

    let mut changes = 0;
    while line.broken.load(Ordering::SeqCst) < breaks {
        let status = if changes % 2 == 0 { KeyStatus::Paused } else { KeyStatus::Active };
        control.shared.publish(&tenants[changes % tenants.len()].key(status));
        changes += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for tenant in &tenants {
        control.shared.publish(&tenant.key(KeyStatus::Active));
    }
    let is_whole = || {
        let digest = |shard| node.config().digest(shard).to_u128().to_be_bytes().to_vec();
        Shard::all().all(|shard| digest(shard) == expected(&control, shard))
    };
    // After a long outage the node waits for up to a sixth of it.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    while !is_whole() && std::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(
        is_whole(),
        "after {changes} changes and {breaks} breaks the node holds something else (seed {seed})"
    );
    assert!(tenants.iter().all(|tenant| tenant.is_known_to(&node)));
    until("it is ready", || node.is_ready()).await;
    let resumed = control.shared.hellos.lock().iter().filter(|hello| !hello.positions.is_empty()).count();
    assert!(resumed > 0, "some stream went on from where the one before broke");
    end(node).await;
}
