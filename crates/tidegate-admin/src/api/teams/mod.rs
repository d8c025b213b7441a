//! `/teams`: they own keys, budgets and policies.

mod create;
mod delete;
mod get;
mod list;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{KeyLimits, Team};
use tidegate_types::{OrganizationId, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::LimitsSchema;
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

/// What a client says about a team.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamSpec {
    /// Unique in the organization.
    name: String,
    /// Paused: every key of it is refused with 403.
    #[serde(default)]
    paused: bool,
    /// Rate limits shared by the team's keys.
    #[serde(default)]
    #[schema(value_type = LimitsSchema)]
    limits: KeyLimits,
}

/// A team.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Team)]
pub(crate) struct TeamView {
    /// Identity.
    #[schema(value_type = String, example = "team_01JD7Z0000000000000000000A")]
    id: TeamId,
    /// What was said about it.
    #[serde(flatten)]
    spec: TeamSpec,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl TeamSpec {
    fn into_team(self, organization_id: OrganizationId, id: TeamId) -> Result<Team, Problem> {
        Checks::default().name("name", &self.name).done()?;
        Ok(Team { organization_id, id, name: self.name, paused: self.paused, limits: self.limits })
    }
}

impl From<&Team> for TeamSpec {
    fn from(team: &Team) -> Self {
        Self { name: team.name.clone(), paused: team.paused, limits: team.limits }
    }
}

impl From<&Team> for TeamView {
    fn from(team: &Team) -> Self {
        Self { id: team.id, spec: team.into(), created_at: super::made_at(team.id) }
    }
}
