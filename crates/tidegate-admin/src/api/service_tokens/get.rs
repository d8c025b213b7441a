//! `GET /service-tokens/{id}`

use axum::extract::State;
use tidegate_store::service_tokens;
use tidegate_types::ServiceTokenId;

use super::TokenView;
use crate::actor::Caller;
use crate::body::Path;
use crate::found::Found;
use crate::problem::Problem;
use crate::state::App;

/// Shows a service token, without its text.
#[utoipa::path(get, path = "/service-tokens/{id}", tag = "service-tokens", operation_id = "service_tokens_get",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The token", body = TokenView)))]
pub(super) async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ServiceTokenId>,
) -> Result<Found<TokenView>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let token = service_tokens::get(&mut tx, id).await?;
    Ok(Found::of(TokenView::from(&token), token.version))
}
