//! `POST /offerings`

use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::resource::Resource;

use super::{OfferingSpec, OfferingView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a offering.
#[utoipa::path(post, path = "/offerings", tag = "offerings", operation_id = "offerings_create", request_body = OfferingSpec,
    responses((status = CREATED, description = "The new offering", body = OfferingView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<OfferingSpec>) -> Done<OfferingView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id = app.new_id();
    let offering = posted.body.into_offering(id, Vec::new())?;
    write.compile(&Resource::Offering(offering.clone())).await?;
    offerings::insert(&mut write, &offering).await?;
    let view = OfferingView::from(&offering);
    write.created("offering.create", id.to_string(), view).await
}
