//! What others are told of changes as they are applied.

use tidegate_types::OrganizationId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::revocations::Revocation;

/// The end that tells.
pub(crate) struct Tells {
    budgets: UnboundedSender<OrganizationId>,
    revoked: UnboundedSender<Revocation>,
}

/// The end that is told.
#[derive(Debug)]
pub(crate) struct Told {
    /// Organizations whose budgets changed.
    pub(crate) budgets: UnboundedReceiver<OrganizationId>,
    /// Keys that were revoked.
    pub(crate) revoked: UnboundedReceiver<Revocation>,
}

/// Both ends.
pub(crate) fn told() -> (Tells, Told) {
    let ((budgets, budgets_told), (revoked, revoked_told)) = (unbounded_channel(), unbounded_channel());
    (Tells { budgets, revoked }, Told { budgets: budgets_told, revoked: revoked_told })
}

impl Tells {
    // Nobody listens only while the node ends.

    pub(super) fn of_budgets(&self, organizations: impl IntoIterator<Item = OrganizationId>) {
        organizations.into_iter().for_each(|organization| {
            let _ = self.budgets.send(organization);
        });
    }

    pub(super) fn of_revoked(&self, keys: Vec<Revocation>) {
        keys.into_iter().for_each(|key| {
            let _ = self.revoked.send(key);
        });
    }
}
