//! `GET /credentials`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_store::{Stored, credentials, failures, uses};
use tidegate_types::CredentialId;
use tidegate_types::resource::Credential;
use utoipa::IntoParams;

use super::{CredentialView, ScopeName};
use crate::actor::Caller;
use crate::body::Query;
use crate::capability::{Action, Noun};
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Which credentials.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CredentialQuery {
    /// `system`: those of the system (platform roles only).
    scope: Option<ScopeName>,
    /// Rows on the page, 1 to 1000; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists credentials, without their secrets.
#[utoipa::path(get, path = "/credentials", tag = "credentials", operation_id = "credentials_list",
    params(CredentialQuery),
    responses((status = OK, description = "A page of credentials", body = Page<CredentialView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<CredentialQuery>,
) -> Result<Json<Page<CredentialView>>, Problem> {
    let actor = match asked.scope {
        Some(ScopeName::System) => caller.above(Noun::Credentials, Action::Read)?,
        Some(ScopeName::Team) => return Err(Problem::field("scope", "must be system or organization")),
        Some(ScopeName::Organization) | None => caller.actor().clone(),
    };
    let page = PageQuery::new(asked.limit, asked.cursor);
    let mut tx = app.store.begin(&actor).await?;
    let rows = credentials::list(&mut tx, page.after()?, page.limit()?).await?;
    let ids: Vec<CredentialId> = rows.data.iter().map(|row| row.value.id).collect();
    let failed = failures::of(&mut tx, &ids).await?;
    let used = uses::of(&mut tx, &ids).await?;
    let view = |row: &Stored<Credential>| {
        let id = &row.value.id;
        CredentialView::from(&row.value).with_failure(failed.get(id).copied()).used_at(used.get(id).copied())
    };
    Ok(Json(Page::from_rows(&rows.data, rows.has_more, |row| row.value.id, view)))
}
