//! `POST /price-overrides`

use axum::extract::State;
use tidegate_store::{offerings, resources};
use tidegate_types::OrganizationId;
use tidegate_types::resource::{Offering, Price, Resource, ResourceKind};

use super::{PriceOverrideSpec, PriceOverrideView, own};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// Sets what the organization pays over its own credentials. A second price of the same model and
/// provider is appended to the first; nothing is ever changed.
#[utoipa::path(post, path = "/price-overrides", tag = "price-overrides", operation_id = "price_overrides_create",
    request_body = PriceOverrideSpec,
    responses((status = CREATED, description = "The override with all its prices", body = PriceOverrideView)))]
pub(super) async fn create(
    State(app): State<App>,
    posted: Posted<PriceOverrideSpec>,
) -> Done<PriceOverrideView> {
    super::super::needs_organization(&posted.caller)?;
    let PriceOverrideSpec { model, provider, tiers, valid_from, source } = posted.body;
    super::super::prices::check(&source, &tiers)?;
    let now = app.clock.now();
    let price =
        Price { id: app.new_id(), tiers, valid_from: valid_from.unwrap_or(now), recorded_at: now, source };
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let (mut shared, mut known) = (None, None);
    for resource in resources(&mut write, &[ResourceKind::Offering]).await? {
        if let Resource::Offering(offering) = resource
            && offering.model == model
            && offering.provider == provider
        {
            let system = offering.organization_id == OrganizationId::SYSTEM;
            *if system { &mut shared } else { &mut known } = Some(offering);
        }
    }
    let offering = match known {
        Some(known) => append(&mut write, known, price).await?,
        None => {
            let shared = shared.ok_or_else(|| {
                Problem::unprocessable("validation_failed", "There is nothing to override.")
                    .with("model", format!("provider '{provider}' does not offer '{model}'"))
            })?;
            let made = own(&shared, write.organization(), app.new_id(), price);
            write.compile(&Resource::Offering(made.clone())).await?;
            offerings::insert(&mut write, &made).await?;
            made
        }
    };
    let view = PriceOverrideView::from(&offering);
    write.created("price_override.create", offering.id.to_string(), view).await
}

async fn append(write: &mut Write, mut offering: Offering, price: Price) -> Result<Offering, Problem> {
    offering.prices.push(price);
    offering.prices.sort_by_key(|price| (price.valid_from, price.recorded_at));
    write.compile(&Resource::Offering(offering.clone())).await?;
    offerings::update(write, &offering, None, false).await?;
    Ok(offering)
}
