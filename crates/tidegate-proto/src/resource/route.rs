//! Routes.

use tidegate_types::resource::{Route, RouteTarget};

use super::cache;
use crate::config as wire;
use crate::error::ConvertError;
use crate::fields::{Fields, texts};

impl From<&Route> for wire::Route {
    fn from(r: &Route) -> Self {
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.clone(),
            targets: r.targets.iter().map(Into::into).collect(),
            fallbacks: r.fallbacks.iter().map(Into::into).collect(),
            attempt_timeout_ms: r.attempt_timeout_ms,
            total_timeout_ms: r.total_timeout_ms,
            cache: cache::written(&r.cache),
            cache_purges: r.cache_purges,
            prompt_cache_markers: r.prompt_cache_markers,
        }
    }
}

impl TryFrom<wire::Route> for Route {
    type Error = ConvertError;

    fn try_from(m: wire::Route) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("Route");
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            name: m.name,
            targets: m.targets.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            fallbacks: m.fallbacks.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            attempt_timeout_ms: m.attempt_timeout_ms,
            total_timeout_ms: m.total_timeout_ms,
            cache: cache::read(m.cache)?,
            cache_purges: m.cache_purges,
            prompt_cache_markers: m.prompt_cache_markers,
        })
    }
}

impl From<&RouteTarget> for wire::RouteTarget {
    fn from(r: &RouteTarget) -> Self {
        Self { model: r.model.to_string(), weight: r.weight, providers: texts(&r.providers) }
    }
}

impl TryFrom<&wire::RouteTarget> for RouteTarget {
    type Error = ConvertError;

    fn try_from(m: &wire::RouteTarget) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("RouteTarget");
        Ok(Self {
            model: AT.parse("model", &m.model)?,
            weight: m.weight,
            providers: AT.parse_all("providers", &m.providers)?,
        })
    }
}
