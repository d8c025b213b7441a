//! `GET /service-tokens`

use axum::Json;
use axum::extract::State;
use tidegate_store::service_tokens;

use super::TokenView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists service tokens, revoked ones included.
#[utoipa::path(get, path = "/service-tokens", tag = "service-tokens", operation_id = "service_tokens_list",
    params(PageQuery), responses((status = OK, description = "A page of tokens", body = Page<TokenView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TokenView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = service_tokens::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |token| token.id, TokenView::from)))
}
