//! What others are told of changes as they are applied.

use tidegate_policy::Revocation;
use tidegate_types::OrganizationId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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
    /// Keys that lost access.
    pub(crate) revoked: UnboundedReceiver<Revocation>,
}

/// Both ends.
pub(crate) fn told() -> (Tells, Told) {
    let ((budgets, budgets_told), (revoked, revoked_told)) = (unbounded_channel(), unbounded_channel());
    (Tells { budgets, revoked }, Told { budgets: budgets_told, revoked: revoked_told })
}

impl Tells {
    pub(super) fn of(
        &self,
        budgets: impl IntoIterator<Item = OrganizationId>,
        revoked: impl IntoIterator<Item = Revocation>,
    ) {
        send(&self.budgets, budgets);
        send(&self.revoked, revoked);
    }
}

fn send<T>(to: &UnboundedSender<T>, all: impl IntoIterator<Item = T>) {
    all.into_iter().for_each(|one| {
        // Nobody listens only while the node ends.
        let _ = to.send(one);
    });
}
