//! `POST /prices`

use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::OrganizationId;
use tidegate_types::resource::Resource;

use super::{PriceSpec, PriceView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Appends a price to an offering. Prices are never changed: what was charged stays provable.
#[utoipa::path(post, path = "/prices", tag = "prices", operation_id = "prices_create", request_body = PriceSpec,
    responses((status = CREATED, description = "The new price", body = PriceView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<PriceSpec>) -> Done<PriceView> {
    let id = app.new_id();
    let (offering_id, price) = posted.body.into_price(id, app.clock.now())?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let stored = offerings::get(&mut write, OrganizationId::SYSTEM, offering_id).await?;
    let view = PriceView::of(offering_id, &price);
    let mut offering = stored.value;
    offering.prices.push(price);
    offering.prices.sort_by_key(|price| (price.valid_from, price.recorded_at));
    write.compile(&Resource::Offering(offering.clone())).await?;
    offerings::update(&mut write, &offering, Some(stored.version), false).await?;
    write.created("price.create", id.to_string(), view).await
}
