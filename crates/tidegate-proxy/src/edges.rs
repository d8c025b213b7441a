//! What the request's path asks of the node that carries it.
//!
//! The node implements these: journal, opener of budget epochs, keeper of opened secrets, and the way to
//! ask the control plane.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tidegate_secrets::virtual_key::Peppers;
use tidegate_types::resource::Credential;
use tidegate_types::usage::{BillingEvent, CallRecord, Usage};
use tidegate_types::{CallId, LabelHash, NanoUsd, OrganizationId, Timestamp, TrustRuleId};
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

/// A record's place among those that are written together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// Which lane of the journal.
    pub lane: u16,
    /// Which of that lane's records.
    pub ticket: u64,
}

/// The journal.
pub trait Records: Send + Sync + 'static {
    /// Writes a record, at once and without waiting for the disk. Called on the request's
    /// task. Whoever accepts an intent keeps room for its final event and its call record:
    /// those are refused only when the disk itself fails.
    ///
    /// # Errors
    /// [`JournalFull`] when there is no room; an intent that is refused stops the call.
    fn append(&self, record: Record<'_>) -> Result<(), JournalFull>;

    /// Takes an intent that [`Self::land`] writes, with those of other calls that were taken by then: one
    /// write for all of them. Whoever stages must land, also to give up.
    ///
    /// # Errors
    /// As [`Self::append`].
    fn stage(&self, intent: &BillingEvent) -> Result<Staged, JournalFull>;

    /// Returns when what was staged is written, as [`Self::append`] does.
    ///
    /// # Errors
    /// As [`Self::append`]: then it is not written.
    fn land(&self, staged: Staged) -> Result<(), JournalFull>;

    /// Writes the end of a call's last attempt and the call's record together: both or neither.
    ///
    /// # Errors
    /// As [`Self::append`].
    fn append_last(&self, event: &BillingEvent, call: &CallRecord) -> Result<(), JournalFull>;
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

/// A call as the control plane stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// When it began.
    pub created_at: Timestamp,
    /// `creator/name` of the model that answered; empty when none did.
    pub model: String,
    /// Slug of the provider that answered; empty when none did.
    pub provider: String,
    /// The organization's own credential was used.
    pub byok: bool,
    /// A stream was asked for.
    pub stream: bool,
    /// How it ended, for example `answered`.
    pub outcome: String,
    /// What it cost.
    pub cost: NanoUsd,
    /// What it used.
    pub usage: Usage,
    /// Milliseconds to the first event.
    pub ttft_ms: Option<u32>,
    /// Milliseconds to the end.
    pub duration_ms: u32,
    /// Who could have answered, in this order; empty where that says no more than the attempts.
    pub candidates: Vec<PlannedStep>,
    /// Who was taken out.
    pub removed: Vec<RemovedStep>,
    /// Who was tried, in order.
    pub attempts: Vec<AttemptStep>,
}

/// Who could have answered a call. Names are empty where what they name is gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// The model.
    pub model: String,
    /// The provider.
    pub provider: String,
    /// Who would have paid: `system`, `byok` or `client`.
    pub credential_type: String,
    /// Why it is there: `named`, `drawn`, `undrawn`, `fallback` or `wished`.
    pub role: String,
    /// How it fared: `fine`, `degraded`, `down` or `cooling`.
    pub standing: String,
    /// A last resort for that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ejected: bool,
}

/// Who was taken out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedStep {
    /// The model; empty where a name means none.
    pub model: String,
    /// The provider; empty where the model was taken out as a whole.
    pub provider: String,
    /// By which filter.
    pub filter: String,
}

/// Who was tried.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptStep {
    /// The model.
    pub model: String,
    /// The provider.
    pub provider: String,
    /// Who paid: `system`, `byok` or `client`.
    pub credential_type: String,
    /// HTTP status; 0 when none came.
    pub status: u16,
    /// How it ended; empty where it was not kept.
    pub outcome: String,
    /// Milliseconds from the call's start.
    pub started_ms: u32,
    /// Milliseconds to its end.
    pub duration_ms: u32,
}

/// What to sum, in the words of the request; empty: all.
#[derive(Debug, Clone, Default)]
pub struct ReportQuery {
    /// First and last day, `YYYY-MM-DD`, UTC.
    pub days: (String, String),
    /// What rows stand for.
    pub group_by: String,
    /// `day` or `hour`.
    pub date_part: String,
    /// Only this end user.
    pub user: Option<LabelHash>,
    /// Only this model.
    pub model: String,
    /// Only this provider.
    pub provider: String,
    /// Only this type of credential.
    pub credential_type: String,
    /// Only with these tags.
    pub tags: Vec<LabelHash>,
    /// With all of them.
    pub all_tags: bool,
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// What it stands for.
    pub key: String,
    /// Everything metered.
    pub cost: NanoUsd,
    /// What was used; `requests` counts calls that were sent upstream.
    pub usage: Usage,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The control plane is away.
    #[error("the control plane is away")]
    Away,
    /// Nothing is stored under this id (yet).
    #[error("nothing is stored under this id (yet)")]
    NotFound,
    /// The question is wrong; in its words.
    #[error("{0}")]
    Wrong(String),
}

/// The way to ask the control plane. Bounded in time by the implementation.
pub trait Questions: Send + Sync + 'static {
    /// Everything that was ever charged to the organization.
    fn charged_ever(&self, organization: OrganizationId) -> BoxFuture<'_, Result<NanoUsd, NoAnswer>>;

    /// One call of the organization.
    fn generation(
        &self,
        organization: OrganizationId,
        call: CallId,
    ) -> BoxFuture<'_, Result<Generation, NoAnswer>>;

    /// Sums of the organization's calls.
    fn report(
        &self,
        organization: OrganizationId,
        query: ReportQuery,
    ) -> BoxFuture<'_, Result<Vec<ReportRow>, NoAnswer>>;

    /// A token named a key of a trust rule's issuer that is not known here: has it asked for, beside the
    /// request's way. Returns at once; many calls ask once.
    fn want_issuer_keys(&self, _organization: OrganizationId, _rule: TrustRuleId) {}
}
