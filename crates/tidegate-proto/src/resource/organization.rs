//! Organizations, teams and pools.

use tidegate_types::resource::{
    BoundIssuer, BudgetEpoch, KeyLimits, ModelLimits, Organization, PoolState, Team,
};

use crate::config as wire;
use crate::error::ConvertError;
use crate::fields::Fields;
use crate::names::Named;

impl From<&Organization> for wire::Organization {
    fn from(r: &Organization) -> Self {
        Self {
            id: r.id.to_string(),
            slug: r.slug.clone(),
            name: r.name.clone(),
            time_zone: r.time_zone.clone(),
            week_start: r.week_start.name().to_owned(),
            paused: r.paused,
            max_staleness_seconds: r.max_staleness_seconds,
            label_key: r.label_key.to_vec(),
            cache_purges: r.cache_purges,
            limits: (!r.limits.is_empty()).then(|| r.limits.into()),
            model_limits: r.model_limits.iter().map(Into::into).collect(),
            bound_issuers: r.bound_issuers.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::Organization> for Organization {
    type Error = ConvertError;

    fn try_from(m: wire::Organization) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Organization");
        Ok(Self {
            id: AT.parse("id", &m.id)?,
            slug: m.slug,
            name: m.name,
            time_zone: m.time_zone,
            week_start: AT.named("week_start", &m.week_start)?,
            paused: m.paused,
            max_staleness_seconds: m.max_staleness_seconds,
            label_key: AT.bytes("label_key", &m.label_key)?,
            cache_purges: m.cache_purges,
            limits: m.limits.map(Into::into).unwrap_or_default(),
            model_limits: m.model_limits.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            bound_issuers: m.bound_issuers.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<&BoundIssuer> for wire::BoundIssuer {
    fn from(r: &BoundIssuer) -> Self {
        Self { issuer: r.issuer.clone(), audiences: r.audiences.clone() }
    }
}

impl From<wire::BoundIssuer> for BoundIssuer {
    fn from(m: wire::BoundIssuer) -> Self {
        Self { issuer: m.issuer, audiences: m.audiences }
    }
}

impl From<&ModelLimits> for wire::ModelLimits {
    fn from(r: &ModelLimits) -> Self {
        Self { model: r.model.to_string(), limits: Some(r.limits.into()) }
    }
}

impl TryFrom<wire::ModelLimits> for ModelLimits {
    type Error = ConvertError;

    fn try_from(m: wire::ModelLimits) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("ModelLimits");
        Ok(Self { model: AT.parse("model", &m.model)?, limits: AT.required("limits", m.limits)?.into() })
    }
}

impl From<&Team> for wire::Team {
    fn from(r: &Team) -> Self {
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.clone(),
            paused: r.paused,
            limits: Some(r.limits.into()),
        }
    }
}

impl TryFrom<wire::Team> for Team {
    type Error = ConvertError;

    fn try_from(m: wire::Team) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Team");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            name: m.name,
            paused: m.paused,
            limits: AT.required("limits", m.limits)?.into(),
        })
    }
}

impl From<KeyLimits> for wire::Limits {
    fn from(r: KeyLimits) -> Self {
        Self {
            requests_per_minute: r.requests_per_minute,
            tokens_per_minute: r.tokens_per_minute,
            concurrency: r.concurrency,
        }
    }
}

impl From<wire::Limits> for KeyLimits {
    fn from(m: wire::Limits) -> Self {
        Self {
            requests_per_minute: m.requests_per_minute,
            tokens_per_minute: m.tokens_per_minute,
            concurrency: m.concurrency,
        }
    }
}

impl From<&BudgetEpoch> for wire::BudgetEpoch {
    fn from(r: &BudgetEpoch) -> Self {
        Self { organization_id: r.organization_id.to_string(), pool: r.pool.clone(), epoch: r.epoch }
    }
}

impl TryFrom<wire::BudgetEpoch> for BudgetEpoch {
    type Error = ConvertError;

    fn try_from(m: wire::BudgetEpoch) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("BudgetEpoch");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            pool: m.pool,
            epoch: m.epoch,
        })
    }
}

impl From<&PoolState> for wire::PoolState {
    fn from(r: &PoolState) -> Self {
        Self { name: r.name.clone(), live_nodes: r.live_nodes }
    }
}

impl TryFrom<wire::PoolState> for PoolState {
    type Error = ConvertError;

    fn try_from(m: wire::PoolState) -> Result<Self, ConvertError> {
        Ok(Self { name: m.name, live_nodes: m.live_nodes })
    }
}
