//! Trust rules: whose signed tokens (OIDC, Kubernetes service accounts) may call in place of a virtual key.
//!
//! A token that fits a rule acts as the rule's key: that key's team, limits, policies and budgets hold. Which
//! organization's rules are asked is never for a rule to say: the caller names the organization, by the
//! audience that its token was made for or beside the token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{KeyId, OrganizationId, TrustRuleId};

/// A public key of an issuer; its kind decides the one algorithm that it verifies.
/// Members are base64url without padding, as in a JWK (RFC 7518 section 6, RFC 8037 section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IssuerKeyMaterial {
    /// RS256, 2,048 to 8,192 bits.
    Rsa {
        /// Modulus.
        n: String,
        /// Public exponent.
        e: String,
    },
    /// ES256: the curve P-256.
    P256 {
        /// First coordinate.
        x: String,
        /// Second coordinate.
        y: String,
    },
    /// EdDSA: Ed25519.
    Ed25519 {
        /// The public key.
        x: String,
    },
}

/// One signing key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IssuerKey {
    /// Its name in token headers; empty when the issuer gives none.
    pub kid: String,
    /// The key.
    pub material: IssuerKeyMaterial,
    /// Refused from this time on: set when the issuer withdrew it.
    pub until: Option<Timestamp>,
}

/// Whose tokens may act as a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRule {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Identity.
    pub id: TrustRuleId,
    /// Name for people, unique in the organization.
    pub name: String,
    /// The key as which callers act.
    pub key_id: KeyId,
    /// `iss`, compared as it is.
    pub issuer: String,
    /// Must be among `aud`.
    pub audience: String,
    /// Claims that must have one of the values. A name that begins with `/` is a JSON pointer.
    pub claims: BTreeMap<String, Vec<String>>,
    /// The claim that usage shows as the principal; `None`: a hash of `iss` and `sub`.
    pub principal_claim: Option<String>,
    /// Longest life of a token (`exp` less `iat`) in seconds.
    pub longest_life_seconds: u32,
    /// Whether the keys come from the issuer's discovery document, not from the organization.
    pub discovered: bool,
    /// The issuer's keys; none until they were fetched.
    pub keys: Vec<IssuerKey>,
}

/// An issuer whose tokens are one organization's callers where they say nothing else: the platform's operator says
/// so, never an organization, so that nobody can take another one's callers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundIssuer {
    /// `iss`, compared as it is.
    pub issuer: String,
    /// Of these audiences only; none: whatever the audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
}

impl BoundIssuer {
    /// Whether it speaks of this issuer's tokens for this audience.
    #[must_use]
    pub fn covers(&self, issuer: &str, audience: &str) -> bool {
        self.issuer == issuer
            && (self.audiences.is_empty() || self.audiences.iter().any(|own| own == audience))
    }
}

/// The organization that an audience is bound to: the one whose id it ends with. A token's audience is chosen
/// by whoever asks for the token, so that nobody's rule can take the callers of another organization.
#[must_use]
pub fn bound_organization(audience: &str) -> Option<OrganizationId> {
    audience.rfind("org_").and_then(|at| audience.get(at..)?.parse().ok())
}

impl TrustRule {
    /// Whether its tokens name its organization, by their audience or by an issuer that is bound to it; else callers
    /// name it beside their tokens.
    #[must_use]
    pub fn is_bound(&self, issuers: &[BoundIssuer]) -> bool {
        match bound_organization(&self.audience) {
            Some(named) => named == self.organization_id,
            None => issuers.iter().any(|bound| bound.covers(&self.issuer, &self.audience)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_bound_to_the_one_organization_whose_id_it_ends_with() {
        let (one, other) = (OrganizationId::from_u128(1), OrganizationId::from_u128(2));
        for audience in [one.to_string(), format!("tidegate/{one}"), format!("https://x/{other}:{one}")] {
            assert_eq!(bound_organization(&audience), Some(one), "{audience}");
        }
        for audience in ["", "org_", "tidegate-acme", "org_1", "é", &format!("{one}/"), &format!("{one}0")] {
            assert_eq!(bound_organization(audience), None, "{audience}");
        }
    }
}
