//! What the request's path asks of the node that carries it.
//!
//! The node implements these: journal, opener of budget epochs, keeper of opened secrets.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tidegate_secrets::virtual_key::Peppers;
use tidegate_types::OrganizationId;
use tidegate_types::resource::Credential;
use tidegate_types::usage::{BillingEvent, CallRecord};
use tidegate_upstream::SignIn;

/// One thing to be written down.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// What happened to an attempt.
    Event(&'a BillingEvent),
    /// How a call went.
    Call(&'a CallRecord),
}

/// The journal takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is full")]
pub struct JournalFull;

/// The journal.
pub trait Records: Send + Sync + 'static {
    /// Writes a record, at once and without waiting for the disk. Called on the request's
    /// task. Whoever accepts an intent keeps room for its final event and its call record:
    /// those are refused only when the disk itself fails.
    ///
    /// # Errors
    /// [`JournalFull`] when there is no room; an intent that is refused stops the call.
    fn append(&self, record: Record<'_>) -> Result<(), JournalFull>;
}

/// Nobody can say right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authority over budgets is away")]
pub struct Unavailable;

/// The authority over budget epochs.
pub trait Authority: Send + Sync + 'static {
    /// Opens the organization's current epoch in the counters, after they said that there is
    /// none (or another). Many callers at once may ask for the same; one asks on. Bounded in
    /// time by the implementation. Dropping the future ends the waiting, not the opening.
    ///
    /// # Errors
    /// [`Unavailable`] when it cannot be opened now.
    fn open_epoch(&self, organization: OrganizationId) -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// The keeper of secrets that are open in memory only.
pub trait Vault: Send + Sync + 'static {
    /// The sign-in of a credential, `None` while it cannot be opened (no pool key, foreign pool).
    /// Called for each attempt: answers from memory, opened once per secret version.
    fn sign_in(&self, credential: &Credential) -> Option<Arc<SignIn>>;

    /// The peppers of virtual keys, `None` before the first pool key. Called for each request:
    /// hands out a shared handle.
    fn peppers(&self) -> Option<Arc<Peppers>>;
}
