//! `GET /providers/{id}`

use axum::extract::State;
use tidegate_store::providers;
use tidegate_types::{OrganizationId, ProviderId};

use super::ProviderView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a provider.
#[utoipa::path(get, path = "/providers/{id}", tag = "providers", operation_id = "providers_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The provider", body = ProviderView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
) -> Result<Found<ProviderView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = providers::get(&mut tx, OrganizationId::SYSTEM, id).await?;
    Ok(Found::new(&stored))
}
