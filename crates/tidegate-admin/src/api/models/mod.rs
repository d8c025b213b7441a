//! `/models`: what is asked for. The system catalogue; read by everybody, written by platform
//! administrators.

mod create;
mod delete;
mod get;
mod list;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{Capabilities, Model, ModelKind};
use tidegate_types::{ModelId, ModelName, OrganizationId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::CapabilitiesSchema;
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

/// What a client says about a model.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSpec {
    /// `creator/name`; it cannot be changed later.
    #[schema(value_type = String, example = "openai/gpt-5")]
    name: ModelName,
    /// Name for people; the name when absent.
    #[serde(default)]
    display_name: String,
    /// Other names, bare or `creator/name`.
    #[serde(default)]
    aliases: Vec<String>,
    /// `language` or `embedding`.
    #[serde(default = "language")]
    #[schema(value_type = String, default = "language")]
    kind: ModelKind,
    /// Tokens of input and output together.
    context_window: u32,
    /// Most output tokens.
    max_output_tokens: u32,
    /// What it can do.
    #[serde(default)]
    #[schema(value_type = CapabilitiesSchema)]
    capabilities: Capabilities,
    /// When it came out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    released_at: Option<Timestamp>,
}

const fn language() -> ModelKind {
    ModelKind::Language
}

/// A model.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct ModelView {
    /// Identity.
    #[schema(value_type = String)]
    id: ModelId,
    /// What was said about it.
    #[serde(flatten)]
    spec: ModelSpec,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl ModelSpec {
    fn into_model(self, id: ModelId) -> Result<Model, Problem> {
        let display_name =
            if self.display_name.is_empty() { self.name.as_str().to_owned() } else { self.display_name };
        let mut checks = Checks::default();
        checks.name("display_name", &display_name).at_most("aliases", &self.aliases, 50);
        for (index, alias) in self.aliases.iter().enumerate() {
            checks.name(&format!("aliases[{index}]"), alias);
        }
        checks.that(self.context_window > 0, "context_window", "must be at least 1");
        checks.done()?;
        Ok(Model {
            organization_id: OrganizationId::SYSTEM,
            id,
            name: self.name,
            display_name,
            aliases: self.aliases,
            kind: self.kind,
            context_window: self.context_window,
            max_output_tokens: self.max_output_tokens,
            capabilities: self.capabilities,
            released_at: self.released_at,
        })
    }
}

impl From<&Model> for ModelSpec {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.clone(),
            display_name: model.display_name.clone(),
            aliases: model.aliases.clone(),
            kind: model.kind,
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            capabilities: model.capabilities,
            released_at: model.released_at,
        }
    }
}

impl From<&Model> for ModelView {
    fn from(model: &Model) -> Self {
        Self { id: model.id, spec: model.into(), created_at: super::made_at(model.id) }
    }
}
