//! `/prices`: immutable prices of offerings. A new price is appended; nothing is ever changed.

mod create;
mod list;

use serde::{Deserialize, Serialize};
use tidegate_types::resource::{Price, PriceTier};
use tidegate_types::{OfferingId, PriceId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::PriceTierSchema;
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create))
}

/// A new price of an offering.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceSpec {
    /// The offering.
    #[schema(value_type = String)]
    offering_id: OfferingId,
    /// Tiers, ascending, the first from 0 input tokens.
    #[schema(value_type = Vec<PriceTierSchema>)]
    tiers: Vec<PriceTier>,
    /// In force from this time on; now when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// Where it was read.
    #[serde(default)]
    source: String,
}

/// A price.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Price)]
pub(crate) struct PriceView {
    /// Identity; travels on every billing event.
    #[schema(value_type = String)]
    id: PriceId,
    /// The offering.
    #[schema(value_type = String)]
    offering_id: OfferingId,
    /// Tiers, ascending.
    #[schema(value_type = Vec<PriceTierSchema>)]
    tiers: Vec<PriceTier>,
    /// In force from this time on.
    #[schema(value_type = String, format = DateTime)]
    valid_from: Timestamp,
    /// When we learned of it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Where it was read.
    source: String,
}

impl PriceSpec {
    fn into_price(self, id: PriceId, now: Timestamp) -> Result<(OfferingId, Price), Problem> {
        check(&self.source, &self.tiers)?;
        let valid_from = self.valid_from.unwrap_or(now);
        let price = Price { id, tiers: self.tiers, valid_from, recorded_at: now, source: self.source };
        Ok((self.offering_id, price))
    }
}

/// Refuses prices that make no sense.
pub(super) fn check(source: &str, tiers: &[PriceTier]) -> Result<(), Problem> {
    let mut checks = Checks::default();
    checks.text("source", source, 512).at_most("tiers", tiers, 16);
    let starts: Vec<u32> = tiers.iter().map(|tier| tier.from_input_tokens).collect();
    checks.that(starts.first() == Some(&0), "tiers", "must begin with a tier from 0 input tokens");
    checks.that(starts.is_sorted_by(|a, b| a < b), "tiers", "must ascend by from_input_tokens");
    for (index, tier) in tiers.iter().enumerate() {
        let field = format!("tiers[{index}].prices");
        checks.that(!tier.prices.is_empty(), field.clone(), "must have at least one entry");
        checks.that(tier.prices.iter().all(|p| p.price.get() >= 0), field.clone(), "must not be negative");
        let mut units: Vec<_> = tier.prices.iter().map(|price| price.unit).collect();
        units.sort();
        checks.that(units.is_sorted_by(|a, b| a < b), field, "names a unit twice");
    }
    checks.done()
}

impl PriceView {
    /// A price as it is shown.
    pub(crate) fn of(offering_id: OfferingId, price: &Price) -> Self {
        Self {
            id: price.id,
            offering_id,
            tiers: price.tiers.clone(),
            valid_from: price.valid_from,
            recorded_at: price.recorded_at,
            source: price.source.clone(),
        }
    }
}
