//! What the node says of itself each second, and whether it is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidegate_limits::{Limiter, Mode};
use tidegate_proto::config::Heartbeat;
use tidegate_proto::positions_to_wire;
use tidegate_types::Position;
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, Mark};
use crate::records::JournalRecords;
use crate::sync::Handle;
use crate::vault::NodeVault;
use crate::wanted::WantedKeys;

/// Reads the parts of the node and tells how they are.
pub(crate) struct Pulse {
    pub(crate) handle: Arc<Handle>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) limiter: Limiter,
    pub(crate) vault: Arc<NodeVault>,
    pub(crate) records: Arc<JournalRecords>,
    /// Cancelled when the node drains: the control plane is told at once, for a drain may take no time.
    pub(crate) draining: CancellationToken,
    pub(crate) ready: Arc<AtomicBool>,
    /// What the other nodes say of revoked keys was heard, or could not be.
    pub(crate) listened: AtomicBool,
    /// Another node has begun by the same reserve.
    pub(crate) doubled: AtomicBool,
    wanted: Arc<WantedKeys>,
    shipped: Mutex<Shipped>,
}

/// Two steps: everything that was in the journal when `waiting` was applied must be acknowledged
/// before `reached` becomes it.
#[derive(Debug, Default)]
struct Shipped {
    reached: Position,
    waiting: Option<(Position, Mark)>,
}

impl Pulse {
    pub(crate) fn new(
        handle: Arc<Handle>,
        journal: Arc<Journal>,
        limiter: Limiter,
        vault: Arc<NodeVault>,
        records: Arc<JournalRecords>,
        ready: Arc<AtomicBool>,
        wanted: Arc<WantedKeys>,
    ) -> Self {
        // Over memory there is nobody to hear.
        let (draining, listened) =
            (CancellationToken::new(), AtomicBool::new(limiter.mode() == Mode::Memory));
        let (doubled, shipped) = (AtomicBool::new(false), Mutex::default());
        Self { handle, journal, limiter, vault, records, draining, ready, listened, doubled, wanted, shipped }
    }

    /// Positions such that every record written before they were applied has been acknowledged.
    fn shipped(&self) -> Position {
        let mut shipped = self.shipped.lock();
        if let Some((position, mark)) = &shipped.waiting
            && self.journal.has_shipped(mark)
        {
            shipped.reached = position.clone();
            shipped.waiting = None;
        }
        if shipped.waiting.is_none() {
            // First the position, then the mark: what is written in between only delays.
            let position = self.handle.position();
            if position != shipped.reached {
                let mark = self.journal.mark();
                if self.journal.has_shipped(&mark) {
                    shipped.reached = position;
                } else {
                    shipped.waiting = Some((position, mark));
                }
            }
        }
        shipped.reached.clone()
    }

    /// The next heartbeat.
    pub(crate) fn beat(&self, sequence: u64) -> Heartbeat {
        let status = self.journal.status();
        let shipped = self.shipped();
        // First the position, then what was answered: a failure of before does not count against what is applied.
        let applied = positions_to_wire(&self.handle.position());
        let (answers, answers_failed) = self.records.answers();
        Heartbeat {
            sequence,
            applied,
            shipped: positions_to_wire(&shipped),
            journal_pending_records: status.pending_records,
            journal_pending_bytes: status.pending_bytes,
            journal_horizon_seconds: status.horizon_seconds,
            in_flight_calls: self.records.in_flight(),
            draining: self.draining.is_cancelled(),
            limiter_mode: mode(self.limiter.mode()).to_owned(),
            wanted_keys: self.wanted.take(),
            answers: Some(answers),
            answers_failed,
        }
    }

    /// Looks whether the node can serve: complete configuration, secrets open, journal taking,
    /// others' word of revoked keys heard, not draining.
    pub(crate) fn judge(&self) -> bool {
        let lacking = self.lacking();
        let ready = lacking.is_none();
        if ready != self.ready.swap(ready, Ordering::AcqRel) {
            match lacking {
                None => tracing::info!("the node takes calls"),
                Some(because) => tracing::warn!(because, "the node takes no calls"),
            }
        }
        ready
    }

    fn lacking(&self) -> Option<&'static str> {
        let needed = [
            (!self.draining.is_cancelled(), "it is draining"),
            (self.handle.is_complete(), "it does not hold the whole configuration"),
            (self.vault.is_open(), "it has no pool key to check virtual keys with"),
            (!self.journal.status().refusing, "its journal takes no new work"),
            (self.listened.load(Ordering::Acquire), "it has not heard yet what others say of revoked keys"),
            (!self.doubled.load(Ordering::Acquire), "another node has begun by the same reserve"),
        ];
        needed.into_iter().find(|(given, _)| !given).map(|(_, because)| because)
    }
}

/// A limiter's mode as heartbeats and metrics name it.
pub(crate) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Healthy => "healthy",
        Mode::Partly => "partly",
        Mode::Away => "away",
        Mode::Memory => "memory",
    }
}
