//! A node that runs: what can be seen of it, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_limits::Limiter;
use tidegate_policy::Config;
use tidegate_proxy::Gateway;
use tidegate_types::NodeId;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::grants;
use crate::journal::Journal;
use crate::link::Link;
use crate::pulse::Pulse;

/// A node that runs. End it with [`RunningNode::drain`].
pub struct RunningNode {
    pub(crate) node_id: NodeId,
    pub(crate) pool: String,
    pub(crate) gateway_address: SocketAddr,
    pub(crate) metrics_address: SocketAddr,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) link: Arc<Link>,
    pub(crate) limiter: Limiter,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) drain_asked: CancellationToken,
    /// Ends accepting.
    pub(crate) stop_accepting: CancellationToken,
    /// Ends everything else.
    pub(crate) stop: CancellationToken,
    pub(crate) connections: TaskTracker,
    pub(crate) tasks: TaskTracker,
    pub(crate) ship_at_end: Duration,
}

impl std::fmt::Debug for RunningNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningNode").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

impl RunningNode {
    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The node's pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway_address
    }

    /// Where `/metrics`, `/livez`, `/readyz` are.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Whether the node serves: complete configuration, keys can be checked, the journal takes
    /// records, not draining.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pulse.judge()
    }

    /// What the node holds.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.pulse.handle.config
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Waits until the control plane asks this node to drain.
    pub async fn drain_asked(&self) {
        self.drain_asked.cancelled().await;
    }

    /// Not ready any more, and serving for so long all the same: who balances callers has seen it by then,
    /// and callers that keep connections have been told to make new ones.
    pub async fn leave(&self, lead: Duration) {
        if lead.is_zero() {
            return;
        }
        self.pulse.draining.cancel();
        self.pulse.judge();
        self.gateway.leave();
        sleep(lead).await;
    }

    /// Ends the node: not ready, no new connections, running answers up to `drain_timeout`, then
    /// everything settled and shipped (30 s at most), then all tasks. What could not be shipped
    /// stays in the state folder for the next start.
    pub async fn drain(self, drain_timeout: Duration) {
        self.pulse.draining.cancel();
        self.pulse.judge();
        self.stop_accepting.cancel();
        self.gateway.drain(drain_timeout).await;
        self.connections.close();
        if timeout(Duration::from_secs(5), self.connections.wait()).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain");
        }
        let settled = timeout(self.ship_at_end, async {
            self.limiter.idle().await;
            grants::give_up(&self.link, self.journal.boot()).await;
        });
        let shipped = timeout(self.ship_at_end, self.shipped());
        let (settled, shipped) = tokio::join!(settled, shipped);
        if settled.is_err() || shipped.is_err() {
            let left = self.journal.status().pending_records;
            tracing::warn!(left, "not everything was settled and shipped; the rest stays on disk");
        }
        self.end().await;
    }

    async fn shipped(&self) {
        while self.journal.status().pending_records > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let (handle, journal) = (Arc::clone(&self.pulse.handle), Arc::clone(&self.journal));
        let ended = tokio::task::spawn_blocking(move || {
            handle.stop_keeping();
            journal.close();
        });
        if ended.await.is_err() {
            tracing::error!("closing the state folder ended in a panic");
        }
    }
}

impl Drop for RunningNode {
    /// A node that is dropped without a drain stops as a killed one does: nothing is lost, what is
    /// unfinished is unresolved.
    fn drop(&mut self) {
        self.stop_accepting.cancel();
        self.stop.cancel();
    }
}
