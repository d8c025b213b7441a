//! `GET /organizations`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::Page as StoredPage;
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
    let (after, limit) = (page.after()?, page.limit()?);
    let rows = if caller.signed_in().platform().is_some() {
        let mut tx = app.store.begin(caller.actor()).await?;
        organizations::list(&mut tx, after, limit).await?
    } else {
        own(&app, &caller, after, limit).await?
    };
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |row| row.id, summary)))
}

/// The caller's own organizations, one look each: row-level security shows one at a time.
async fn own(
    app: &App,
    caller: &Caller,
    after: Option<OrganizationId>,
    limit: u32,
) -> Result<StoredPage<Summary>, Problem> {
    let mut ids: Vec<OrganizationId> =
        caller.signed_in().memberships().iter().map(|membership| membership.organization_id).collect();
    ids.sort();
    ids.retain(|id| after.is_none_or(|after| *id > after));
    let has_more = ids.len() > limit as usize;
    let mut data = Vec::new();
    for id in ids.into_iter().take(limit as usize) {
        let Ok(actor) = caller.signed_in().actor(Some(id)) else { continue };
        let mut tx = app.store.begin(&actor).await?;
        data.extend(organizations::list(&mut tx, None, 1).await?.data);
    }
    Ok(StoredPage { data, has_more })
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
