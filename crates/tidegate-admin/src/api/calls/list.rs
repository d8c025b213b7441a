//! `GET /calls`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_store::calls::{self, Filter};
use tidegate_types::{KeyId, ModelId, TeamId, Timestamp};
use utoipa::IntoParams;

use super::CallView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// How far back a list goes when `from` is absent, in milliseconds: 30 days.
const SPAN_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// How far a node's clock may be ahead, in milliseconds.
const AHEAD_MS: i64 = 60 * 60 * 1000;

/// Which calls.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallQuery {
    /// Begun at this time or later; 30 days ago when absent.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Begun before this time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Only this team's.
    #[param(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// Only this key's.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only this model's.
    #[param(value_type = Option<String>)]
    model_id: Option<ModelId>,
    /// Only those that ended with this HTTP status.
    status: Option<u16>,
    /// Rows on the page, 1 to 1000; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists calls, newest first.
#[utoipa::path(get, path = "/calls", tag = "calls", operation_id = "calls_list", params(CallQuery),
    responses((status = OK, description = "A page of calls", body = Page<CallView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<CallQuery>,
) -> Result<Json<Page<CallView>>, Problem> {
    let page = PageQuery::new(asked.limit, asked.cursor);
    let now = app.clock.now();
    let filter = Filter {
        from: asked.from.unwrap_or(now.plus_millis(-SPAN_MS)),
        to: asked.to.unwrap_or(now.plus_millis(AHEAD_MS)),
        team: asked.team_id,
        key: asked.key_id,
        model: asked.model_id,
        status: asked.status,
    };
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = calls::list(&mut tx, &filter, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |record| record.call_id, CallView::from)))
}
