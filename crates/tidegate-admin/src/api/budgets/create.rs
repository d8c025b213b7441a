//! `POST /budgets`

use axum::extract::State;
use tidegate_store::{Change, budgets, labels, organizations};
use tidegate_types::resource::{Budget, Enforcement, Resource, Scope, Selector};
use tidegate_types::window::WindowSpec;
use tidegate_types::{LabelHash, LabelKind};

use super::{BudgetCreate, BudgetSpec, BudgetView, ScopeCreate};
use crate::api::organizations::refuse_several_pools;
use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a budget.
#[utoipa::path(post, path = "/budgets", tag = "budgets", operation_id = "budgets_create", request_body = BudgetCreate,
    responses((status = CREATED, description = "The new budget", body = BudgetView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<BudgetCreate>) -> Done<BudgetView> {
    let asked = posted.body;
    check(&asked)?;
    let spec = BudgetSpec {
        name: asked.name,
        limit: asked.limit,
        enforcement: asked.enforcement,
        mode: asked.mode,
        count_byok: asked.count_byok,
        alert_at_percent: asked.alert_at_percent,
    };
    spec.check()?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    if spec.enforcement == Enforcement::Hard {
        refuse_several_pools(&mut write).await?;
    }
    let scope = scope(&mut write, asked.scope).await?;
    let id = app.new_id();
    let mut budget = Budget {
        organization_id: write.organization(),
        id,
        name: spec.name,
        limit: spec.limit,
        window: asked.window,
        scope,
        enforcement: spec.enforcement,
        mode: spec.mode,
        count_byok: spec.count_byok,
        alert_at_percent: spec.alert_at_percent,
        raises: Vec::new(),
        past: None,
    };
    if asked.count_past {
        budget.past = budgets::count_past(&mut write, &budget).await?;
    }
    write.compile(&Resource::Budget(budget.clone())).await?;
    budgets::insert(&mut write, &budget).await?;
    let texts = super::label_texts(&mut write, std::iter::once(&budget)).await?;
    let view = BudgetView::of(&budget, &texts);
    write.created("budget.create", id.to_string(), view).await
}

fn check(asked: &BudgetCreate) -> Result<(), Problem> {
    let mut checks = Checks::default();
    if let WindowSpec::Fixed { start, end } = asked.window {
        checks.that(start < end, "window.end", "must be after window.start");
    }
    let scope = &asked.scope;
    if let Some(user) = &scope.end_user {
        let holds = (1..=256).contains(&user.chars().count());
        checks.that(holds, "scope.end_user", "must be 1 to 256 characters");
    }
    if let Some(tag) = &scope.tag {
        let named = tag.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        checks.that(named && tag.chars().count() <= 321, "scope.tag", "must be name=value");
    }
    checks.done()
}

/// Hashes labels with the organization's key; their text is kept for people, without ZDR.
async fn scope(change: &mut Change, asked: ScopeCreate) -> Result<Scope, Problem> {
    let mut scope = Scope {
        team: asked.team,
        key: asked.key,
        model: asked.model,
        provider: asked.provider,
        ..Scope::default()
    };
    if asked.end_user.is_none() && asked.tag.is_none() {
        return Ok(scope);
    }
    let label_key = organizations::get(change).await?.value.label_key;
    let readable = super::labels_may_be_kept(change).await?;
    for (kind, text, slot) in [
        (LabelKind::EndUser, asked.end_user, &mut scope.end_user),
        (LabelKind::Tag, asked.tag, &mut scope.tag),
    ] {
        let Some(text) = text else { continue };
        let hash = LabelHash::of(&label_key, kind, &text);
        *slot = Some(Selector { hash });
        if readable {
            labels::put(change, hash, kind.as_str(), &text).await?;
        }
    }
    Ok(scope)
}
