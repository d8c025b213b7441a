//! `/budgets`: limits on money. End users and tags are given as text and kept as keyed hashes.

mod create;
mod delete;
mod get;
mod list;
mod lower;
mod raise;
mod update;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidegate_store::budgets::{self, Spend};
use tidegate_store::{Stored, TenantTx, labels, resources};
use tidegate_types::resource::{
    Budget, Enforcement, HoldMode, Raise, Resource, ResourceKind, Selector, ZdrTier,
};
use tidegate_types::window::WindowSpec;
use tidegate_types::{BudgetId, KeyId, LabelHash, ModelName, NanoUsd, ProviderSlug, TeamId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schema::WindowSchema;
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(raise::raise, lower::lower))
}

/// Which calls a budget covers: those that match every field that is given.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = BudgetScopeCreate)]
pub(crate) struct ScopeCreate {
    /// Calls of this team.
    #[schema(value_type = Option<String>)]
    team: Option<TeamId>,
    /// Calls with this key.
    #[schema(value_type = Option<String>)]
    key: Option<KeyId>,
    /// Calls for this end user, as the application names it.
    end_user: Option<String>,
    /// Calls with this tag, `name=value`.
    tag: Option<String>,
    /// Attempts at this model.
    #[schema(value_type = Option<String>)]
    model: Option<ModelName>,
    /// Attempts at this provider.
    #[schema(value_type = Option<String>)]
    provider: Option<ProviderSlug>,
}

/// Largest limit: 2^53 nano-USD. Nodes count in doubles, which are exact up to there, and refuse
/// every call under a larger one.
const MOST: NanoUsd = NanoUsd::new(1 << 53);

/// What may be changed about a budget.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetSpec {
    /// Unique in the organization.
    name: String,
    /// Most that may be spent in a window, USD.
    #[schema(value_type = String, example = "1.00")]
    limit: NanoUsd,
    /// At the limit: `hard` refuses calls that do not fit, `soft` only alerts.
    #[schema(value_type = String)]
    enforcement: Enforcement,
    /// How much a hard budget holds: `strict` (never over) or `expected`.
    #[schema(value_type = String)]
    mode: HoldMode,
    /// Whether calls over the organization's own credentials count.
    count_byok: bool,
    /// Percentages of the limit at which an alert is due.
    alert_at_percent: Vec<u8>,
}

/// A new budget. Window and scope cannot be changed later.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetCreate {
    /// Unique in the organization.
    name: String,
    /// Most that may be spent in a window, USD.
    #[schema(value_type = String, example = "1.00")]
    limit: NanoUsd,
    /// When it starts afresh.
    #[schema(value_type = WindowSchema)]
    window: WindowSpec,
    /// Which calls it covers; all of the organization's when absent.
    #[serde(default)]
    scope: ScopeCreate,
    /// `hard` (when absent) or `soft`.
    #[serde(default = "hard")]
    #[schema(value_type = String, default = "hard")]
    enforcement: Enforcement,
    /// `strict` (when absent) or `expected`.
    #[serde(default = "strict")]
    #[schema(value_type = String, default = "strict")]
    mode: HoldMode,
    /// Whether calls over the organization's own credentials count.
    #[serde(default)]
    count_byok: bool,
    /// Percentages of the limit at which an alert is due.
    #[serde(default)]
    alert_at_percent: Vec<u8>,
    /// Whether what the present window has used before counts.
    #[serde(default)]
    count_past: bool,
}

const fn hard() -> Enforcement {
    Enforcement::Hard
}

const fn strict() -> HoldMode {
    HoldMode::Strict
}

/// A label: its keyed hash, and its text where that may be kept.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Label)]
pub(crate) struct LabelView {
    /// Keyed hash.
    #[schema(value_type = String)]
    hash: LabelHash,
    /// Readable form; not kept under zero data retention.
    text: Option<String>,
}

/// Which calls a budget covers, as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BudgetScope)]
pub(crate) struct ScopeView {
    /// Calls of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    team: Option<TeamId>,
    /// Calls with this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key: Option<KeyId>,
    /// Calls for this end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user: Option<LabelView>,
    /// Calls with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<LabelView>,
    /// Attempts at this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    model: Option<ModelName>,
    /// Attempts at this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    provider: Option<ProviderSlug>,
}

/// What a budget's present window has used.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BudgetSpend)]
pub(crate) struct SpendView {
    /// Charged, USD.
    #[schema(value_type = String)]
    spent: NanoUsd,
    /// Held for attempts that run, as far as nodes have reported, USD.
    #[schema(value_type = String)]
    held: NanoUsd,
    /// Held for attempts whose outcome is not known, USD.
    #[schema(value_type = String)]
    unresolved: NanoUsd,
    /// First instant of the window.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_start: Option<Timestamp>,
    /// First instant after the window.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_end: Option<Timestamp>,
}

/// A temporary raise of a limit; it falls back by itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BudgetRaise)]
pub(crate) struct RaiseSpec {
    /// Added to the limit, USD.
    #[schema(value_type = String, example = "0.50")]
    amount: NanoUsd,
    /// First instant at which it no longer holds.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Why.
    reason: String,
}

impl From<&Raise> for RaiseSpec {
    fn from(raise: &Raise) -> Self {
        Self { amount: raise.amount, until: raise.until, reason: raise.reason.clone() }
    }
}

/// A budget.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    /// Identity.
    #[schema(value_type = String)]
    id: BudgetId,
    /// When it starts afresh.
    #[schema(value_type = WindowSchema)]
    window: WindowSpec,
    /// Which calls it covers.
    scope: ScopeView,
    /// What may be changed.
    #[serde(flatten)]
    spec: BudgetSpec,
    /// Temporary raises, in the order in which they were made.
    raises: Vec<RaiseSpec>,
    /// Limit and running raises together; in answers to GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    limit_now: Option<NanoUsd>,
    /// What its first window had used before the budget was made, USD; `null` where that does not count.
    #[schema(value_type = Option<String>)]
    counted_past: Option<NanoUsd>,
    /// What its present window has used, as far as nodes have reported; in answers to GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    spend: Option<SpendView>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl BudgetSpec {
    fn check(&self) -> Result<(), Problem> {
        let mut checks = Checks::default();
        checks.name("name", &self.name).that(self.limit.get() >= 0, "limit", "must not be negative");
        checks.that(self.limit <= MOST, "limit", "must be 9007199.254740992 at most; split a larger budget");
        let percents = &self.alert_at_percent;
        let holds = percents.iter().all(|p| (1..=100).contains(p)) && percents.is_sorted_by(|a, b| a < b);
        checks.that(
            holds && percents.len() <= 10,
            "alert_at_percent",
            "must be at most 10 ascending numbers of 1 to 100",
        );
        checks.done()
    }

    /// Lays this over a budget.
    fn put_into(self, budget: &mut Budget) {
        budget.name = self.name;
        budget.limit = self.limit;
        budget.enforcement = self.enforcement;
        budget.mode = self.mode;
        budget.count_byok = self.count_byok;
        budget.alert_at_percent = self.alert_at_percent;
    }
}

impl From<&Budget> for BudgetSpec {
    fn from(budget: &Budget) -> Self {
        Self {
            name: budget.name.clone(),
            limit: budget.limit,
            enforcement: budget.enforcement,
            mode: budget.mode,
            count_byok: budget.count_byok,
            alert_at_percent: budget.alert_at_percent.clone(),
        }
    }
}

impl BudgetView {
    /// A budget as it is shown, without what it has spent.
    pub(super) fn of(budget: &Budget, texts: &HashMap<LabelHash, String>) -> Self {
        let scope = &budget.scope;
        let label = |selector: Option<Selector>| {
            selector.map(|s| LabelView { hash: s.hash, text: texts.get(&s.hash).cloned() })
        };
        Self {
            id: budget.id,
            window: budget.window,
            scope: ScopeView {
                team: scope.team,
                key: scope.key,
                end_user: label(scope.end_user),
                tag: label(scope.tag),
                model: scope.model.clone(),
                provider: scope.provider.clone(),
            },
            spec: budget.into(),
            raises: budget.raises.iter().map(Into::into).collect(),
            limit_now: None,
            counted_past: budget.past.map(|past| past.amount),
            spend: None,
            created_at: super::made_at(budget.id),
        }
    }
}

/// Readable forms of the labels that budgets name.
async fn label_texts<'a>(
    tx: &mut TenantTx,
    budgets: impl Iterator<Item = &'a Budget>,
) -> Result<HashMap<LabelHash, String>, Problem> {
    let hashes = budgets.flat_map(|budget| [budget.scope.end_user, budget.scope.tag]);
    let hashes: Vec<LabelHash> = hashes.flatten().map(|selector| selector.hash).collect();
    if hashes.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(labels::texts(tx, &hashes).await?)
}

/// Budgets as they are shown, with what their present windows have used.
async fn views(app: &App, tx: &mut TenantTx, rows: &[Stored<Budget>]) -> Result<Vec<BudgetView>, Problem> {
    let texts = label_texts(tx, rows.iter().map(|row| &row.value)).await?;
    let ids: Vec<BudgetId> = rows.iter().map(|row| row.value.id).collect();
    let used = budgets::spend(tx, &ids, app.clock.now()).await?;
    let used: HashMap<BudgetId, Spend> = used.into_iter().map(|spend| (spend.budget_id, spend)).collect();
    let (calendar, now) = (budgets::calendar(tx).await?, app.clock.now());
    let view = |row: &Stored<Budget>| {
        let budget = &row.value;
        let spend = used.get(&budget.id);
        let window = spend.map(|spend| spend.window).or_else(|| calendar.window(budget.window, now));
        let limit = budget.limit_at(window.map_or(now, |window| window.start), now, 0);
        let spend = SpendView {
            spent: limit.past + spend.map_or(NanoUsd::ZERO, |spend| spend.spent),
            held: spend.map_or(NanoUsd::ZERO, |spend| spend.held),
            unresolved: spend.map_or(NanoUsd::ZERO, |spend| spend.unresolved),
            window_start: window.map(|window| window.start),
            window_end: window.map(|window| window.end).filter(|end| end.as_micros() != i64::MAX),
        };
        BudgetView { spend: Some(spend), limit_now: Some(limit.limit), ..BudgetView::of(budget, &texts) }
    };
    Ok(rows.iter().map(view).collect())
}

/// Whether readable labels may be kept: not where any policy demands zero data retention.
pub(in crate::api) async fn labels_may_be_kept(tx: &mut TenantTx) -> Result<bool, Problem> {
    let policies = resources(tx, &[ResourceKind::Policy]).await?;
    let strict = |resource: &Resource| matches!(resource, Resource::Policy(policy) if policy.privacy.zdr >= ZdrTier::ZdrWithSafetyRetention);
    Ok(!policies.iter().any(strict))
}
