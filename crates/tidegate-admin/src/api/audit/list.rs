//! `GET /audit`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tidegate_store::audit::{self, Entry};
use tidegate_types::Timestamp;
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// An entry of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct EntryView {
    /// Place in the chain, from 1.
    n: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who: the id of a member, person or service token, or `system:<part>`.
    actor: String,
    /// What was done, for example `key.revoke`.
    action: String,
    /// What it was done to.
    object: String,
    /// The object as it was.
    before: Option<Value>,
    /// The object as it was afterwards.
    after: Option<Value>,
    /// Hash of the chain up to this entry, SHA-256.
    hash: String,
}

impl From<&Entry> for EntryView {
    fn from(entry: &Entry) -> Self {
        Self {
            n: entry.n,
            at: entry.at,
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            object: entry.object.clone(),
            before: entry.before.clone(),
            after: entry.after.clone(),
            hash: entry.hash.to_string(),
        }
    }
}

/// Lists the audit, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "audit_list", params(PageQuery),
    responses((status = OK, description = "A page of entries", body = Page<EntryView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = audit::list(&mut tx, page.after()?, page.limit()?).await?;
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |entry| entry.n, EntryView::from)))
}
