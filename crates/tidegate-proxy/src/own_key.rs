//! `/v1/key`: what a key may know of itself: name, team, models, limits, budgets.

use bytes::Bytes;
use http::{Response, request};
use serde::Serialize;
use smallvec::SmallVec;
use tidegate_limits::{Balance, LimitError};
use tidegate_policy::{BudgetRef, CallFacts, View, models_for, plan};
use tidegate_types::label::LabelKind;
use tidegate_types::resource::{KeyLimits, ModelKind};
use tidegate_types::{BudgetId, KeyId, LabelHash, NanoUsd, OrganizationId, TeamId, Timestamp};

use crate::account::Arrival;
use crate::authenticate::enter;
use crate::gateway::Gateway;
use crate::known_limits::KnownLimits;
use crate::listing::json;
use crate::read_call::tag_text;
use crate::refusal::Refused;

/// The key's own facts. Spent amounts are absent while nobody can tell.
pub(crate) async fn describe(
    gateway: &Gateway,
    arrival: Arrival,
    head: &request::Parts,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused> {
    let caller = enter(gateway, arrival, &head.headers, known)?;
    let view = &caller.view;
    let models = models_for(view, arrival.at);
    let budgets = covering(view, &models, gateway.limiter.now());
    let balances = balances(gateway, view.organization_id(), &budgets).await;
    Ok(json(&OwnKey {
        object: "key",
        id: view.key_id(),
        name: view.key().name(),
        organization_id: view.organization_id(),
        team: Team { id: view.team_id(), name: view.team().map_or("", |team| &team.name) },
        expires_at: view.key().expires_at(),
        models: models.iter().map(|model| &*model.name).collect(),
        limits: view.key().limits(),
        team_limits: view.team().map(|team| team.limits).unwrap_or_default(),
        budgets: budgets.iter().map(|part| OwnBudget::new(part, &balances)).collect(),
    }))
}

#[derive(Serialize)]
struct OwnKey<'a> {
    object: &'static str,
    id: KeyId,
    name: &'a str,
    organization_id: OrganizationId,
    team: Team<'a>,
    expires_at: Option<Timestamp>,
    models: Vec<&'a str>,
    limits: KeyLimits,
    team_limits: KeyLimits,
    budgets: Vec<OwnBudget<'a>>,
}

#[derive(Serialize)]
struct Team<'a> {
    id: TeamId,
    name: &'a str,
}

#[derive(Serialize)]
struct OwnBudget<'a> {
    id: BudgetId,
    name: &'a str,
    enforcement: &'static str,
    limit: NanoUsd,
    spent: Option<NanoUsd>,
    held: Option<NanoUsd>,
    unresolved: Option<NanoUsd>,
    remaining: Option<NanoUsd>,
    starts_at: Timestamp,
    resets_at: Option<Timestamp>,
}

impl<'a> OwnBudget<'a> {
    /// As its balance among these shows it.
    fn new(part: &'a BudgetRef, balances: &[Balance]) -> Self {
        let own = |balance: &&Balance| balance.budget_id == part.budget.id && balance.window == part.window;
        let balance = balances.iter().find(own);
        // The counters do not know what was spent before the budget counted.
        let past = part.limit.past;
        let limit = balance.and_then(|balance| balance.limit).map_or(part.limit.limit, |limit| limit + past);
        let used = balance.map(|balance| past + balance.spent + balance.held + balance.unresolved);
        Self {
            id: part.budget.id,
            name: &part.budget.name,
            enforcement: if part.budget.hard { "hard" } else { "soft" },
            limit,
            spent: balance.map(|balance| past + balance.spent),
            held: balance.map(|balance| balance.held),
            unresolved: balance.map(|balance| balance.unresolved),
            remaining: used.map(|used| (limit - used).max(NanoUsd::ZERO)),
            starts_at: part.window.start,
            resets_at: (part.window.end.as_micros() != i64::MAX).then_some(part.window.end),
        }
    }
}

/// Most models that are planned to find the budgets that cover their calls.
const MOST_PLANS: usize = 256;

/// The budgets that a plain call of this key may count towards.
fn covering(view: &View, models: &[tidegate_policy::ListedModel], now: Timestamp) -> Vec<BudgetRef> {
    let key = &view.organization().organization().label_key;
    let tag = |(name, value)| LabelHash::of(key, LabelKind::Tag, &tag_text(name, value));
    let tags: SmallVec<[LabelHash; 4]> = view.key().tags().map(tag).collect();
    let mut found: Vec<BudgetRef> = Vec::new();
    for listed in models.iter().filter(|listed| listed.model.kind == ModelKind::Language).take(MOST_PLANS) {
        let facts = CallFacts { tags: &tags, ..CallFacts::of_model(&listed.name) };
        let Ok(plan) = plan(view, &facts, now, 0) else { continue };
        for part in plan.candidates.iter().flat_map(|candidate| &candidate.budgets) {
            if found.iter().all(|known| known.budget.id != part.budget.id) {
                found.push(part.clone());
            }
        }
    }
    found.sort_by(|one, other| one.budget.name.cmp(&other.budget.name));
    found
}

/// What the tightest hard budget leaves a plain call of this key; `None` when none covers it.
pub(crate) async fn tightest(gateway: &Gateway, view: &View) -> Option<NanoUsd> {
    let models = models_for(view, gateway.now());
    let mut budgets = covering(view, &models, gateway.limiter.now());
    budgets.retain(|part| part.budget.hard);
    let balances = balances(gateway, view.organization_id(), &budgets).await;
    let left = |part: &BudgetRef| {
        let shown = OwnBudget::new(part, &balances);
        shown.remaining.unwrap_or(shown.limit)
    };
    budgets.iter().map(left).min()
}

async fn balances(gateway: &Gateway, organization: OrganizationId, budgets: &[BudgetRef]) -> Vec<Balance> {
    if budgets.is_empty() {
        return Vec::new();
    }
    let asked: Vec<_> = budgets.iter().map(|part| (part.budget.id, part.window)).collect();
    let mut found = gateway.limiter.balances(organization, &asked).await;
    if matches!(found, Err(LimitError::NoEpoch { .. }))
        && gateway.authority.open_epoch(organization).await.is_ok()
    {
        found = gateway.limiter.balances(organization, &asked).await;
    }
    found.unwrap_or_default()
}
