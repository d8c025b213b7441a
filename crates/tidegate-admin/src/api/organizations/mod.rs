//! `/organizations`. Made and paused by the platform; an owner may rename its own.

mod create;
mod get;
mod list;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::Organization;
use tidegate_types::window::WeekStart;
use tidegate_types::{OrganizationId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

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

impl OrganizationSpec {
    fn check(&self) -> Result<(), Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).time_zone("time_zone", &self.time_zone);
        let staleness = self.max_staleness_seconds.is_none_or(|s| (60..=259_200).contains(&s));
        checks.that(staleness, "max_staleness_seconds", "must be 60 to 259200");
        checks.done()
    }

    /// Lays this over an organization.
    fn put_into(self, organization: &mut Organization) {
        organization.name = self.name;
        organization.time_zone = self.time_zone;
        organization.week_start = self.week_start;
        organization.paused = self.paused;
        organization.max_staleness_seconds = self.max_staleness_seconds;
    }
}

impl From<&Organization> for OrganizationSpec {
    fn from(organization: &Organization) -> Self {
        Self {
            name: organization.name.clone(),
            time_zone: organization.time_zone.clone(),
            week_start: organization.week_start,
            paused: organization.paused,
            max_staleness_seconds: organization.max_staleness_seconds,
        }
    }
}

impl From<&Organization> for OrganizationView {
    fn from(organization: &Organization) -> Self {
        Self {
            id: organization.id,
            slug: organization.slug.clone(),
            spec: organization.into(),
            created_at: super::made_at(organization.id),
        }
    }
}
