//! `GET /members`

use axum::Json;
use axum::extract::State;
use tidegate_store::members;

use super::MemberView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists members.
#[utoipa::path(get, path = "/members", tag = "members", operation_id = "members_list", params(PageQuery),
    responses((status = OK, description = "A page of members", body = Page<MemberView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<MemberView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = members::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::of(&rows, |member| member.id)))
}
