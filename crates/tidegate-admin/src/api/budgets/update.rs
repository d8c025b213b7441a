//! `PATCH /budgets/{id}`

use axum::extract::State;
use tidegate_store::budgets;
use tidegate_types::BudgetId;
use tidegate_types::resource::{Enforcement, Resource};

use super::{BudgetSpec, BudgetView};
use crate::actor::Caller;
use crate::api::organizations::refuse_several_pools;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes a budget: merge patch. Window and scope are fixed when it is made.
#[utoipa::path(patch, path = "/budgets/{id}", tag = "budgets", operation_id = "budgets_update",
    request_body = BudgetSpec, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The budget as it is now", body = BudgetView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<BudgetId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<BudgetView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = budgets::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let spec: BudgetSpec = patch.apply(&BudgetSpec::from(before))?;
    spec.check()?;
    if spec.enforcement == Enforcement::Hard && before.enforcement != Enforcement::Hard {
        refuse_several_pools(&mut write).await?;
    }
    let mut after = before.clone();
    spec.put_into(&mut after);
    write.compile(&Resource::Budget(after.clone())).await?;
    budgets::update(&mut write, &after, Some(stored.version), tightens::budget(before, &after)).await?;
    let texts = super::label_texts(&mut write, std::iter::once(before)).await?;
    let (before, after) = (BudgetView::of(before, &texts), BudgetView::of(&after, &texts));
    write.updated("budget.update", id.to_string(), &before, after, stored.version).await
}
