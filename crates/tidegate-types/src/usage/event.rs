//! Billing events.

use serde::{Deserialize, Serialize};

use super::metered::{MeterMethod, Usage};
use crate::clock::Timestamp;
use crate::id::{
    BudgetId, CallId, CredentialId, KeyId, ModelId, NodeId, OfferingId, OrganizationId, PriceId, ProviderId,
    TeamId,
};
use crate::label::LabelHash;
use crate::money::NanoUsd;
use crate::revision::Revision;

/// Place of a record in a node's journal. Sequences have no gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey {
    /// The node; must be the one of the certificate.
    pub node_id: NodeId,
    /// Start of the process that wrote it: microseconds since the unix epoch.
    pub boot: u64,
    /// Lane of the journal.
    pub lane: u16,
    /// Place in the lane, from 1.
    pub sequence: u64,
}

/// What a billing event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// An attempt is about to be sent.
    Intent,
    /// How the attempt ended.
    Final,
    /// A later finding about an ended attempt.
    Correction,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not ended yet (intents).
    Open,
    /// Complete.
    Completed,
    /// The provider answered with an error before any event; nothing is billed.
    Refused,
    /// Never sent; nothing is billed.
    NotSent,
    /// The client left or the stream broke, and usage is known or counted.
    Interrupted,
    /// Sent, and nobody knows whether it was billed: stays against the budget, is not charged.
    Unresolved,
}

/// Who pays the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialType {
    /// The operator; the organization is charged.
    System,
    /// The organization, directly.
    Byok,
    /// The caller's own sign-in, passed through.
    Client,
}

/// A budget's part of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBudget {
    /// The budget.
    pub budget_id: BudgetId,
    /// First instant of the window that was chosen at admission.
    pub window_start: Timestamp,
    /// First instant after it.
    pub window_end: Timestamp,
    /// Reserved (0 for budgets that only count).
    pub amount: NanoUsd,
}

/// What happened to one attempt. Unique for ever by (call, attempt, kind), an
/// intent's further steps aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingEvent {
    /// The call.
    pub call_id: CallId,
    /// The attempt within the call, from 0.
    pub attempt: u16,
    /// What is said.
    pub kind: EventKind,
    /// Of an intent. 0: the attempt begins. Higher: its hold was added to, and `holds` are what is held
    /// from then on, in all.
    #[serde(default)]
    pub step: u16,
    /// When it happened (node's clock).
    pub at: Timestamp,
    /// Whose call.
    pub organization_id: OrganizationId,
    /// Whose key.
    pub team_id: TeamId,
    /// The key.
    pub key_id: KeyId,
    /// The model.
    pub model_id: ModelId,
    /// The provider.
    pub provider_id: ProviderId,
    /// The offering.
    pub offering_id: OfferingId,
    /// The credential; `None` for a caller's own.
    pub credential_id: Option<CredentialId>,
    /// Who pays.
    pub credential_type: CredentialType,
    /// The price chosen at admission; `None`: the policy's ceiling price.
    pub price_id: Option<PriceId>,
    /// The ceiling price per token, when no price is known, in pico-USD.
    pub ceiling_pico: Option<i64>,
    /// Budget epoch of the holds.
    pub epoch: u64,
    /// The budgets that the attempt counts towards.
    pub holds: Vec<HeldBudget>,
    /// When an unfinished hold becomes unresolved.
    pub deadline: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the counts come from.
    pub method: MeterMethod,
    /// The counts.
    pub usage: Usage,
    /// The charge, as the node computed it.
    pub cost: NanoUsd,
    /// Revision of the organization's configuration that decided.
    pub revision: Revision,
    /// Keyed hash of the end user.
    pub end_user: Option<LabelHash>,
    /// Keyed hashes of the tags (`name=value`).
    pub tags: Vec<LabelHash>,
    /// Nothing was sent: the answer came from the response cache, and so much of what `usage` costs is
    /// charged for it, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_percent: Option<u8>,
    /// What it holds lies on what its process has of the budgets in advance.
    #[serde(default)]
    pub in_advance: bool,
}
