//! Trust rules.

use tidegate_types::Timestamp;
use tidegate_types::resource::{IssuerKey, IssuerKeyMaterial, TrustRule};

use crate::config::{self as wire, issuer_key::Material};
use crate::error::ConvertError;
use crate::fields::{Fields, micros};

impl From<&TrustRule> for wire::TrustRule {
    fn from(r: &TrustRule) -> Self {
        let claims = r
            .claims
            .iter()
            .map(|(claim, values)| wire::ClaimValues { claim: claim.clone(), values: values.clone() });
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.clone(),
            key_id: r.key_id.to_string(),
            issuer: r.issuer.clone(),
            audience: r.audience.clone(),
            claims: claims.collect(),
            principal_claim: r.principal_claim.clone(),
            longest_life_seconds: r.longest_life_seconds,
            discovered: r.discovered,
            keys: r.keys.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::TrustRule> for TrustRule {
    type Error = ConvertError;

    fn try_from(m: wire::TrustRule) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("TrustRule");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            name: m.name,
            key_id: AT.parse("key_id", &m.key_id)?,
            issuer: m.issuer,
            audience: m.audience,
            claims: m.claims.into_iter().map(|claim| (claim.claim, claim.values)).collect(),
            principal_claim: m.principal_claim,
            longest_life_seconds: m.longest_life_seconds,
            discovered: m.discovered,
            keys: m.keys.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&IssuerKey> for wire::IssuerKey {
    fn from(r: &IssuerKey) -> Self {
        let material = match r.material.clone() {
            IssuerKeyMaterial::Rsa { n, e } => Material::Rsa(wire::RsaKey { n, e }),
            IssuerKeyMaterial::P256 { x, y } => Material::P256(wire::EcKey { x, y }),
            IssuerKeyMaterial::Ed25519 { x } => Material::Ed25519(wire::EdKey { x }),
        };
        Self { kid: r.kid.clone(), material: Some(material), until_micros: micros(r.until) }
    }
}

impl TryFrom<wire::IssuerKey> for IssuerKey {
    type Error = ConvertError;

    fn try_from(m: wire::IssuerKey) -> Result<Self, ConvertError> {
        let material = match Fields("IssuerKey").required("material", m.material)? {
            Material::Rsa(wire::RsaKey { n, e }) => IssuerKeyMaterial::Rsa { n, e },
            Material::P256(wire::EcKey { x, y }) => IssuerKeyMaterial::P256 { x, y },
            Material::Ed25519(wire::EdKey { x }) => IssuerKeyMaterial::Ed25519 { x },
        };
        Ok(Self { kid: m.kid, material, until: m.until_micros.map(Timestamp::from_micros) })
    }
}
