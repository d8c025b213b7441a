//! `GET /teams`

use axum::Json;
use axum::extract::State;
use tidegate_store::teams;

use super::TeamView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists teams.
#[utoipa::path(get, path = "/teams", tag = "teams", operation_id = "teams_list", params(PageQuery),
    responses((status = OK, description = "A page of teams", body = Page<TeamView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TeamView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = teams::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |team| team.id)))
}
