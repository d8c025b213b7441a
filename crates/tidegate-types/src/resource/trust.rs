//! Trust rules: whose signed tokens (OIDC, Kubernetes service accounts) may call in place of a virtual key.
//!
//! A token that fits a rule acts as the rule's key: that key's team, limits, policies and budgets hold.

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

impl TrustRule {
    /// Whether some token could fit both rules: same issuer and audience, and no claim that both name
    /// with different values.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.audience == other.audience
            && !self.claims.iter().any(|(name, values)| {
                other
                    .claims
                    .get(name)
                    .is_some_and(|others| !others.iter().any(|value| values.contains(value)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(audience: &str, claims: &[(&str, &[&str])]) -> TrustRule {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        TrustRule {
            organization_id: OrganizationId::from_u128(1),
            id: TrustRuleId::from_u128(1),
            name: "rule".to_owned(),
            key_id: KeyId::from_u128(1),
            issuer: "https://issuer.example".to_owned(),
            audience: audience.to_owned(),
            claims: claims.iter().map(|(name, list)| ((*name).to_owned(), values(list))).collect(),
            principal_claim: None,
            longest_life_seconds: 3600,
            discovered: true,
            keys: Vec::new(),
        }
    }

    #[test]
    fn rules_are_told_apart_by_audience_or_by_a_claim_that_both_name() {
        let plain = rule("a", &[]);
        assert!(plain.overlaps(&plain));
        assert!(!plain.overlaps(&rule("b", &[])));
        assert!(plain.overlaps(&rule("a", &[("sub", &["x"])])));
        assert!(!rule("a", &[("sub", &["x", "y"])]).overlaps(&rule("a", &[("sub", &["z"])])));
        assert!(rule("a", &[("sub", &["x", "y"])]).overlaps(&rule("a", &[("sub", &["y"])])));
        assert!(rule("a", &[("sub", &["x"])]).overlaps(&rule("a", &[("team", &["x"])])));
    }
}
