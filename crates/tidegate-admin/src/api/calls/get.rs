//! `GET /calls/{id}`

use axum::Json;
use axum::extract::State;
use tidegate_store::calls;
use tidegate_types::CallId;

use super::CallView;
use crate::actor::Caller;
use crate::body::Path;
use crate::problem::Problem;
use crate::state::App;

/// Shows the record of one call.
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", operation_id = "calls_get",
    params(("id" = String, Path, description = "The call's id, `gen_…`")),
    responses((status = OK, description = "The call", body = CallView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CallId>,
) -> Result<Json<CallView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let record = calls::get(&mut tx, id).await?;
    let mut view = CallView::from(&record);
    if let Some(plan) = &mut view.plan {
        plan.name(&mut tx).await?;
    }
    Ok(Json(view))
}
