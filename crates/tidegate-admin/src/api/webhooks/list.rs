//! `GET /webhooks`

use axum::Json;
use axum::extract::State;
use tidegate_store::webhooks;

use super::WebhookView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists webhooks.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", operation_id = "webhooks_list", params(PageQuery),
    responses((status = OK, description = "A page of webhooks", body = Page<WebhookView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = webhooks::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |stored| stored.webhook.id, WebhookView::from)))
}
