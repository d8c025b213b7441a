//! Signs what was decided for the calls that are shipped: one signature for each batch, a chain for each
//! organization. Works beside the shipping, never on a request's way.
//!
//! Chains go on from where the control plane has them: what it did not store is taken back, and signed
//! again with the batch that brings its records again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidegate_proto::decision_of;
use tidegate_proto::usage::{DecisionLink, DecisionSeal};
use tidegate_secrets::SecretsError;
use tidegate_secrets::decision::{self, Hash, Link};
use tidegate_types::{CallId, Clock, NodeId, OrganizationId};

use crate::identity::Identity;

/// Number of an organization's last link, and its hash.
type Head = (u64, Hash);

/// What a seal changed: the heads as they were before it.
struct Undo {
    number: u64,
    heads: Vec<(OrganizationId, Option<Head>)>,
}

#[derive(Default)]
struct State {
    boot: u64,
    number: u64,
    heads: HashMap<OrganizationId, Head>,
    undo: VecDeque<Undo>,
}

/// Seals that may wait for their confirmation; a stream has far fewer on their way.
const MOST_UNCONFIRMED: usize = 4096;

/// Signs for one node.
pub(crate) struct Notary {
    node_id: NodeId,
    identity: ArcSwap<Identity>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// The calls of a batch, as far as they are decided.
#[derive(Default)]
pub(crate) struct Docket {
    calls: Vec<(OrganizationId, CallId, Hash)>,
    leaves: decision::Leaves,
}

impl Docket {
    /// Takes up a journal record, if it is a call's.
    pub(crate) fn note(&mut self, payload: &[u8]) {
        let Some(decided) = decision_of(payload) else { return };
        if let Ok(leaf) = self.leaves.of(&decided) {
            self.calls.push((decided.organization_id, decided.call_id, leaf));
        }
    }
}

impl Notary {
    pub(crate) fn new(identity: Arc<Identity>, boot: u64, clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State { boot, ..State::default() });
        Self { node_id: identity.node_id, identity: ArcSwap::new(identity), clock, state }
    }

    /// Signs with a renewed certificate's key from now on.
    pub(crate) fn renew(&self, identity: Arc<Identity>) {
        self.identity.store(identity);
    }

    /// Under which boot it signs.
    pub(crate) fn boot(&self) -> u64 {
        self.state.lock().boot
    }

    /// Goes to where the control plane is. False: it is where nobody remembers (it was restored), so that
    /// new chains begin under another boot, which it must be told.
    pub(crate) fn resume(&self, stored: u64) -> bool {
        let state = &mut *self.state.lock();
        while state.number > stored {
            let Some(undo) = state.undo.pop_back() else {
                let boot = u64::try_from(self.clock.now().as_micros()).unwrap_or(0).max(state.boot + 1);
                *state = State { boot, ..State::default() };
                return false;
            };
            for (organization, head) in undo.heads {
                match head {
                    Some(head) => state.heads.insert(organization, head),
                    None => state.heads.remove(&organization),
                };
            }
            state.number = undo.number - 1;
        }
        true
    }

    /// Everything up to this seal is stored.
    pub(crate) fn confirm(&self, stored: u64) {
        let state = &mut *self.state.lock();
        while state.undo.front().is_some_and(|undo| undo.number <= stored) {
            state.undo.pop_front();
        }
    }

    /// Seals the calls of a batch; `None` when there are none.
    pub(crate) fn seal(&self, docket: Docket) -> Result<Option<DecisionSeal>, SecretsError> {
        if docket.calls.is_empty() {
            return Ok(None);
        }
        let identity = self.identity.load();
        let state = &mut *self.state.lock();
        if state.undo.len() >= MOST_UNCONFIRMED {
            return Err(SecretsError::Certificate("no seal is confirmed"));
        }
        let links = self.links(docket, state);
        let hashes: Vec<Hash> = links.iter().map(Link::hash).collect();
        let (number, at) = (state.number + 1, self.clock.now());
        let text = decision::signed_text(self.node_id, state.boot, number, at, &decision::root(&hashes));
        let signature = identity.sign(&text)?;
        let mut undo = Undo { number, heads: Vec::with_capacity(links.len()) };
        for (link, hash) in links.iter().zip(&hashes) {
            let before = state.heads.insert(link.organization_id, (link.number, *hash));
            undo.heads.push((link.organization_id, before));
        }
        state.undo.push_back(undo);
        state.number = number;
        let links = links.into_iter().map(|link| DecisionLink {
            organization_id: link.organization_id.to_u128().to_be_bytes().to_vec(),
            number: link.number,
            previous: link.previous.to_vec(),
        });
        Ok(Some(DecisionSeal {
            boot: state.boot,
            number,
            at_micros: at.as_micros(),
            links: links.collect(),
            signature,
            certificate: identity.certificate().to_vec(),
        }))
    }

    /// The links of a batch, in the order in which their organizations first appear.
    fn links(&self, docket: Docket, state: &State) -> Vec<Link> {
        let mut order = Vec::new();
        let mut groups: BTreeMap<OrganizationId, (Vec<CallId>, Vec<Hash>)> = BTreeMap::new();
        for (organization, call, leaf) in docket.calls {
            let group = groups.entry(organization).or_insert_with(|| {
                order.push(organization);
                Default::default()
            });
            group.0.push(call);
            group.1.push(leaf);
        }
        let link = |organization_id: OrganizationId| {
            let (calls, leaves) = groups.remove(&organization_id).unwrap_or_default();
            let (number, previous) = state.heads.get(&organization_id).copied().unwrap_or_default();
            Link {
                node_id: self.node_id,
                boot: state.boot,
                organization_id,
                number: number + 1,
                previous,
                calls,
                records: decision::records(&leaves),
            }
        };
        order.into_iter().map(link).collect()
    }
}
