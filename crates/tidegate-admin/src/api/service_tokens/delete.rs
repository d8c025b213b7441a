//! `DELETE /service-tokens/{id}`

use axum::extract::State;
use tidegate_store::service_tokens;
use tidegate_types::ServiceTokenId;

use super::TokenView;
use crate::actor::Caller;
use crate::api::members::may_touch;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Revokes a service token: it is refused at once and for ever.
#[utoipa::path(delete, path = "/service-tokens/{id}", tag = "service-tokens", operation_id = "service_tokens_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Revoked"), (status = OK, description = "Revoked, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ServiceTokenId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let token = service_tokens::get(&mut write, id).await?;
    if_match.check(token.version)?;
    may_touch(caller.actor(), token.role)?;
    service_tokens::revoke(&mut write, id, Some(token.version)).await?;
    write.removed("service_token.revoke", id.to_string(), &TokenView::from(&token)).await
}
