//! Intents of calls that are under way together are written together: each before its provider is asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tidegate_proxy::serve_connection;
use tidegate_types::resource::Resource;
use tidegate_types::usage::{BillingEvent, EventKind, Outcome};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::{Reply, request, send};
use crate::plain::ask;
use crate::provider::{Provider, Step};
use crate::world::{World, budget, openai};

/// So many calls under way are a crowd (`gateway.rs`), but for one.
const ALMOST: usize = 7;

fn asking(world: &World) -> Vec<u8> {
    let bearer = format!("Bearer {}", world.key);
    request("POST", "/v1/chat/completions", &[("authorization", &bearer)], &ask())
}

/// So many further calls.
fn call(world: &World, calls: usize) -> JoinSet<Reply> {
    let (address, request) = (world.address, asking(world));
    let one = || {
        let request = request.clone();
        async move { send(address, &request).await }
    };
    (0..calls).map(|_| one()).collect()
}

/// A provider that answers nobody, before a gateway with a budget, and so many calls that wait for it.
async fn crowd(calls: usize) -> (World, Provider, JoinSet<Reply>) {
    let peer = Provider::start(vec![vec![Step::UntilHangUp]]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Budget(budget(1, "1"))]);
    let waiting = call(&world, calls);
    world.until(|| peer.count() == calls).await;
    (world, peer, waiting)
}

/// Everybody leaves, and what they had is settled.
async fn leave(world: &World, mut waiting: JoinSet<Reply>) {
    waiting.shutdown().await;
    world.assert_settled(Some(budget(1, "1").id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_sees_no_call_of_a_crowd_before_its_intent_is_written() {
    let (world, peer, _) = crowd(0).await;
    let unwritten = Arc::new(Mutex::new(Vec::new()));
    let (journal, seen) = (world.journal.clone(), unwritten.clone());
    *peer.on_asked.lock() = Some(Box::new(move |asked| {
        let is_of = |event: &BillingEvent| {
            event.kind == EventKind::Intent && asked.head.contains(&event.call_id.to_string())
        };
        if !journal.events.lock().iter().any(is_of) {
            seen.lock().push(asked.head.clone());
        }
    }));
    let waiting = call(&world, 4 * ALMOST);
    world.until(|| peer.count() == 4 * ALMOST).await;
    assert!(world.journal.staged() >= 3 * ALMOST as u64, "{}", world.journal.staged());
    assert!(unwritten.lock().is_empty(), "{:?}", unwritten.lock());
    leave(&world, waiting).await;
}

#[tokio::test]
async fn a_call_whose_intent_is_lost_in_the_write_of_all_is_not_sent() {
    let (world, peer, waiting) = crowd(ALMOST).await;
    let journal = world.journal.clone();
    *world.journal.after_stage.lock() = Some(Box::new(move || journal.full.store(true, Ordering::SeqCst)));
    let mut refused = call(&world, 3);
    world.until(|| world.journal.calls.lock().len() == 3 || peer.count() > ALMOST).await;
    assert_eq!((peer.count(), world.finals().len()), (ALMOST, 0));
    while let Some(reply) = refused.join_next().await {
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (503, Some("journal_full")));
    }
    assert!(world.journal.staged() > 0);
    leave(&world, waiting).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_while_its_intent_waits_is_ended_in_the_journal_unsent() {
    let (world, peer, waiting) = crowd(ALMOST).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, from) = listener.accept().await.unwrap();
    let served = tokio::spawn(serve_connection(world.gateway.clone(), socket, from.ip()));
    let task = served.abort_handle();
    *world.journal.after_stage.lock() = Some(Box::new(move || task.abort()));
    caller.write_all(&asking(&world)).await.unwrap();
    assert!(served.await.unwrap_err().is_cancelled());
    assert_eq!(world.journal.staged(), 1);
    let finals = world.finals();
    assert_eq!(finals.iter().map(|last| last.outcome).collect::<Vec<_>>(), [Outcome::NotSent]);
    let intended =
        |event: &&BillingEvent| (event.call_id, event.kind) == (finals[0].call_id, EventKind::Intent);
    assert_eq!(world.journal.events.lock().iter().filter(intended).count(), 1);
    assert_eq!(peer.count(), ALMOST);
    *world.journal.after_stage.lock() = None;
    leave(&world, waiting).await;
}
