//! `/keys`: virtual keys. The key's text is shown once, by the answer that issues it.

mod create;
mod delete;
mod get;
mod list;
mod pause;
mod resume;
mod rotate;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{AllowList, KeyLimits, KeyStatus, VirtualKey};
use tidegate_types::{KeyId, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::{AllowListSchema, LimitsSchema, Tags};
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
        .routes(routes!(rotate::rotate))
}

/// What may be changed about a key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySpec {
    /// Unique in the team.
    name: String,
    /// Refused from this time on.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Put on every call; they override request tags of the same name.
    #[serde(default)]
    tags: Tags,
    /// What it may reach.
    #[serde(default)]
    #[schema(value_type = AllowListSchema)]
    allow: AllowList,
    /// Its rate limits.
    #[serde(default)]
    #[schema(value_type = LimitsSchema)]
    limits: KeyLimits,
}

/// A virtual key, without its text.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyView {
    /// Identity; part of the key's text.
    #[schema(value_type = String)]
    id: KeyId,
    /// The team that owns it.
    #[schema(value_type = String)]
    team_id: TeamId,
    /// `active`, `paused` or `revoked`.
    #[schema(value_type = String)]
    status: KeyStatus,
    /// What was said about it.
    #[serde(flatten)]
    spec: KeySpec,
    /// During a rotation: when the old text stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    old_key_until: Option<Timestamp>,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A key with its text, shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct IssuedKey {
    /// What applications call with. It cannot be shown again.
    key: String,
    /// The key.
    #[serde(flatten)]
    view: KeyView,
}

/// Nothing needs to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl KeySpec {
    fn check(&self, now: Timestamp, expires_at_changed: bool) -> Result<(), Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).model_patterns("allow.models", &self.allow.models);
        checks.at_most("allow.providers", &self.allow.providers, 100);
        checks.at_most("allow.routes", &self.allow.routes, 500).at_most("allow.ips", &self.allow.ips, 100);
        if expires_at_changed {
            checks.ahead("expires_at", self.expires_at, now);
        }
        checks.that(self.tags.len() <= 10, "tags", "must have at most 10 entries");
        for (name, value) in &self.tags {
            let field = format!("tags.{}", name.chars().take(64).collect::<String>());
            checks.that(
                (1..=64).contains(&name.chars().count()),
                field.clone(),
                "a tag's name has 1 to 64 characters",
            );
            checks.text(&field, name, 64).text(&field, value, 256);
        }
        checks.done()
    }

    /// Lays this over a key.
    fn put_into(self, key: &mut VirtualKey) {
        key.name = self.name;
        key.expires_at = self.expires_at;
        key.tags = self.tags;
        key.allow = self.allow;
        key.limits = self.limits;
    }
}

impl From<&VirtualKey> for KeySpec {
    fn from(key: &VirtualKey) -> Self {
        Self {
            name: key.name.clone(),
            expires_at: key.expires_at,
            tags: key.tags.clone(),
            allow: key.allow.clone(),
            limits: key.limits,
        }
    }
}

impl From<&VirtualKey> for KeyView {
    fn from(key: &VirtualKey) -> Self {
        Self {
            id: key.id,
            team_id: key.team_id,
            status: key.status,
            spec: key.into(),
            old_key_until: key.secrets.get(1).and_then(|old| old.until),
            created_at: super::made_at(key.id),
        }
    }
}
