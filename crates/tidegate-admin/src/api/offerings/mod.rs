//! `/offerings`: a model at a provider, with its prices and data-handling facts. The system
//! catalogue; prices are appended by `POST /prices`.

mod create;
mod delete;
mod get;
mod list;
mod update;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{DataHandling, Location, Offering, Price};
use tidegate_types::{ModelName, OfferingId, OrganizationId, ProviderSlug, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::prices::PriceView;
use super::schema::{DataHandlingSchema, LocationSchema};
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

/// What a client says about an offering.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferingSpec {
    /// The model; it cannot be changed later.
    #[schema(value_type = String, example = "openai/gpt-5")]
    model: ModelName,
    /// The provider; it cannot be changed later.
    #[schema(value_type = String, example = "openai")]
    provider: ProviderSlug,
    /// What the provider calls the model.
    upstream_name: String,
    /// Most output tokens here; none: the model's.
    #[serde(default)]
    max_output_tokens: Option<u32>,
    /// Not used while false.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Data-handling facts; none counts as retaining and training.
    #[serde(default)]
    #[schema(value_type = Option<DataHandlingSchema>)]
    data_handling: Option<DataHandling>,
    /// Where it is processed; what no fact speaks of is unknown.
    #[serde(default)]
    #[schema(value_type = Vec<LocationSchema>)]
    locations: Vec<Location>,
    /// Whether all billed output is visible in the stream (no hidden reasoning).
    #[serde(default)]
    output_visible: bool,
    /// Other facts, for display.
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

/// An offering.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Offering)]
pub(crate) struct OfferingView {
    /// Identity.
    #[schema(value_type = String)]
    id: OfferingId,
    /// What was said about it.
    #[serde(flatten)]
    spec: OfferingSpec,
    /// Every price it ever had, the newest last.
    prices: Vec<PriceView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl OfferingSpec {
    fn into_offering(self, id: OfferingId, prices: Vec<Price>) -> Result<Offering, Problem> {
        let mut checks = Checks::default();
        checks.name("upstream_name", &self.upstream_name);
        checks.that(self.max_output_tokens != Some(0), "max_output_tokens", "must be at least 1");
        checks.that(self.notes.len() <= 32, "notes", "must have at most 32 entries");
        for (name, text) in &self.notes {
            checks.text("notes", name, 64).text("notes", text, 1024);
        }
        if let Some(facts) = &self.data_handling {
            checks.text("data_handling.source", &facts.source, 512);
            checks.at_most("data_handling.also", &facts.also, 200);
            for (place, part) in facts.also.iter().enumerate() {
                checks.text(&format!("data_handling.also[{place}].source"), &part.source, 512);
            }
        }
        checks.at_most("locations", &self.locations, 200);
        for (place, fact) in self.locations.iter().enumerate() {
            checks.text(&format!("locations[{place}].source"), &fact.source, 512);
        }
        checks.done()?;
        Ok(Offering {
            organization_id: OrganizationId::SYSTEM,
            id,
            model: self.model,
            provider: self.provider,
            upstream_name: self.upstream_name,
            max_output_tokens: self.max_output_tokens,
            enabled: self.enabled,
            prices,
            data_handling: self.data_handling,
            locations: self.locations,
            output_visible: self.output_visible,
            notes: self.notes,
        })
    }
}

impl From<&Offering> for OfferingSpec {
    fn from(offering: &Offering) -> Self {
        Self {
            model: offering.model.clone(),
            provider: offering.provider.clone(),
            upstream_name: offering.upstream_name.clone(),
            max_output_tokens: offering.max_output_tokens,
            enabled: offering.enabled,
            data_handling: offering.data_handling.clone(),
            locations: offering.locations.clone(),
            output_visible: offering.output_visible,
            notes: offering.notes.clone(),
        }
    }
}

impl From<&Offering> for OfferingView {
    fn from(offering: &Offering) -> Self {
        Self {
            id: offering.id,
            spec: offering.into(),
            prices: offering.prices.iter().map(|price| PriceView::of(offering.id, price)).collect(),
            created_at: super::made_at(offering.id),
        }
    }
}
