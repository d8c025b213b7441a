//! The state of the small worlds: nodes, calls, counters, messages under way.

use std::collections::BTreeSet;

use super::{CALLS, Fault, NODES};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Money is held; nothing is written.
    Held,
    /// Intent in the journal, and at the provider.
    Sent,
    /// Final in the journal.
    Ended { cost: u8 },
    /// Intent in the journal, never sent.
    NotSent,
    /// Gone with its process, before anything was written.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) node: usize,
    pub(super) boot: u8,
    pub(super) epoch: u8,
    pub(super) on_grant: bool,
    pub(super) stage: Stage,
    /// What of it is in the ledger: nothing, its intent, its end.
    pub(super) shipped: u8,
    /// Its end was told to the counters.
    pub(super) told: bool,
}

impl Call {
    pub(super) const fn written(&self) -> u8 {
        match self.stage {
            Stage::Held | Stage::Lost => 0,
            Stage::Sent => 1,
            Stage::Ended { .. } | Stage::NotSent => 2,
        }
    }

    /// What the provider may bill.
    pub(super) const fn billed(&self) -> u8 {
        match self.stage {
            Stage::Sent => 1,
            Stage::Ended { cost } => cost,
            Stage::Held | Stage::NotSent | Stage::Lost => 0,
        }
    }
}

/// What a process has in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub(super) struct Book {
    pub(super) epoch: u8,
    pub(super) number: u8,
    pub(super) granted: u8,
    pub(super) spent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub(super) struct Node {
    pub(super) alive: bool,
    pub(super) boot: u8,
    /// Newest epoch it has applied, and the one for which it has shipped.
    pub(super) applied: u8,
    pub(super) shipped: u8,
    pub(super) book: Option<Book>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) number: u8,
    pub(super) granted: u8,
    pub(super) spent: u8,
}

/// The counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Store {
    pub(super) epoch: u8,
    pub(super) spent: u8,
    /// Holds that it decided itself, or has from the ledger.
    pub(super) holds: BTreeSet<usize>,
    /// By node and process.
    pub(super) records: [[Record; 2]; NODES],
}

impl Store {
    pub(super) fn empty(epoch: u8) -> Self {
        Self { epoch, spent: 0, holds: BTreeSet::new(), records: Default::default() }
    }

    pub(super) fn used(&self, fault: Fault) -> u8 {
        let out = |record: &Record| record.granted.saturating_sub(record.spent);
        let out: u8 = self.records.iter().flatten().map(out).sum();
        let out = if fault == Fault::ForgetsGrants { 0 } else { out };
        self.spent + u8::try_from(self.holds.len()).unwrap() + out
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Exchange { node: usize, boot: u8, epoch: u8, number: u8, spent: u8, keep: u8, want: u8 },
    Answer { node: usize, boot: u8, epoch: u8, number: u8, granted: u8 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct World {
    pub(super) nodes: [Node; NODES],
    pub(super) store: Option<Store>,
    /// A replica as it was copied once.
    pub(super) replica: Option<Store>,
    pub(super) epoch: u8,
    pub(super) open: bool,
    pub(super) calls: Vec<Call>,
    /// At each node: what was written when it applied the newest epoch.
    pub(super) marks: [[u8; CALLS]; NODES],
    pub(super) messages: BTreeSet<Message>,
    /// Mishaps that are left.
    pub(super) wipes: u8,
    pub(super) crashes: u8,
}

impl Message {
    /// The same message of the other node.
    pub(super) const fn turned(mut self) -> Self {
        let (Self::Exchange { node, .. } | Self::Answer { node, .. }) = &mut self;
        *node = NODES - 1 - *node;
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Allow(usize),
    AdmitOnGrant(usize),
    AdmitByStore(usize),
    Send(usize),
    End(usize, u8),
    Tell(usize),
    Exchange { node: usize, keep: u8, want: u8 },
    Deliver(Message, bool),
    CloseBook(usize),
    Wipe,
    Copy,
    Promote,
    Burn,
    Apply(usize),
    Ship(usize),
    Open,
    Crash(usize),
    Restart(usize),
    TakeBack(usize),
    Reclaim(usize),
}

impl World {
    pub(super) fn held_on(&self, node: usize, book: &Book) -> u8 {
        let boot = self.nodes[node].boot;
        let held = |call: &&Call| {
            call.on_grant
                && (call.node, call.boot, call.epoch) == (node, boot, book.epoch)
                && matches!(call.stage, Stage::Held | Stage::Sent)
        };
        u8::try_from(self.calls.iter().filter(held).count()).unwrap()
    }

    pub(super) fn may_be_billed(&self) -> u8 {
        self.calls.iter().map(Call::billed).sum()
    }

    pub(super) fn admit(&mut self, node: usize, epoch: u8, on_grant: bool) {
        let boot = self.nodes[node].boot;
        let stage = Stage::Held;
        self.calls.push(Call { node, boot, epoch, on_grant, stage, shipped: 0, told: false });
    }

    pub(super) fn end(&mut self, index: usize, stage: Stage) {
        let call = &mut self.calls[index];
        call.stage = stage;
        let cost = call.billed();
        let (node, epoch) = (call.node, call.epoch);
        if call.on_grant
            && let Some(book) = self.nodes[node].book.as_mut().filter(|book| book.epoch == epoch)
        {
            call.told = true;
            book.spent += cost;
        }
    }
}
