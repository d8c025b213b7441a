//! Which nodes may speak: checked when a stream or call begins, and again every second, so that a
//! revoked node is cut off while it is connected.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_secrets::ca::NodeIdentity;
use tidegate_store::fleet::{self, Node, NodeState};
use tidegate_store::{Store, StoreError, reserves, watch};
use tidegate_types::{Clock, NodeId, Timestamp};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// A node that may speak.
#[derive(Clone)]
pub(crate) struct Admitted {
    pub(crate) node_id: NodeId,
    pub(crate) pool: String,
    /// X25519 public key that pool keys are sealed to.
    pub(crate) sealing_key: [u8; 32],
    /// Its certificate's end: nothing of it is heard after that.
    pub(crate) not_after: Timestamp,
    /// Cancelled when the node is revoked or drained.
    pub(crate) gone: CancellationToken,
}

/// The nodes that were admitted by this control plane.
pub(crate) struct Nodes {
    store: Store,
    clock: Arc<dyn Clock>,
    gone: Mutex<HashMap<NodeId, CancellationToken>>,
}

impl Nodes {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, gone: Mutex::new(HashMap::new()) }
    }

    /// Lets a node in, or says why not.
    pub(crate) async fn admit(&self, identity: NodeIdentity) -> Result<Admitted, Status> {
        if identity.not_after <= self.clock.now() {
            return Err(Status::unauthenticated("the certificate has expired"));
        }
        let node = match fleet::get(&self.store, identity.node_id).await {
            Ok(node) => node,
            Err(StoreError::NotFound) => self.join_reserve(identity.node_id).await?,
            Err(error) => return Err(unavailable(&error)),
        };
        if node.state != NodeState::Enrolled || node.pool != identity.pool {
            return Err(Status::permission_denied("this node may not connect any more"));
        }
        let gone = self.gone.lock().entry(node.id).or_default().clone();
        Ok(Admitted {
            node_id: node.id,
            pool: node.pool,
            sealing_key: node.sealing_key,
            not_after: identity.not_after,
            gone,
        })
    }

    /// A node that began by a copy of the configuration, and connects for the first time.
    async fn join_reserve(&self, id: NodeId) -> Result<Node, Status> {
        let joined = reserves::join(&self.store, id, self.clock.now()).await;
        if joined.map_err(|error| unavailable(&error))? {
            tracing::info!(node = %id, "a node that began by a copy of the configuration has joined the fleet");
        }
        // Also where another call of the same node was faster.
        match fleet::get(&self.store, id).await {
            Ok(node) => Ok(node),
            Err(StoreError::NotFound) => Err(Status::permission_denied("no such node")),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Cuts off a node whose state was found to be other than enrolled.
    pub(crate) fn cut(&self, node: NodeId) {
        if let Some(gone) = self.gone.lock().remove(&node) {
            gone.cancel();
        }
    }

    /// Looks which admitted nodes are out by now, and cuts them off.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        let known: Vec<NodeId> = self.gone.lock().keys().copied().collect();
        for node in watch::retired(&self.store, &known).await? {
            tracing::info!(%node, "node is out of the fleet: cut off");
            self.cut(node);
        }
        Ok(())
    }
}

/// The status of a store that does not answer; its error is logged, not sent.
pub(crate) fn unavailable(error: &StoreError) -> Status {
    tracing::warn!(%error, "the store failed a node's call");
    Status::unavailable("the control plane's database is not available")
}
