//! `/policies`: allow lists, data-retention tier and defaults of an organization, team or key.

mod create;
mod delete;
mod get;
mod list;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{CacheRules, Policy, PolicyScope, Privacy};
use tidegate_types::{KeyId, OrganizationId, PicoUsd, PolicyId, ProviderSlug, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::{CacheRulesSchema, PrivacySchema};
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(
        get::get,
        update::update,
        delete::delete
    ))
}

/// What a policy speaks of: a team, a key, or (neither given) the whole organization.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = PolicyScope)]
pub(crate) struct ScopeSpec {
    /// One team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    team: Option<TeamId>,
    /// One key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key: Option<KeyId>,
}

/// What a client says about a policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicySpec {
    /// Unique in the organization.
    name: String,
    /// What it speaks of.
    #[serde(default)]
    scope: ScopeSpec,
    /// Models `creator/name` or `creator/*` that may be reached; empty: all.
    #[serde(default)]
    allow_models: Vec<String>,
    /// Providers that may be reached; empty: all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    allow_providers: Vec<ProviderSlug>,
    /// Demands on data handling.
    #[serde(default)]
    #[schema(value_type = PrivacySchema)]
    privacy: Privacy,
    /// Output tokens granted to a call under a hard budget that names none.
    #[serde(default)]
    default_max_output_tokens: Option<u32>,
    /// USD per token at which a call without a price is held and charged; none: refused.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "0.0001")]
    ceiling_price: Option<PicoUsd>,
    /// Whether system credentials may be used; none: yes.
    #[serde(default)]
    allow_system_credentials: Option<bool>,
    /// Whether requests may bring credentials of their own; none: yes.
    #[serde(default)]
    allow_request_credentials: Option<bool>,
    /// Whether a route may carry the name of a catalogue model; none: no.
    #[serde(default)]
    routes_may_shadow: Option<bool>,
    /// Most attempts for one call, 1 to 10; none: 3.
    #[serde(default)]
    max_attempts: Option<u8>,
    /// What may be answered from the response cache; off where nothing may be kept (`privacy.zdr`).
    #[serde(default)]
    #[schema(value_type = CacheRulesSchema)]
    cache: CacheRules,
    /// Whether providers' cache markers are put in where a request does not say (`caching: auto`); none: no.
    #[serde(default)]
    prompt_cache_markers: Option<bool>,
}

/// A policy.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Policy)]
pub(crate) struct PolicyView {
    /// Identity.
    #[schema(value_type = String)]
    id: PolicyId,
    /// What was said about it.
    #[serde(flatten)]
    spec: PolicySpec,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl PolicySpec {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn into_policy(
        self,
        organization_id: OrganizationId,
        id: PolicyId,
    ) -> Result<Policy, Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).model_patterns("allow_models", &self.allow_models);
        checks.at_most("allow_providers", &self.allow_providers, 100);
        checks.that(
            self.default_max_output_tokens != Some(0),
            "default_max_output_tokens",
            "must be at least 1",
        );
        checks.that(self.ceiling_price.is_none_or(|p| p.get() > 0), "ceiling_price", "must be above 0");
        checks.that(
            self.max_attempts.is_none_or(|n| (1..=10).contains(&n)),
            "max_attempts",
            "must be 1 to 10",
        );
        checks.cache(&self.cache);
        for (field, message) in self.privacy.faults() {
            checks.that(false, field, message);
        }
        let scope = match (self.scope.team, self.scope.key) {
            (None, None) => PolicyScope::Organization,
            (Some(team_id), None) => PolicyScope::Team { team_id },
            (None, Some(key_id)) => PolicyScope::Key { key_id },
            (Some(_), Some(_)) => {
                checks.that(false, "scope", "names a team or a key, not both");
                PolicyScope::Organization
            }
        };
        checks.done()?;
        Ok(Policy {
            organization_id,
            id,
            name: self.name,
            scope,
            allow_models: self.allow_models,
            allow_providers: self.allow_providers,
            privacy: self.privacy,
            default_max_output_tokens: self.default_max_output_tokens,
            ceiling_price: self.ceiling_price,
            allow_system_credentials: self.allow_system_credentials,
            allow_request_credentials: self.allow_request_credentials,
            routes_may_shadow: self.routes_may_shadow,
            max_attempts: self.max_attempts,
            cache: self.cache,
            prompt_cache_markers: self.prompt_cache_markers,
        })
    }
}

impl From<&Policy> for PolicySpec {
    fn from(policy: &Policy) -> Self {
        let scope = match policy.scope {
            PolicyScope::Organization => ScopeSpec::default(),
            PolicyScope::Team { team_id } => ScopeSpec { team: Some(team_id), key: None },
            PolicyScope::Key { key_id } => ScopeSpec { team: None, key: Some(key_id) },
        };
        Self {
            name: policy.name.clone(),
            scope,
            allow_models: policy.allow_models.clone(),
            allow_providers: policy.allow_providers.clone(),
            privacy: policy.privacy.clone(),
            default_max_output_tokens: policy.default_max_output_tokens,
            ceiling_price: policy.ceiling_price,
            allow_system_credentials: policy.allow_system_credentials,
            allow_request_credentials: policy.allow_request_credentials,
            routes_may_shadow: policy.routes_may_shadow,
            max_attempts: policy.max_attempts,
            cache: policy.cache,
            prompt_cache_markers: policy.prompt_cache_markers,
        }
    }
}

impl From<&Policy> for PolicyView {
    fn from(policy: &Policy) -> Self {
        Self { id: policy.id, spec: policy.into(), created_at: super::made_at(policy.id) }
    }
}
