//! `GET /credits`

use axum::extract::State;

use super::CreditView;
use crate::actor::Caller;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows the organization's credit.
#[utoipa::path(get, path = "/credits", tag = "credits", operation_id = "credits_get",
    responses((status = OK, description = "What is left", body = CreditView)))]
pub(super) async fn get(State(app): State<App>, caller: Caller) -> Result<Found<CreditView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let (view, version) = super::view(&app, &mut tx).await?;
    Ok(Found::of(view, version))
}
