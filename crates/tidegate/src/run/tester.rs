//! Lets the management API have credentials tried by the nodes that the config push speaks with.

use tidegate_admin::{CredentialTester, CredentialTrial, Later, NotTried};
use tidegate_push::{CommandError, Commands};
use tidegate_store::{Store, placement};
use tidegate_types::{CredentialId, OrganizationId};

/// The commands of the config push, and the store, which knows who is served where.
pub(crate) struct Tester {
    pub(crate) commands: Commands,
    pub(crate) store: Store,
}

impl CredentialTester for Tester {
    fn test(
        &self,
        organization: OrganizationId,
        credential: CredentialId,
    ) -> Later<'_, Result<CredentialTrial, NotTried>> {
        Box::pin(async move {
            let pools = placement::serving(&self.store, organization).await.map_err(|error| {
                tracing::warn!(%error, "the organization's pools cannot be read");
                NotTried::NoNode
            })?;
            let tested = self.commands.test_credential(organization, credential, &pools).await;
            let tested = tested.map_err(|error| match error {
                CommandError::NoNode => NotTried::NoNode,
                CommandError::NoAnswer => NotTried::NoAnswer,
            })?;
            let some = |text: String| Some(text).filter(|text| !text.is_empty());
            Ok(CredentialTrial {
                ok: tested.ok,
                code: tested.code,
                status: tested.status,
                error_type: some(tested.error_type),
                latency_ms: tested.latency_ms,
                model: some(tested.model),
                node_id: tested.node_id,
            })
        })
    }
}
