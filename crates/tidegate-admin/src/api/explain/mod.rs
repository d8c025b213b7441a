//! `/explain`: what a node would do with a call, and what a changed policy or route would make of
//! it. The nodes' own plan over the stored configuration; nobody is called.

mod ask;
mod tell;
mod world;

use serde::{Deserialize, Serialize};
use tidegate_types::KeyId;
use tidegate_types::resource::Capabilities;
use tidegate_types::usage::Surface;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::tell::Explained;
use super::policies::PolicySpec;
use super::routes::RouteSpec;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(ask::ask))
}

/// The call that is asked about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The key that would call; a key of the organization without limits and allow lists when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// The model or route, as an application writes it.
    model: String,
    /// The surface that would be called.
    #[serde(default = "chat")]
    #[schema(value_type = String, default = "openai_chat")]
    surface: Surface,
    /// What the request makes use of: `tools`, `vision`, `reasoning`, `structured_output`.
    #[serde(default)]
    #[schema(value_type = Object)]
    needs: Capabilities,
    /// Tokens of its input; 0 when absent.
    #[serde(default)]
    input_tokens: u32,
    /// Output tokens that it asks for at most.
    #[serde(default)]
    max_output_tokens: Option<u32>,
    /// The session, for routes that draw their target; without one another target may be drawn each time.
    #[serde(default)]
    session: Option<String>,
    /// As `providerOptions.gateway` has them.
    #[serde(default)]
    options: Options,
    /// What would be different.
    #[serde(default)]
    change: Option<Change>,
}

/// What the request asks of routing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Options {
    /// Only these providers.
    only: Vec<String>,
    /// These providers first.
    order: Vec<String>,
    /// `cost`, `ttft` or `tps`; the last two are measured on nodes and not known here.
    sort: Option<String>,
    /// Models to fall back on.
    models: Vec<String>,
    /// `tool-use`, `vision`, `reasoning`, `structured-output`.
    has: Vec<String>,
    /// ISO codes, all plain or all with a leading `!`.
    headquarters: Vec<String>,
    /// Where the model must run.
    inference_region: Option<Region>,
    /// Only providers that keep nothing.
    zero_data_retention: bool,
    /// Only providers that do not train.
    disallow_prompt_training: bool,
}

/// `{"geoRegion": "us" | "eu"}`, and `scope` as requests have it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InferenceRegion)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Region {
    /// `us` or `eu`.
    geo_region: String,
    /// `zone` (when absent) or `global`.
    #[serde(default)]
    scope: Option<String>,
}

/// One changed resource; it takes the place of the one with its name, if there is one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A policy as it would be.
    Policy(Box<PolicySpec>),
    /// A route as it would be.
    Route(Box<RouteSpec>),
}

/// What would happen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct Explanation {
    /// As things are.
    now: Explained,
    /// With the change; absent when none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Explained>,
}

const fn chat() -> Surface {
    Surface::OpenaiChat
}
