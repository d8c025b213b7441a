//! `GET /trust-rules`

use axum::Json;
use axum::extract::State;
use tidegate_store::trust_rules;
use tidegate_types::TrustRuleId;

use super::{TrustRuleView, bound_issuers};
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Lists trust rules.
#[utoipa::path(get, path = "/trust-rules", tag = "trust-rules", operation_id = "trust_rules_list", params(PageQuery),
    responses((status = OK, description = "A page of trust rules", body = Page<TrustRuleView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<TrustRuleView>>, Problem> {
    let mut tx = app.store.begin(caller.actor()).await?;
    let rows = trust_rules::list(&mut tx, page.after()?, page.limit()?).await?;
    let ids: Vec<TrustRuleId> = rows.data.iter().map(|stored| stored.value.id).collect();
    let fetchings = trust_rules::fetchings(&mut tx, &ids).await?;
    let bound = bound_issuers(&mut tx).await?;
    let both: Vec<_> = rows.data.iter().zip(fetchings).collect();
    let view = |(stored, fetching): &(&tidegate_store::Stored<_>, _)| {
        TrustRuleView::of(&stored.value, Clone::clone(fetching), &bound)
    };
    Ok(Json(Page::from_rows(&both, rows.has_more, |(stored, _)| stored.value.id, view)))
}
