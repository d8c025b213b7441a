//! Who the node is: its keys, made here and never sent, and the certificate the control plane
//! gave for them.

mod enrol;
mod renew;

use std::sync::Arc;

use prost::Message;
use tidegate_proto::enroll::EnrollResponse;
use tidegate_secrets::SecretsError;
use tidegate_secrets::ca::{self, NodeKey};
use tidegate_secrets::copy::Reserve;
use tidegate_secrets::parts::{put, take};
use tidegate_secrets::pem;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_types::{Clock, NodeId, Timestamp};
use tonic::transport::Channel;
use zeroize::Zeroizing;

pub use enrol::Enrolling;
pub(crate) use renew::{Renewing, keep_fresh};

use crate::copy::{self, Beginning};
use crate::error::{NodeError, Problem};
use crate::link::{ControlPlane, dial};
use crate::state::State;

/// The identity that the state folder holds while it is valid, else a fresh one: by enrolment, or by the copy of the
/// configuration where the control plane is away and there never was any.
pub(crate) async fn obtain(
    state: &State,
    enrolling: &Enrolling,
    beginning: Option<&Arc<Beginning>>,
    clock: &dyn Clock,
) -> Result<Identity, NodeError> {
    match Identity::load(state)? {
        Some(held) if held.not_after() > clock.now() => Ok(held),
        // What such a node owes is its own: it does not become another one.
        Some(_) => enrolling.enrol(state, None, clock).await,
        None => enrolling.enrol(state, beginning, clock).await,
    }
}

/// Whom a state folder belongs to, and until when its certificate is valid; `None` before enrolment. May be asked
/// beside a running node; changes nothing.
///
/// # Errors
/// When the folder cannot be read, or what lies there is no identity.
pub fn held_in(folder: &std::path::Path) -> Result<Option<(NodeId, Timestamp)>, NodeError> {
    let Some(bytes) = State::peek(folder, FILE)? else { return Ok(None) };
    let identity = Identity::from_bytes(&bytes)?;
    Ok(Some((identity.node_id, identity.not_after())))
}

/// Gives the identity up, durably.
pub(crate) fn forget(state: &State) -> Result<(), NodeError> {
    // A reserve that was its own is nobody's any more.
    copy::forget(state)?;
    state.remove(FILE)
}

const FILE: &str = "identity";

/// Keys and certificate.
pub(crate) struct Identity {
    pub(crate) node_id: NodeId,
    pub(crate) pool: String,
    pub(crate) sealing: SealingKeyPair,
    key: NodeKey,
    answer: EnrollResponse,
    obtained: Timestamp,
}

impl Identity {
    /// Checks that the control plane's answer is a certificate for a node, and for this key's use.
    fn new(
        key: NodeKey,
        sealing: SealingKeyPair,
        answer: EnrollResponse,
        obtained: Timestamp,
    ) -> Result<Self, NodeError> {
        let leaf = answer.certificate_chain.first().ok_or_else(|| bad("it holds no certificate"))?;
        let named = ca::node_identity(leaf).map_err(bad)?;
        if named.node_id.to_string() != answer.node_id || named.pool != answer.pool {
            return Err(bad("its certificate names another node"));
        }
        Ok(Self { node_id: named.node_id, pool: named.pool, sealing, key, answer, obtained })
    }

    /// The identity that lies in a copy of the configuration. It is renewed as soon as somebody can: whoever opens a copy
    /// has its key.
    pub(crate) fn of_reserve(reserve: &Reserve) -> Result<Self, NodeError> {
        let key = NodeKey::from_bytes(&reserve.key.expose()).map_err(bad)?;
        let sealing = SealingKeyPair::from_bytes(reserve.sealing.expose()).map_err(bad)?;
        let answer = EnrollResponse::decode(reserve.answer.as_slice()).map_err(bad)?;
        Self::new(key, sealing, answer, Timestamp::from_micros(0))
    }

    /// The identity that the state folder holds; `None` before enrolment.
    pub(crate) fn load(state: &State) -> Result<Option<Self>, NodeError> {
        let Some(bytes) = state.read(FILE)? else { return Ok(None) };
        Self::from_bytes(&bytes).map(Some)
    }

    pub(crate) fn store(&self, state: &State) -> Result<(), NodeError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        put(&mut bytes, &self.key.expose());
        put(&mut bytes, self.sealing.expose());
        put(&mut bytes, &self.obtained.as_micros().to_be_bytes());
        put(&mut bytes, &self.answer.encode_to_vec());
        state.write(FILE, &bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, NodeError> {
        let malformed = || NodeError::state(FILE, "malformed");
        let mut rest = bytes;
        let mut next = || take(&mut rest).ok_or_else(malformed);
        let key = NodeKey::from_bytes(next()?).map_err(|error| NodeError::state(FILE, error))?;
        let seed: &[u8; 32] = next()?.try_into().map_err(|_| malformed())?;
        let sealing = SealingKeyPair::from_bytes(seed).map_err(|error| NodeError::state(FILE, error))?;
        let obtained: [u8; 8] = next()?.try_into().map_err(|_| malformed())?;
        let answer = EnrollResponse::decode(next()?).map_err(|_| malformed())?;
        Self::new(key, sealing, answer, Timestamp::from_micros(i64::from_be_bytes(obtained)))
    }

    /// Signs a text with the certificate's key.
    pub(crate) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SecretsError> {
        self.key.sign(text)
    }

    /// The certificate itself, DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        self.answer.certificate_chain.first().map_or(&[], |leaf| leaf)
    }

    /// When the certificate ends.
    pub(crate) fn not_after(&self) -> Timestamp {
        Timestamp::from_micros(self.answer.not_after_micros)
    }

    /// When a third of the certificate's time has elapsed.
    pub(crate) fn renew_at(&self) -> Timestamp {
        self.obtained.plus_millis(self.not_after().millis_since(self.obtained) / 3)
    }

    /// A channel that shows this certificate.
    pub(crate) fn dial(&self, control: &ControlPlane) -> Result<Channel, NodeError> {
        let roots: String = std::iter::once(control.roots_pem.clone())
            .chain(self.answer.trust_roots.iter().map(|root| pem::certificate(root)))
            .collect();
        let chain: String = self.answer.certificate_chain.iter().map(|der| pem::certificate(der)).collect();
        let key = pem::private_key(&self.key.expose());
        dial(control, &roots, Some((&chain, key.expose())))
    }
}

fn bad(problem: impl Into<Problem>) -> NodeError {
    NodeError::enrolment(problem)
}
