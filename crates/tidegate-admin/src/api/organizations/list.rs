//! `GET /organizations`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::organizations::{self, Summary};
use tidegate_types::{OrganizationId, Timestamp};
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::api::made_at;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// An organization in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationSummary {
    /// Identity.
    #[schema(value_type = String)]
    id: OrganizationId,
    /// Unique in the installation.
    slug: String,
    /// Name for people.
    name: String,
    /// Paused: every key of it is refused.
    paused: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Lists organizations: all for platform roles, else the caller's own.
#[utoipa::path(get, path = "/organizations", tag = "organizations", operation_id = "organizations_list",
    params(PageQuery),
    responses((status = OK, description = "A page of organizations", body = Page<OrganizationSummary>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OrganizationSummary>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = organizations::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |row| row.id, summary)))
}

fn summary(row: &Summary) -> OrganizationSummary {
    OrganizationSummary {
        id: row.id,
        slug: row.slug.clone(),
        name: row.name.clone(),
        paused: row.paused,
        created_at: made_at(row.id),
    }
}
