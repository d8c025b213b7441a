//! `GET /trust-rules/{id}`

use axum::extract::State;
use tidegate_store::trust_rules;
use tidegate_types::TrustRuleId;

use super::{TrustRuleView, view};
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a trust rule.
#[utoipa::path(get, path = "/trust-rules/{id}", tag = "trust-rules", operation_id = "trust_rules_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The rule", body = TrustRuleView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TrustRuleId>,
) -> Result<Found<TrustRuleView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let stored = trust_rules::get(&mut tx, id).await?;
    Ok(Found::of(view(&mut tx, &stored).await?, stored.version))
}
