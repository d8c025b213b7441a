//! `GET /notices`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tidegate_store::notices::{self, NoticeId, StoredNotice};
use tidegate_types::Timestamp;
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Something that happened, also where no webhook was told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notice)]
pub(crate) struct NoticeView {
    /// Identity; sent as `webhook-id`.
    #[schema(value_type = String)]
    id: NoticeId,
    /// What kind of thing; sent as `type`.
    kind: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What the receiver is told.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<&StoredNotice> for NoticeView {
    fn from(notice: &StoredNotice) -> Self {
        Self { id: notice.id, kind: notice.kind.clone(), at: notice.at, data: notice.data.clone() }
    }
}

/// Lists notices, oldest first; kept for 90 days.
#[utoipa::path(get, path = "/notices", tag = "webhooks", operation_id = "notices_list", params(PageQuery),
    responses((status = OK, description = "A page of notices", body = Page<NoticeView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<NoticeView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = notices::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |notice| notice.id, NoticeView::from)))
}
