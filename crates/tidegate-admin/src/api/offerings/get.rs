//! `GET /offerings/{id}`

use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::{OfferingId, OrganizationId};

use super::OfferingView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a offering.
#[utoipa::path(get, path = "/offerings/{id}", tag = "offerings", operation_id = "offerings_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The offering", body = OfferingView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OfferingId>,
) -> Result<Found<OfferingView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = offerings::get(&mut tx, OrganizationId::SYSTEM, id).await?;
    Ok(Found::new(&stored))
}
