//! Policies.

use tidegate_types::PicoUsd;
use tidegate_types::resource::{Policy, PolicyScope, Privacy};

use super::{areas, cache};
use crate::config as wire;
use crate::error::{ConvertError, Problem};
use crate::fields::{Fields, texts};
use crate::names::Named;

const AT: Fields = Fields("Policy");

impl From<&Policy> for wire::Policy {
    fn from(r: &Policy) -> Self {
        let (scope, team_id, key_id) = match r.scope {
            PolicyScope::Organization => ("organization", String::new(), String::new()),
            PolicyScope::Team { team_id } => ("team", team_id.to_string(), String::new()),
            PolicyScope::Key { key_id } => ("key", String::new(), key_id.to_string()),
        };
        Self {
            organization_id: r.organization_id.to_string(),
            id: r.id.to_string(),
            name: r.name.clone(),
            scope: scope.to_owned(),
            team_id,
            key_id,
            allow_models: r.allow_models.clone(),
            allow_providers: texts(&r.allow_providers),
            zdr: r.privacy.zdr.name().to_owned(),
            inference_regions: areas::written(r.privacy.inference_regions),
            headquarters: r.privacy.headquarters.clone(),
            default_max_output_tokens: r.default_max_output_tokens,
            ceiling_price_pico_usd: r.ceiling_price.map(PicoUsd::get),
            allow_system_credentials: r.allow_system_credentials,
            allow_request_credentials: r.allow_request_credentials,
            routes_may_shadow: r.routes_may_shadow,
            max_attempts: r.max_attempts.map(u32::from),
            cache: cache::written(&r.cache),
            prompt_cache_markers: r.prompt_cache_markers,
        }
    }
}

impl TryFrom<wire::Policy> for Policy {
    type Error = ConvertError;

    fn try_from(m: wire::Policy) -> Result<Self, ConvertError> {
        Ok(Self {
            organization_id: AT.parse("organization_id", &m.organization_id)?,
            id: AT.parse("id", &m.id)?,
            scope: scope(&m)?,
            name: m.name,
            allow_models: m.allow_models,
            allow_providers: AT.parse_all("allow_providers", &m.allow_providers)?,
            privacy: Privacy {
                zdr: AT.named("zdr", &m.zdr)?,
                inference_regions: areas::read(AT, "inference_regions", &m.inference_regions)?,
                headquarters: m.headquarters,
            },
            default_max_output_tokens: m.default_max_output_tokens,
            ceiling_price: m.ceiling_price_pico_usd.map(PicoUsd::new),
            allow_system_credentials: m.allow_system_credentials,
            allow_request_credentials: m.allow_request_credentials,
            routes_may_shadow: m.routes_may_shadow,
            max_attempts: m.max_attempts.map(|n| AT.number("max_attempts", n)).transpose()?,
            cache: cache::read(m.cache)?,
            prompt_cache_markers: m.prompt_cache_markers,
        })
    }
}

fn scope(m: &wire::Policy) -> Result<PolicyScope, ConvertError> {
    match (m.scope.as_str(), m.team_id.as_str(), m.key_id.as_str()) {
        ("organization", "", "") => Ok(PolicyScope::Organization),
        ("team", team_id, "") => Ok(PolicyScope::Team { team_id: AT.parse("team_id", team_id)? }),
        ("key", "", key_id) => Ok(PolicyScope::Key { key_id: AT.parse("key_id", key_id)? }),
        ("organization" | "team" | "key", ..) => AT.wrong("scope", Problem::Contradiction),
        _ => AT.wrong("scope", Problem::UnknownName),
    }
}
