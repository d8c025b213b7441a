//! Commands to nodes and their results: asks one of the nodes that are connected here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_proto::config as wire;
use tidegate_types::{CredentialId, NodeId, OrganizationId};
use tokio::sync::{mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(15);

/// What a session is asked to send to its node.
pub(crate) enum Order {
    /// A command.
    Command(wire::Command),
}

/// The nodes connected to this control plane, as far as commands go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Commands {
    shared: Arc<Shared>,
}

/// A node that is connected here.
struct Connected {
    pool: String,
    orders: mpsc::Sender<Order>,
}

/// Whom to ask.
enum Whom<'a> {
    Node(NodeId),
    /// Any node of these pools.
    OneOf(&'a [String]),
}

#[derive(Default)]
struct Shared {
    next: AtomicU64,
    nodes: Mutex<HashMap<NodeId, Connected>>,
    waiting: Mutex<HashMap<(NodeId, u64), oneshot::Sender<wire::CommandResult>>>,
}

/// How a credential's test ended; without content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// The node that tried it.
    pub node_id: NodeId,
    /// Whether the provider accepted the credential.
    pub ok: bool,
    /// HTTP status of the provider, `None` when none came.
    pub status: Option<u16>,
    /// Enumerated cause, for example `refused`, `unreachable`.
    pub code: String,
    /// The type of the provider's error; empty when it named none.
    pub error_type: String,
    /// Milliseconds that the provider took.
    pub latency_ms: u32,
    /// The model that was asked; empty when none was.
    pub model: String,
}

/// Why a command has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No node is connected to this control plane.
    #[error("no node is connected")]
    NoNode,
    /// The node did not answer in time, or went away.
    #[error("the node did not answer")]
    NoAnswer,
}

impl Commands {
    /// Has a node of one of these pools try a credential at its provider.
    ///
    /// # Errors
    /// When no such node is connected or it does not answer within 15 seconds.
    pub async fn test_credential(
        &self,
        organization: OrganizationId,
        credential: CredentialId,
        pools: &[String],
    ) -> Result<Tested, CommandError> {
        let (organization_id, credential_id) = (organization.to_string(), credential.to_string());
        let test = wire::TestCredential { organization_id, credential_id };
        let (node_id, result) =
            self.ask(Whom::OneOf(pools), wire::command::Command::TestCredential(test)).await?;
        let status = u16::try_from(result.status).ok().filter(|status| *status != 0);
        // A node may say anything; only what could be a name is repeated.
        let word = |text: &str, most| text.chars().filter(char::is_ascii_graphic).take(most).collect();
        Ok(Tested {
            node_id,
            ok: result.ok,
            status,
            code: word(&result.code, 64),
            error_type: word(&result.error_type, 64),
            latency_ms: result.latency_ms,
            model: word(&result.model, 256),
        })
    }

    /// Asks a node to drain: finish its calls, ship everything, end.
    ///
    /// # Errors
    /// When the node is not connected here or does not answer within 15 seconds.
    pub async fn drain(&self, node: NodeId) -> Result<(), CommandError> {
        self.ask(Whom::Node(node), wire::command::Command::Drain(wire::Drain {})).await.map(|_| ())
    }

    async fn ask(
        &self,
        whom: Whom<'_>,
        command: wire::command::Command,
    ) -> Result<(NodeId, wire::CommandResult), CommandError> {
        let (node_id, orders) = self.choose(&whom).ok_or(CommandError::NoNode)?;
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.shared.waiting.lock().insert((node_id, id), answer);
        let exchange = async {
            let order = Order::Command(wire::Command { id, command: Some(command) });
            orders.send(order).await.map_err(|_| CommandError::NoAnswer)?;
            answered.await.map_err(|_| CommandError::NoAnswer)
        };
        let result = tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(CommandError::NoAnswer));
        self.shared.waiting.lock().remove(&(node_id, id));
        result.map(|result| (node_id, result))
    }

    fn choose(&self, whom: &Whom<'_>) -> Option<(NodeId, mpsc::Sender<Order>)> {
        let nodes = self.shared.nodes.lock();
        let (node, connected) = match whom {
            Whom::Node(node) => nodes.get_key_value(node),
            Whom::OneOf(pools) => nodes
                .iter()
                .find(|(_, connected)| !connected.orders.is_closed() && pools.contains(&connected.pool)),
        }?;
        Some((*node, connected.orders.clone()))
    }

    /// A node's session began: where its orders go. A session that was there before is replaced.
    pub(crate) fn connected(&self, node: NodeId, pool: &str) -> mpsc::Receiver<Order> {
        let (orders, receiver) = mpsc::channel(16);
        self.shared.nodes.lock().insert(node, Connected { pool: pool.to_owned(), orders });
        receiver
    }

    /// A node's session ended; another one of the same node may have begun.
    pub(crate) fn disconnected(&self, node: NodeId) {
        let mut nodes = self.shared.nodes.lock();
        if nodes.get(&node).is_some_and(|connected| connected.orders.is_closed()) {
            nodes.remove(&node);
        }
    }

    /// A node answered; an answer that nobody waits for is dropped.
    pub(crate) fn answered(&self, node: NodeId, result: wire::CommandResult) {
        if let Some(answer) = self.shared.waiting.lock().remove(&(node, result.id)) {
            let _ = answer.send(result);
        }
    }
}
