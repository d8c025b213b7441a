//! Provider credentials.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{CredentialId, OrganizationId, TeamId};
use crate::resource::{Areas, ZdrTier};
use crate::slug::ProviderSlug;

/// Whose credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum CredentialScope {
    /// The operator's own; calls over it are charged.
    System,
    /// The organization's own (BYOK).
    Organization,
    /// One team's own (BYOK).
    Team {
        /// The team.
        team_id: TeamId,
    },
}

/// What the sealed bytes hold once opened (a JSON object with these fields).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretForm {
    /// `{"api_key": "…", "resource"?, "region"?, "project"?, "location"?: "…"}`: the further fields
    /// fill the places of base URLs (see [`Place`](crate::resource::Place)).
    ApiKey,
    /// `{"access_key_id": "…", "secret_access_key": "…", "session_token"?: "…", "region": "…"}`.
    Aws,
    /// `{"client_email": "…", "private_key": "…", "private_key_id"?: "…", "project": "…", "location": "…"}`.
    GoogleServiceAccount,
}

/// The secret, encrypted under one version of a pool's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The pool whose nodes can open it.
    pub pool: String,
    /// Version of the pool's key.
    pub pool_key_version: u32,
    /// Version of the credential's secret (part of the associated data).
    pub secret_version: u32,
    /// AES-256-GCM: nonce (12 bytes), ciphertext, tag.
    pub bytes: Vec<u8>,
}

/// A credential as nodes see it: sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its owner; [`OrganizationId::SYSTEM`] for system credentials.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: CredentialId,
    /// Name for people.
    pub name: String,
    /// Whose it is.
    pub scope: CredentialScope,
    /// The provider it signs in at.
    pub provider: ProviderSlug,
    /// What the opened secret holds.
    pub form: SecretForm,
    /// Not used while false.
    pub enabled: bool,
    /// Lower is tried first.
    pub position: i32,
    /// Its share of the calls among credentials of the same position, from 1; of those without one, the first
    /// gets them all, unless another has one: then they count 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The secret, once per pool.
    pub sealed: Vec<SealedSecret>,
    /// The region that the secret names: what is known of a provider's regions holds by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What its owner says of the terms under which it is used; counts for own credentials only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
}

/// An organization's statement that its own contract with a provider meets a tier, or says where calls are processed. Who gave it, and when,
/// is in the audit log as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The strictest tier whose demands the contract meets.
    pub tier: ZdrTier,
    /// All areas in which calls over it are processed; empty: nothing is said of that.
    #[serde(default, skip_serializing_if = "Areas::is_empty")]
    pub areas: Areas,
    /// The contract: its number, or where it lies.
    pub statement: String,
    /// Who stated it.
    pub by: String,
    /// When.
    pub attested_at: Timestamp,
    /// Counts as not given from this time on.
    pub expires_at: Timestamp,
}
