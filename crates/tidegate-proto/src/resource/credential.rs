//! Credentials, sealed.

use tidegate_types::Timestamp;
use tidegate_types::resource::{Attestation, Credential, CredentialScope, SealedSecret};

use super::areas;
use crate::config as wire;
use crate::error::{ConvertError, Problem};
use crate::fields::Fields;
use crate::names::Named;

const AT: Fields = Fields("Credential");

impl From<&Credential> for wire::Credential {
    fn from(r: &Credential) -> Self {
        let (scope, team_id) = match r.scope {
            CredentialScope::System => ("system", String::new()),
            CredentialScope::Organization => ("organization", String::new()),
            CredentialScope::Team { team_id } => ("team", team_id.to_string()),
        };
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.clone(),
            scope: scope.to_owned(),
            team_id,
            provider: r.provider.to_string(),
            form: r.form.name().to_owned(),
            enabled: r.enabled,
            position: r.position,
            weight: r.weight,
            sealed: r.sealed.iter().map(Into::into).collect(),
            region: r.region.clone(),
            attestation: r.attestation.as_ref().map(Into::into),
        }
    }
}

impl From<&Attestation> for wire::Attestation {
    fn from(r: &Attestation) -> Self {
        Self {
            tier: r.tier.name().to_owned(),
            areas: areas::written(r.areas),
            statement: r.statement.clone(),
            by: r.by.clone(),
            attested_at_micros: r.attested_at.as_micros(),
            expires_at_micros: r.expires_at.as_micros(),
        }
    }
}

impl TryFrom<wire::Attestation> for Attestation {
    type Error = ConvertError;

    fn try_from(m: wire::Attestation) -> Result<Self, ConvertError> {
        Ok(Self {
            tier: Fields("Attestation").named("tier", &m.tier)?,
            areas: areas::read(Fields("Attestation"), "areas", &m.areas)?,
            statement: m.statement,
            by: m.by,
            attested_at: Timestamp::from_micros(m.attested_at_micros),
            expires_at: Timestamp::from_micros(m.expires_at_micros),
        })
    }
}

impl TryFrom<wire::Credential> for Credential {
    type Error = ConvertError;

    fn try_from(m: wire::Credential) -> Result<Self, ConvertError> {
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            scope: scope(&m)?,
            name: m.name,
            provider: AT.parse("provider", &m.provider)?,
            form: AT.named("form", &m.form)?,
            enabled: m.enabled,
            position: m.position,
            weight: m.weight,
            sealed: m.sealed.into_iter().map(Into::into).collect(),
            region: m.region,
            attestation: m.attestation.map(TryInto::try_into).transpose()?,
        })
    }
}

fn scope(m: &wire::Credential) -> Result<CredentialScope, ConvertError> {
    match (m.scope.as_str(), m.team_id.as_str()) {
        ("team", team_id) => Ok(CredentialScope::Team { team_id: AT.parse("team_id", team_id)? }),
        ("system", "") => Ok(CredentialScope::System),
        ("organization", "") => Ok(CredentialScope::Organization),
        ("system" | "organization", _) => AT.wrong("team_id", Problem::Contradiction),
        _ => AT.wrong("scope", Problem::UnknownName),
    }
}

impl From<&SealedSecret> for wire::SealedSecret {
    fn from(r: &SealedSecret) -> Self {
        Self {
            pool: r.pool.clone(),
            pool_key_version: r.pool_key_version,
            secret_version: r.secret_version,
            bytes: r.bytes.clone(),
        }
    }
}

impl From<wire::SealedSecret> for SealedSecret {
    fn from(m: wire::SealedSecret) -> Self {
        Self {
            pool: m.pool,
            pool_key_version: m.pool_key_version,
            secret_version: m.secret_version,
            bytes: m.bytes,
        }
    }
}
