//! `/routes`: an organization's own model names.

mod create;
mod delete;
mod get;
mod list;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{CacheRules, Route, RouteTarget};
use tidegate_types::{OrganizationId, RouteId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::{CacheRulesSchema, RouteTargetSchema};
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

/// What a client says about a route.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSpec {
    /// The model name that applications ask for, unique in the organization.
    name: String,
    /// Drawn by weight.
    #[schema(value_type = Vec<RouteTargetSchema>)]
    targets: Vec<RouteTarget>,
    /// Tried in order after the drawn target failed.
    #[serde(default)]
    #[schema(value_type = Vec<RouteTargetSchema>)]
    fallbacks: Vec<RouteTarget>,
    /// Longest time for one attempt until its first event, in milliseconds.
    #[serde(default)]
    attempt_timeout_ms: Option<u32>,
    /// Longest time for all attempts until the first event, in milliseconds.
    #[serde(default)]
    total_timeout_ms: Option<u32>,
    /// What may be answered from the response cache; a policy's `off` and zero data retention win.
    #[serde(default)]
    #[schema(value_type = CacheRulesSchema)]
    cache: CacheRules,
    /// Whether providers' cache markers are put in where a request does not say (`caching: auto`); none: no.
    #[serde(default)]
    prompt_cache_markers: Option<bool>,
}

/// A route.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Route)]
pub(crate) struct RouteView {
    /// Identity.
    #[schema(value_type = String)]
    id: RouteId,
    /// What was said about it.
    #[serde(flatten)]
    spec: RouteSpec,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl RouteSpec {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn into_route(self, organization_id: OrganizationId, id: RouteId) -> Result<Route, Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name);
        checks.that(!self.targets.is_empty(), "targets", "must have at least one entry");
        checks.at_most("targets", &self.targets, 50).at_most("fallbacks", &self.fallbacks, 50);
        let drawable = self.targets.is_empty() || self.targets.iter().any(|target| target.weight > 0);
        checks.that(drawable, "targets", "at least one weight must be above 0");
        for (field, time) in
            [("attempt_timeout_ms", self.attempt_timeout_ms), ("total_timeout_ms", self.total_timeout_ms)]
        {
            checks.that(time.is_none_or(|ms| (1..=3_600_000).contains(&ms)), field, "must be 1 to 3600000");
        }
        checks.cache(&self.cache);
        checks.done()?;
        Ok(Route {
            organization_id,
            id,
            name: self.name,
            targets: self.targets,
            fallbacks: self.fallbacks,
            attempt_timeout_ms: self.attempt_timeout_ms,
            total_timeout_ms: self.total_timeout_ms,
            cache: self.cache,
            cache_purges: 0,
            prompt_cache_markers: self.prompt_cache_markers,
        })
    }
}

impl From<&Route> for RouteSpec {
    fn from(route: &Route) -> Self {
        Self {
            name: route.name.clone(),
            targets: route.targets.clone(),
            fallbacks: route.fallbacks.clone(),
            attempt_timeout_ms: route.attempt_timeout_ms,
            total_timeout_ms: route.total_timeout_ms,
            cache: route.cache,
            prompt_cache_markers: route.prompt_cache_markers,
        }
    }
}

impl From<&Route> for RouteView {
    fn from(route: &Route) -> Self {
        Self { id: route.id, spec: route.into(), created_at: super::made_at(route.id) }
    }
}
