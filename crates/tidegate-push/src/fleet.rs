//! One node's state as the fleet shows it: acknowledgements, rejections and heartbeats, written to
//! the store a few times a second at most.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tidegate_proto::{
    ConvertError, NAMES_KINDS, config as wire, digest_from_wire, knows_more, positions_from_wire,
};
use tidegate_store::fleet::{Heartbeat, Rejection};
use tidegate_types::resource::ResourceKey;
use tidegate_types::{Digest, Position, Revision, Shard};
use tokio::time::Instant;

/// Written at once when something changed, but not more often than this.
pub(crate) const EAGER: Duration = Duration::from_millis(200);
/// Written at least this often, so that the node counts as alive.
const LAZY: Duration = Duration::from_secs(2);
/// Rejections that are kept of one node; the rest is only counted by its digest.
const MOST_REJECTIONS: usize = 1000;
const LONGEST_REASON: usize = 500;

/// What a node acknowledged of a shard, waiting to be compared.
#[derive(Clone)]
pub(crate) struct Acknowledged {
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
    pub(crate) rejected: HashSet<(String, u64)>,
}

/// What a node knows of kinds of resources.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knows {
    /// It would name one that it does not know.
    pub(crate) names_unknown: bool,
    /// It knows some that this release does not, and may hold resources of them.
    pub(crate) more: bool,
}

/// One node's state.
pub(crate) struct NodeStatus {
    said: Heartbeat,
    rejections: BTreeMap<Shard, Vec<Rejection>>,
    /// What the node's release passes over in silence: told on its behalf.
    passed_over: BTreeMap<Shard, Vec<Rejection>>,
    /// What it knows of kinds.
    pub(crate) knows: Knows,
    compare: HashMap<Shard, Acknowledged>,
    changed: bool,
    written_at: Option<Instant>,
}

impl NodeStatus {
    /// The state that a node begins with.
    pub(crate) fn new(hello: &wire::Hello, applied: Position) -> Self {
        let said = Heartbeat {
            boot: hello.boot,
            software_version: bounded(&hello.software_version, 64),
            gateway_address: bounded(&hello.gateway_address, 256),
            applied,
            ..Heartbeat::default()
        };
        Self {
            said,
            rejections: BTreeMap::new(),
            passed_over: BTreeMap::new(),
            knows: Knows {
                names_unknown: hello.features.iter().any(|feature| feature == NAMES_KINDS),
                more: knows_more(&hello.features),
            },
            compare: HashMap::new(),
            changed: true,
            written_at: None,
        }
    }

    /// Notes an acknowledgement.
    pub(crate) fn acknowledge(&mut self, ack: wire::Ack) -> Result<(), ConvertError> {
        let position = [wire::ShardPosition { shard: ack.shard, n: ack.n }];
        let applied = positions_from_wire(&position)?;
        let digest = digest_from_wire(&ack.digest)?;
        let Some(shard) = u8::try_from(ack.shard).ok().and_then(Shard::new) else { return Ok(()) };
        let rejections =
            ack.rejected.into_iter().map(rejection).collect::<Result<Vec<Rejection>, ConvertError>>()?;
        let revision = Revision { shard, n: applied.get(shard) };
        let rejected = rejections.iter().map(|r| (r.key.to_string(), r.n)).collect();
        self.compare.insert(shard, Acknowledged { revision, digest, rejected });
        self.rejections.insert(shard, rejections);
        self.said.applied.advance(revision);
        self.list_rejections();
        Ok(())
    }

    /// Notes what of a shard the node's release does not know and does not name.
    pub(crate) fn passes_over(&mut self, shard: Shard, resources: &[(ResourceKey, u64)]) {
        let before = self.passed_over.remove(&shard).unwrap_or_default();
        let reason =
            "the node's release does not know this kind of resource and passes it over: upgrade the node";
        let rejection =
            |(key, n): &(ResourceKey, u64)| Rejection { key: key.clone(), n: *n, reason: reason.to_owned() };
        let now: Vec<Rejection> = resources.iter().take(MOST_REJECTIONS).map(rejection).collect();
        let is_news = before != now;
        if !now.is_empty() {
            self.passed_over.insert(shard, now);
        }
        if is_news {
            self.list_rejections();
        }
    }

    fn list_rejections(&mut self) {
        let all = self.rejections.values().chain(self.passed_over.values()).flatten();
        self.said.rejections = all.take(MOST_REJECTIONS).cloned().collect();
        self.changed = true;
    }

    /// Notes a heartbeat.
    pub(crate) fn heartbeat(&mut self, beat: &wire::Heartbeat) -> Result<(), ConvertError> {
        let applied = positions_from_wire(&beat.applied)?;
        let shipped = positions_from_wire(&beat.shipped)?;
        self.changed |= applied != self.said.applied
            || shipped != self.said.shipped
            || beat.draining != self.said.draining
            || beat.limiter_mode != self.said.limiter_mode;
        self.said.applied = applied;
        self.said.shipped = shipped;
        self.said.journal_pending_records = beat.journal_pending_records;
        self.said.journal_pending_bytes = beat.journal_pending_bytes;
        self.said.journal_horizon_seconds = beat.journal_horizon_seconds;
        self.said.in_flight_calls = beat.in_flight_calls;
        self.said.draining = beat.draining;
        self.said.limiter_mode = bounded(&beat.limiter_mode, 16);
        self.said.answers = beat.answers.map(|answers| (answers, beat.answers_failed.min(answers)));
        Ok(())
    }

    /// What a node said last that drains.
    pub(crate) fn last_words(&self) -> Option<Heartbeat> {
        self.said.draining.then(|| self.said.clone())
    }

    /// How far the node is.
    pub(crate) const fn applied(&self) -> &Position {
        &self.said.applied
    }

    /// What is to be written now, if anything.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Heartbeat> {
        let lazy = self.written_at.is_none_or(|at| now.duration_since(at) >= LAZY);
        if !self.changed && !lazy {
            return None;
        }
        self.changed = false;
        self.written_at = Some(now);
        Some(self.said.clone())
    }

    /// The acknowledgements that wait to be compared.
    pub(crate) fn take_acknowledged(&mut self) -> Vec<Acknowledged> {
        self.compare.drain().map(|(_, acknowledged)| acknowledged).collect()
    }

    /// Puts one back that could not be compared yet, unless a newer one came.
    pub(crate) fn compare_later(&mut self, acknowledged: Acknowledged) {
        self.compare.entry(acknowledged.revision.shard).or_insert(acknowledged);
    }
}

fn rejection(message: wire::Rejection) -> Result<Rejection, ConvertError> {
    const MISSING: ConvertError =
        ConvertError { message: "Rejection", field: "key", problem: tidegate_proto::Problem::Missing };
    let key: ResourceKey = message.key.ok_or(MISSING)?.try_into()?;
    Ok(Rejection { key, n: message.n, reason: bounded(&message.reason, LONGEST_REASON) })
}

/// The beginning of a text, without control characters.
fn bounded(text: &str, characters: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(characters).collect()
}
