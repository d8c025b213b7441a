//! `GET /keys`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_store::keys;
use tidegate_types::TeamId;
use utoipa::IntoParams;

use super::KeyView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Which keys.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyQuery {
    /// Only those of this team.
    #[param(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// Rows on the page, 1 to 1000; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists keys, revoked ones included.
#[utoipa::path(get, path = "/keys", tag = "keys", operation_id = "keys_list", params(KeyQuery),
    responses((status = OK, description = "A page of keys", body = Page<KeyView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<KeyQuery>,
) -> Result<Json<Page<KeyView>>, Problem> {
    let page = PageQuery::new(asked.limit, asked.cursor);
    let mut tx = app.store.begin(caller.actor()).await?;
    let (after, limit) = (page.after()?, page.limit()?);
    let rows = match asked.team_id {
        Some(team) => keys::list_of_team(&mut tx, team, after, limit).await?,
        None => keys::list(&mut tx, after, limit).await?,
    };
    Ok(Json(Page::of(&rows, |key| key.id)))
}
