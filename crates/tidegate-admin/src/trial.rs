//! How the management API has a credential tried: by a node, through whoever speaks with nodes.

use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use tidegate_types::{CredentialId, NodeId, OrganizationId};
use utoipa::ToSchema;

/// What a node found out about a credential. Holds nothing of the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CredentialTrial)]
pub struct CredentialTrial {
    /// Whether the provider accepted the credential and answered.
    pub ok: bool,
    /// What happened: `accepted`, `refused`, `limited`, `request_refused`, `provider_failed`, `unreachable`,
    /// `timeout`, `sign_in_failed`, `no_model`, `no_endpoint`, `unknown_credential` (the node does not
    /// have it yet) or `sealed`.
    #[schema(example = "accepted")]
    pub code: String,
    /// HTTP status of the provider; absent when none came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The type of the provider's error; absent when it named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Milliseconds that the provider took.
    pub latency_ms: u32,
    /// The model that was asked; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The node that tried it.
    #[schema(value_type = String)]
    pub node_id: NodeId,
}

/// Nobody could try it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTried {
    /// No node is connected to this control plane.
    NoNode,
    /// The node did not answer in time.
    NoAnswer,
}

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Has nodes try credentials.
pub trait CredentialTester: Send + Sync + 'static {
    /// Has a node try a credential of an organization, or of the system.
    fn test(
        &self,
        organization: OrganizationId,
        credential: CredentialId,
    ) -> Later<'_, Result<CredentialTrial, NotTried>>;
}

/// Where there are no nodes.
pub(crate) struct Nobody;

impl CredentialTester for Nobody {
    fn test(&self, _: OrganizationId, _: CredentialId) -> Later<'_, Result<CredentialTrial, NotTried>> {
        Box::pin(std::future::ready(Err(NotTried::NoNode)))
    }
}

pub(crate) fn nobody() -> Arc<dyn CredentialTester> {
    Arc::new(Nobody)
}
