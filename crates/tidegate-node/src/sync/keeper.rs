//! The thread that writes configuration to disk, behind what is applied in memory.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use prost::Message;
use tidegate_proto::config::{Delta, PoolKey};
use tidegate_types::{Shard, Timestamp};

use super::cache::Cache;
use super::contact;
use super::trial::Trial;
use crate::error::NodeError;
use crate::state::State;

const POOL_KEYS: &str = "pool-keys";
/// Most changes that wait; then applying waits for the disk.
const WAITING: usize = 256;

/// Something to keep.
pub(crate) enum Keep {
    /// One part of a delta.
    Part { shard: Shard, delta: Delta, first: bool },
    /// A synchronisation was completed.
    Complete,
    /// A sealed pool key.
    PoolKey { version: u32, sealed: Vec<u8> },
    /// The last contact with the control plane.
    Contact(Timestamp),
    /// The node has served well for the time of a trial.
    Healthy,
    /// Newer changes of a shard that was held back are applied.
    Tried(Shard),
    /// The process ends in order.
    End,
}

/// The writing thread's other end.
pub(crate) struct Keeper {
    sender: Mutex<Option<SyncSender<Keep>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Keeper {
    pub(crate) fn start(cache: Cache, trial: Trial, state: Arc<State>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = thread::Builder::new()
            .name("config-cache".into())
            .spawn(move || write(cache, trial, &state, &receiver))?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Hands one change to the thread. May wait for the disk: not for async tasks.
    pub(crate) fn keep(&self, keep: Keep) {
        let sender = self.sender.lock().clone();
        if sender.is_none_or(|sender| sender.send(keep).is_err()) {
            tracing::debug!("a change came after the end and is not kept on disk");
        }
    }

    /// The same where it must not wait; whether it was taken.
    pub(crate) fn offer(&self, keep: Keep) -> bool {
        self.sender.lock().as_ref().is_some_and(|sender| sender.try_send(keep).is_ok())
    }

    /// Writes what is left and ends.
    pub(crate) fn stop(&self) {
        drop(self.sender.lock().take());
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps configuration ended in a panic");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn write(mut cache: Cache, mut trial: Trial, state: &State, receiver: &Receiver<Keep>) {
    while let Ok(first) = receiver.recv() {
        let waiting = std::iter::once(first).chain(std::iter::from_fn(|| receiver.try_recv().ok()));
        let outcome =
            waiting.take(WAITING).try_for_each(|keep| write_one(&mut cache, &mut trial, state, keep));
        if let Err(error) = outcome.and_then(|()| cache.sync()) {
            tracing::error!(%error, "configuration cannot be kept on disk");
        }
    }
}

fn write_one(cache: &mut Cache, trial: &mut Trial, state: &State, keep: Keep) -> Result<(), NodeError> {
    match keep {
        Keep::Part { shard, delta, first } => {
            cache.append(shard, &delta, first).map_err(NodeError::io("keep a change of the configuration"))
        }
        Keep::Complete => {
            cache.complete();
            Ok(())
        }
        Keep::Contact(at) => contact::write(state, at),
        Keep::Healthy => trial.healthy(cache),
        Keep::Tried(shard) => trial.tried(shard),
        Keep::End => trial.end(),
        Keep::PoolKey { version, sealed } => keep_pool_key(state, PoolKey { version, sealed }),
    }
}

/// Keeps the two newest versions: during a rotation some credentials are still under the old one.
pub(super) fn keep_pool_key(state: &State, fresh: PoolKey) -> Result<(), NodeError> {
    let mut keys = kept_pool_keys(state);
    keys.retain(|key| key.version != fresh.version);
    keys.push(fresh);
    keys.sort_by_key(|key| std::cmp::Reverse(key.version));
    keys.truncate(2);
    let mut bytes = Vec::new();
    for key in keys {
        bytes.extend_from_slice(&key.encode_length_delimited_to_vec());
    }
    state.write(POOL_KEYS, &bytes)
}

/// The sealed pool keys on disk; what is damaged counts as absent.
pub(crate) fn kept_pool_keys(state: &State) -> Vec<PoolKey> {
    let bytes = state.read(POOL_KEYS).unwrap_or_default().unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let Ok(key) = PoolKey::decode_length_delimited(&mut rest) else { break };
        keys.push(key);
    }
    keys
}
