//! What was decided for a call about data handling: who called, what was demanded, by what each attempt was
//! allowed. Without content, labels and costs.
//!
//! It is made of the call's record alone, by the node that signs it, by the control plane that keeps it and by
//! whoever verifies it. Its JSON form is what is hashed: fields are only ever added, optional and left out
//! while empty, so that old records keep their hash.

use serde::{Deserialize, Serialize};

use super::call::{CallOutcome, CallRecord, Evidence};
use super::event::CredentialType;
use crate::clock::Timestamp;
use crate::id::{CallId, CredentialId, KeyId, OfferingId, OrganizationId, ProviderId, TeamId};
use crate::resource::{Areas, ZdrTier};
use crate::revision::Revision;

/// The decision about one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The call.
    pub call_id: CallId,
    /// When it began (node's clock).
    pub at: Timestamp,
    /// Whose call.
    pub organization_id: OrganizationId,
    /// Whose key.
    pub team_id: TeamId,
    /// The key.
    pub key_id: KeyId,
    /// The tier that policies and request demanded together.
    pub zdr: ZdrTier,
    /// The areas in which policies and request together allowed it to be processed; absent: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_regions: Option<Areas>,
    /// The configuration it was decided by.
    pub revision: Revision,
    /// How it went for the caller.
    pub outcome: CallOutcome,
    /// HTTP status of the answer.
    pub status: u16,
    /// Whom it was tried at, in order.
    pub attempts: Vec<AttemptDecision>,
}

/// Where an attempt went, and by what it was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptDecision {
    /// The provider.
    pub provider_id: ProviderId,
    /// The offering.
    pub offering_id: OfferingId,
    /// The credential; absent for those of requests, and where nobody signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<CredentialId>,
    /// Whose credential.
    pub credential_type: CredentialType,
    /// HTTP status, 0 when none came.
    pub status: u16,
    /// By what it was allowed; empty where nothing was demanded.
    pub evidence: Vec<Evidence>,
}

impl From<&CallRecord> for Decision {
    fn from(call: &CallRecord) -> Self {
        let attempts = call.attempts.iter().map(|attempt| AttemptDecision {
            provider_id: attempt.provider_id,
            offering_id: attempt.offering_id,
            credential_id: attempt.credential_id,
            credential_type: attempt.credential_type,
            status: attempt.status,
            evidence: attempt.evidence.clone(),
        });
        Self {
            call_id: call.call_id,
            at: call.at,
            organization_id: call.organization_id,
            team_id: call.team_id,
            key_id: call.key_id,
            zdr: call.zdr,
            inference_regions: call.inference_regions,
            revision: call.revision,
            outcome: call.outcome,
            status: call.status,
            attempts: attempts.collect(),
        }
    }
}
