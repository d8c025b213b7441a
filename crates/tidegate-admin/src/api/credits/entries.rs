//! `GET /credits/entries`

use axum::Json;
use axum::extract::State;
use tidegate_store::credits;

use super::EntryView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists what was put in or taken back, oldest first.
#[utoipa::path(get, path = "/credits/entries", tag = "credits", operation_id = "credits_entries", params(PageQuery),
    responses((status = OK, description = "A page of entries", body = Page<EntryView>)))]
pub(super) async fn entries(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = credits::entries(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |entry| entry.id, EntryView::from)))
}
