//! What control planes of earlier releases said, a node of this one takes and serves by.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use prost::Message;
use tempfile::TempDir;
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::config::{ControlMessage, Delta};

use crate::control_plane::FakeControl;
use crate::fleet::{end, start, until};
use crate::frames::recorded;

/// The deltas of each release's first stream.
fn streams() -> Vec<(String, Vec<Delta>)> {
    let mut releases = BTreeSet::new();
    let streams =
        recorded().into_iter().filter(|side| side.call.ends_with("ConfigService.Stream") && !side.is_node);
    let mut found = Vec::new();
    for side in streams.filter(|side| releases.insert(side.release.clone())) {
        let deltas = side.messages.iter().filter_map(|bytes| {
            match ControlMessage::decode(bytes.as_slice()).unwrap().message {
                Some(Control::Delta(delta)) => Some(delta),
                _ => None,
            }
        });
        found.push((side.release, deltas.collect()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_by_what_an_earlier_control_plane_said() {
    for (release, deltas) in streams() {
        let control = FakeControl::start().await;
        let state = TempDir::new().unwrap();
        control.shared.sends_feed.store(false, Ordering::SeqCst);
        let node = start(&control, state.path()).await.unwrap();
        until("it has said hello", || control.shared.is_connected()).await;
        for delta in &deltas {
            control.shared.send(Control::Delta(delta.clone()));
        }
        let last = deltas.iter().rev().find(|delta| delta.last && delta.to > delta.from).unwrap();
        until("everything is acknowledged", || {
            control.shared.acks.lock().iter().any(|ack| (ack.shard, ack.n) == (last.shard, last.to))
        })
        .await;
        until("it is ready", || node.is_ready()).await;
        let rejected: Vec<_> =
            control.shared.acks.lock().iter().flat_map(|ack| ack.rejected.clone()).collect();
        assert!(rejected.is_empty(), "{release}: {rejected:?}");
        let counts = node.config().counts();
        assert!(counts.organizations > 0 && counts.keys > 0 && counts.models > 0, "{release}: {counts:?}");
        end(node).await;
    }
}
