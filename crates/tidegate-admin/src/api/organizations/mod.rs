//! `/organizations`. Made and paused by the platform; an owner may rename its own.

mod bind;
mod create;
mod get;
mod list;
mod place;
mod update;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{BoundIssuer, KeyLimits, ModelLimits, Organization};
use tidegate_types::window::WeekStart;
use tidegate_types::{ModelName, OrganizationId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::LimitsSchema;
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(crate) use place::refuse_several_pools;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(get::get, update::update))
}

/// A new organization.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationCreate {
    /// Unique in the installation; it cannot be changed later.
    #[schema(example = "acme")]
    slug: String,
    /// Name for people; the slug when absent.
    name: Option<String>,
    /// IANA time zone of its budget windows; UTC when absent.
    time_zone: Option<String>,
    /// First day of its week: `monday` (when absent), `sunday` or `saturday`.
    #[serde(default)]
    #[schema(value_type = String, default = "monday")]
    week_start: WeekStart,
    /// Longest time in seconds that a node may serve it without the control plane; none: 72 hours.
    max_staleness_seconds: Option<u32>,
    /// Pools whose nodes serve it, its home first; `default` alone when absent.
    pools: Option<Vec<String>>,
    /// Rate limits shared by all of its keys.
    #[serde(default)]
    #[schema(value_type = LimitsSchema)]
    limits: KeyLimits,
    /// Rate limits of single models, by `creator/name`, each shared by all of its keys.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, LimitsSchema>)]
    model_limits: BTreeMap<ModelName, KeyLimits>,
}

/// What may be changed about an organization.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationSpec {
    /// Name for people.
    name: String,
    /// IANA time zone of its budget windows.
    time_zone: String,
    /// First day of its week.
    #[serde(default)]
    #[schema(value_type = String)]
    week_start: WeekStart,
    /// Paused: every key of it is refused with 403. Platform administrators only.
    #[serde(default)]
    paused: bool,
    /// Longest time in seconds that a node may serve it without the control plane; none: 72 hours.
    #[serde(default)]
    max_staleness_seconds: Option<u32>,
    /// Pools whose nodes serve it. The first is its home, where budgets are counted; with more than one
    /// it may have no hard budget. Platform administrators only.
    #[serde(default)]
    pools: Vec<String>,
    /// Rate limits shared by all of its keys.
    #[serde(default)]
    #[schema(value_type = LimitsSchema)]
    limits: KeyLimits,
    /// Rate limits of single models, by `creator/name`, each shared by all of its keys.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, LimitsSchema>)]
    model_limits: BTreeMap<ModelName, KeyLimits>,
    /// Issuers of signed tokens that are its callers although neither audience nor header says so, each with the
    /// audiences that are meant; an empty list: every audience. One organization for one issuer and audience.
    /// Platform administrators only.
    #[serde(default)]
    #[schema(example = json!({"https://oidc.vercel.com/acme": ["https://vercel.com/acme"]}))]
    bound_issuers: BTreeMap<String, Vec<String>>,
}

/// An organization.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Organization)]
pub(crate) struct OrganizationView {
    /// Identity.
    #[schema(value_type = String)]
    id: OrganizationId,
    /// Unique in the installation.
    slug: String,
    /// What may be changed.
    #[serde(flatten)]
    spec: OrganizationSpec,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The limits of models; one that limits nothing is none.
fn model_limits(named: BTreeMap<ModelName, KeyLimits>) -> Vec<ModelLimits> {
    let named = named.into_iter().filter(|(_, limits)| !limits.is_empty());
    named.map(|(model, limits)| ModelLimits { model, limits }).collect()
}

/// Most pools of one organization.
const MOST_POOLS: usize = 16;

impl OrganizationSpec {
    fn check(&self) -> Result<(), Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).time_zone("time_zone", &self.time_zone);
        let staleness = self.max_staleness_seconds.is_none_or(|s| (60..=259_200).contains(&s));
        checks.that(staleness, "max_staleness_seconds", "must be 60 to 259200");
        let distinct: BTreeSet<&String> = self.pools.iter().collect();
        let holds = (1..=MOST_POOLS).contains(&self.pools.len()) && distinct.len() == self.pools.len();
        checks.that(holds, "pools", format!("must name 1 to {MOST_POOLS} pools, each once"));
        checks.done()
    }

    /// Lays this over an organization.
    fn put_into(self, organization: &mut Organization) {
        organization.name = self.name;
        organization.time_zone = self.time_zone;
        organization.week_start = self.week_start;
        organization.paused = self.paused;
        organization.max_staleness_seconds = self.max_staleness_seconds;
        organization.limits = self.limits;
        organization.model_limits = model_limits(self.model_limits);
        let bound = self.bound_issuers.into_iter();
        organization.bound_issuers =
            bound.map(|(issuer, audiences)| BoundIssuer { issuer, audiences }).collect();
    }
}

impl OrganizationSpec {
    fn of(organization: &Organization, pools: Vec<String>) -> Self {
        Self {
            pools,
            name: organization.name.clone(),
            time_zone: organization.time_zone.clone(),
            week_start: organization.week_start,
            paused: organization.paused,
            max_staleness_seconds: organization.max_staleness_seconds,
            limits: organization.limits,
            model_limits: organization
                .model_limits
                .iter()
                .map(|own| (own.model.clone(), own.limits))
                .collect(),
            bound_issuers: organization
                .bound_issuers
                .iter()
                .map(|bound| (bound.issuer.clone(), bound.audiences.clone()))
                .collect(),
        }
    }
}

impl OrganizationView {
    fn of(organization: &Organization, pools: Vec<String>) -> Self {
        Self {
            id: organization.id,
            slug: organization.slug.clone(),
            spec: OrganizationSpec::of(organization, pools),
            created_at: super::made_at(organization.id),
        }
    }
}
