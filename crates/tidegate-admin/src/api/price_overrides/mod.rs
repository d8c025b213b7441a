//! `/price-overrides`: what an organization pays a provider over its own credentials, where that
//! is not the list price. Calls over the operator's credentials cost what the catalogue says.
//!
//! An override is an offering of the organization's own beside the shared one.

mod create;
mod delete;
mod list;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{DataHandling, Offering, Price, PriceTier, Retention};
use tidegate_types::{ModelName, OfferingId, OrganizationId, ProviderSlug, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::prices::PriceView;
use super::schema::PriceTierSchema;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(delete::delete))
}

/// An organization's own price of a model at a provider.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceOverrideSpec {
    /// The model.
    #[schema(value_type = String, example = "openai/gpt-5")]
    model: ModelName,
    /// The provider.
    #[schema(value_type = String, example = "openai")]
    provider: ProviderSlug,
    /// Tiers, ascending, the first from 0 input tokens.
    #[schema(value_type = Vec<PriceTierSchema>)]
    tiers: Vec<PriceTier>,
    /// In force from this time on; now when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// Where it was read, for example a contract's number.
    #[serde(default)]
    source: String,
}

/// What an organization pays for a model at a provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PriceOverride)]
pub(crate) struct PriceOverrideView {
    /// Identity.
    #[schema(value_type = String)]
    id: OfferingId,
    /// The model.
    #[schema(value_type = String)]
    model: ModelName,
    /// The provider.
    #[schema(value_type = String)]
    provider: ProviderSlug,
    /// Every price it ever had, the newest last.
    prices: Vec<PriceView>,
}

impl From<&Offering> for PriceOverrideView {
    fn from(offering: &Offering) -> Self {
        Self {
            id: offering.id,
            model: offering.model.clone(),
            provider: offering.provider.clone(),
            prices: offering.prices.iter().map(|price| PriceView::of(offering.id, price)).collect(),
        }
    }
}

/// The shared offering as the organization's own. What the operator's contract says of retention
/// is not the organization's; that nobody trains on it is.
fn own(shared: &Offering, organization_id: OrganizationId, id: OfferingId, price: Price) -> Offering {
    let facts = shared.data_handling.clone();
    Offering {
        organization_id,
        id,
        prices: vec![price],
        data_handling: facts.map(|facts| DataHandling { retention: Retention::Retains, ..facts }),
        // What the address says holds for everybody; areas are those of the operator's contract.
        locations: shared.locations.iter().filter(|fact| fact.regional).cloned().collect(),
        enabled: true,
        ..shared.clone()
    }
}
