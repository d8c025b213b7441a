//! `/providers`: who is called. The system catalogue; read by everybody, written by platform
//! administrators.

mod compare;
mod create;
mod delete;
mod get;
mod list;
mod reconcile;
mod update;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{AbortBilling, AuthScheme, DialectName, Provider, Quirks, sample_base_url};
use tidegate_types::{OrganizationId, ProviderId, ProviderSlug, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(reconcile::reconcile))
        .routes(routes!(compare::compare))
}

/// What a client says about a provider.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderSpec {
    /// Its name in requests and routes; it cannot be changed later.
    #[schema(value_type = String, example = "openai")]
    slug: ProviderSlug,
    /// Name for people.
    name: String,
    /// Scheme, host, port and path prefix, for example `https://api.openai.com/v1`. May have the
    /// places `{resource}`, `{region}`, `{location}` and (in the path) `{project}`, which are
    /// filled from the credential's fields.
    base_url: String,
    /// Its wire format, unless `also` has that of the caller: `openai_chat`, `openai_responses`,
    /// `anthropic_messages`, `gemini`, `bedrock_converse` or `cohere_chat`.
    #[schema(value_type = String)]
    dialect: DialectName,
    /// Further wire formats that it speaks under the same base URL.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    also: Vec<DialectName>,
    /// How it is signed in at: `bearer`, `x_api_key`, `api_key`, `google_api_key`,
    /// `google_service_account`, `aws_sig_v4` or `none`.
    #[schema(value_type = String)]
    auth: AuthScheme,
    /// Whether an abort stops what it bills: `stops` or `continues`.
    #[serde(default = "continues")]
    #[schema(value_type = String, default = "continues")]
    abort_billing: AbortBilling,
    /// Not used while false.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Two-letter country of its headquarters.
    #[serde(default)]
    headquarters: Option<String>,
    /// Whether it is a simulated provider.
    #[serde(default)]
    simulated: bool,
    /// Where it differs from its dialect.
    #[serde(default)]
    #[schema(value_type = Object)]
    quirks: Quirks,
}

const fn continues() -> AbortBilling {
    AbortBilling::Continues
}

/// A provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Provider)]
pub(crate) struct ProviderView {
    /// Identity.
    #[schema(value_type = String)]
    id: ProviderId,
    /// What was said about it.
    #[serde(flatten)]
    spec: ProviderSpec,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl ProviderSpec {
    fn into_provider(self, id: ProviderId) -> Result<Provider, Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name);
        match sample_base_url(&self.base_url) {
            Ok(sample) => checks.that(
                is_base_url(&sample),
                "base_url",
                "must be http(s)://host[:port][/path] and nothing else",
            ),
            Err(error) => checks.that(false, "base_url", error.to_string()),
        };
        let country = |text: &String| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        checks.that(
            self.headquarters.as_ref().is_none_or(country),
            "headquarters",
            "must be two capital letters",
        );
        let speaks = |dialect: &DialectName| *dialect != DialectName::AiSdk;
        checks.that(speaks(&self.dialect), "dialect", "must be one that providers speak");
        checks.that(self.also.iter().all(speaks), "also", "must be dialects that providers speak");
        checks.done()?;
        Ok(Provider {
            organization_id: OrganizationId::SYSTEM,
            id,
            slug: self.slug,
            name: self.name,
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            dialect: self.dialect,
            auth: self.auth,
            abort_billing: self.abort_billing,
            enabled: self.enabled,
            headquarters: self.headquarters,
            simulated: self.simulated,
            also: self.also,
            quirks: self.quirks,
        })
    }
}

/// Whether a text is a plain base URL: no user, query or fragment.
fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    scheme && authority && uri.query().is_none() && !text.contains('#') && text.len() <= 512
}

impl From<&Provider> for ProviderSpec {
    fn from(provider: &Provider) -> Self {
        Self {
            slug: provider.slug.clone(),
            name: provider.name.clone(),
            base_url: provider.base_url.clone(),
            dialect: provider.dialect,
            auth: provider.auth,
            abort_billing: provider.abort_billing,
            enabled: provider.enabled,
            headquarters: provider.headquarters.clone(),
            simulated: provider.simulated,
            also: provider.also.clone(),
            quirks: provider.quirks.clone(),
        }
    }
}

impl From<&Provider> for ProviderView {
    fn from(provider: &Provider) -> Self {
        Self { id: provider.id, spec: provider.into(), created_at: super::made_at(provider.id) }
    }
}
