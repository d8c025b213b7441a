//! `GET /fleet`

use axum::Json;
use axum::extract::State;
use tidegate_store::{feed, fleet};
use tidegate_types::NodeId;

use super::NodeView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists the nodes: revisions, lag, rejections.
#[utoipa::path(get, path = "/fleet", tag = "fleet", operation_id = "fleet_list", params(PageQuery),
    responses((status = OK, description = "A page of nodes", body = Page<NodeView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<NodeView>>, Problem> {
    let (after, limit) = (page.after::<NodeId>()?, page.limit()? as usize);
    let mut tx = app.store.begin(caller.actor()).await?;
    let mut nodes = fleet::list(&mut tx).await?;
    drop(tx);
    let heads = feed::heads(&app.store).await?;
    nodes.retain(|node| after.is_none_or(|after| node.id > after));
    let has_more = nodes.len() > limit;
    nodes.truncate(limit);
    let now = app.clock.now();
    Ok(Json(Page::from_rows(&nodes, has_more, |node| node.id, |node| NodeView::of(node, &heads, now))))
}
