//! Virtual keys.

use tidegate_types::Timestamp;
use tidegate_types::resource::{AllowList, KeySecret, VirtualKey};

use crate::config as wire;
use crate::error::ConvertError;
use crate::fields::{Fields, micros, texts};
use crate::names::Named;

impl From<&VirtualKey> for wire::VirtualKey {
    fn from(r: &VirtualKey) -> Self {
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            team_id: r.team_id.to_string(),
            name: r.name.clone(),
            status: r.status.name().to_owned(),
            secrets: r.secrets.iter().map(Into::into).collect(),
            expires_at_micros: micros(r.expires_at),
            allow: Some((&r.allow).into()),
            limits: Some(r.limits.into()),
            tags: r.tags.clone(),
        }
    }
}

impl TryFrom<wire::VirtualKey> for VirtualKey {
    type Error = ConvertError;

    fn try_from(m: wire::VirtualKey) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("VirtualKey");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            team_id: AT.parse("team_id", &m.team_id)?,
            name: m.name,
            status: AT.named("status", &m.status)?,
            secrets: m.secrets.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            expires_at: m.expires_at_micros.map(Timestamp::from_micros),
            allow: AT.required("allow", m.allow)?.try_into()?,
            limits: AT.required("limits", m.limits)?.into(),
            tags: m.tags,
        })
    }
}

impl From<&KeySecret> for wire::KeySecret {
    fn from(r: &KeySecret) -> Self {
        Self { pepper_version: r.pepper_version, hmac: r.hmac.to_vec(), until_micros: micros(r.until) }
    }
}

impl TryFrom<&wire::KeySecret> for KeySecret {
    type Error = ConvertError;

    fn try_from(m: &wire::KeySecret) -> Result<Self, ConvertError> {
        Ok(Self {
            pepper_version: m.pepper_version,
            hmac: Fields("KeySecret").bytes("hmac", &m.hmac)?,
            until: m.until_micros.map(Timestamp::from_micros),
        })
    }
}

impl From<&AllowList> for wire::AllowList {
    fn from(r: &AllowList) -> Self {
        Self {
            models: r.models.clone(),
            providers: texts(&r.providers),
            routes: r.routes.clone(),
            ips: texts(&r.ips),
        }
    }
}

impl TryFrom<wire::AllowList> for AllowList {
    type Error = ConvertError;

    fn try_from(m: wire::AllowList) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("AllowList");
        Ok(Self {
            models: m.models,
            providers: AT.parse_all("providers", &m.providers)?,
            routes: m.routes,
            ips: AT.parse_all("ips", &m.ips)?,
        })
    }
}
