//! The stages of planning in their order.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::resource::RouteTarget;
use tidegate_types::{ModelName, Timestamp};

use super::budgets::covering;
use super::candidates::{Search, Taken, Target};
use super::effective::{EffectivePolicy, demands};
use super::eject::eject;
use super::facts::CallFacts;
use super::filter::Filter;
use super::order::{Candidates, append_new, by_draw};
use super::outcome::{Candidate, Plan, RateLimit, RateScope, Removed, Role};
use super::refusal::{PlanRefusal, Why, nobody_left};
use super::resolve::{Named, resolve};
use super::through::{Through, through};
use crate::compiled::Route;
use crate::view::View;

/// Plans a call: who may answer it, in which order, and what it counts towards. The key has been
/// admitted ([`View::admit`]). `draw` is uniform over all of `u64` and decides between a route's
/// targets and between credentials that share calls; the same arguments give the same plan.
///
/// # Errors
/// [`PlanRefusal`] when the name means nothing, is not allowed, or no candidate passes the filters.
pub fn plan(view: &View, facts: &CallFacts<'_>, now: Timestamp, draw: u64) -> Result<Plan, PlanRefusal> {
    let mut demands = demands(view, facts);
    if let Some(policy) = demands.closed {
        return Err(Why::Closed { what: format!("policy '{}'", policy.name) }.into());
    }
    let through = through(view, facts.through)?;
    let named = resolve(view, &demands.effective, facts.model_asked)?;
    let (route, wanted) = match (&through, &named) {
        (_, Named::Route(route)) => (Some(route), None),
        (Through::Route(route), Named::Model(model)) => (Some(route), Some(&model.name)),
        (_, Named::Model(_)) => (None, None),
    };
    if let Some(route) = route {
        demands.lay_under(route);
    }
    let slugs = match &through {
        Through::Providers(slugs) => slugs.as_slice(),
        Through::Anybody | Through::Route(_) => &[],
    };
    let covering = covering(view, facts, now);
    let mut removed = Taken::new();
    let fallbacks = fallbacks(view, &demands.effective, facts, &mut removed);
    demands.share(1 + fallbacks.len());
    let search = Search { view, facts, now, demands: &demands, covering, through: slugs, draw };
    let mut candidates = match (route, &named) {
        (Some(route), _) => of_route(&search, route, wanted, draw, &mut removed),
        (None, Named::Model(model)) => {
            search.gather(Target { model: &model.name, providers: &[], role: Role::Named }, &mut removed)
        }
        (None, Named::Route(_)) => Candidates::new(),
    };
    for (place, named) in &fallbacks {
        let role = Role::Wished(*place);
        let mut more = match (named, &through) {
            (Named::Route(route), _) => of_route(&search, route, None, draw, &mut removed),
            (Named::Model(model), Through::Route(route)) => {
                of_route(&search, route, Some(&model.name), draw, &mut removed)
            }
            (Named::Model(model), _) => {
                search.gather(Target { model: &model.name, providers: &[], role }, &mut removed)
            }
        };
        more.iter_mut().for_each(|candidate| candidate.role = role);
        append_new(&mut candidates, more);
    }
    drop(search);
    if candidates.is_empty() {
        return Err(nobody_left(facts.model_asked, removed));
    }
    eject(&mut candidates);
    let rates = rates(view, &candidates);
    let route = route.map(Arc::clone);
    let epoch = view.organization.epoch;
    Ok(Plan { route, candidates, removed, rates, policy: demands.effective, epoch })
}

/// What the names of the request's fallbacks mean, with their places; those that mean nothing, or
/// that the key may not ask for, go to `removed`.
fn fallbacks(
    view: &View,
    policy: &EffectivePolicy,
    facts: &CallFacts<'_>,
    removed: &mut Taken,
) -> SmallVec<[(u8, Named); 2]> {
    let mut found = SmallVec::new();
    for (place, name) in facts.wishes.models.iter().enumerate() {
        match resolve(view, policy, name) {
            Ok(named) => found.push((u8::try_from(place).unwrap_or(u8::MAX), named)),
            Err(why) => removed.push(Removed {
                model: name.chars().take(64).collect::<String>().into(),
                provider: None,
                offering_id: None,
                model_id: None,
                credential: None,
                filter: Filter::Name(Box::new(why)),
            }),
        }
    }
    found
}

/// The drawn target, the other targets, the fallbacks; with `wanted` those of that model only.
/// A target of weight 0 is switched off.
pub(super) fn of_route<'s>(
    search: &'s Search<'_, '_>,
    route: &'s Route,
    wanted: Option<&ModelName>,
    draw: u64,
    removed: &mut Taken,
) -> Candidates {
    let target =
        |target: &'s RouteTarget, role| Target { model: &target.model, providers: &target.providers, role };
    let meant = |target: &&RouteTarget| wanted.is_none_or(|wanted| target.model == *wanted);
    let live = route.targets.iter().filter(|target| target.weight > 0).filter(meant);
    let drawn = live.map(|live| (live.weight, search.gather(target(live, Role::Undrawn), removed))).collect();
    let mut candidates = Candidates::new();
    append_new(&mut candidates, by_draw(drawn, draw));
    for (place, fallback) in route.fallbacks.iter().enumerate().filter(|(_, fallback)| meant(fallback)) {
        let role = Role::Fallback(u8::try_from(place).unwrap_or(u8::MAX));
        append_new(&mut candidates, search.gather(target(fallback, role), removed));
    }
    candidates
}

/// The rate limits of the key, its team, its organization, and of the candidates' models, as far as
/// they have any.
fn rates(view: &View, candidates: &[Candidate]) -> SmallVec<[RateLimit; 4]> {
    let organization = &view.organization.organization;
    let key = RateLimit { scope: RateScope::Key(view.key.id), limits: view.key.limits };
    let team = view.team().map(|team| RateLimit { scope: RateScope::Team(team.id), limits: team.limits });
    let whole = RateLimit { scope: RateScope::Organization, limits: organization.limits };
    let mut rates: SmallVec<[RateLimit; 4]> =
        [Some(key), team, Some(whole)].into_iter().flatten().filter(|rate| !rate.limits.is_empty()).collect();
    if organization.model_limits.is_empty() {
        return rates;
    }
    for candidate in candidates {
        let scope = RateScope::Model(candidate.model.id);
        let known = rates.iter().any(|rate| rate.scope == scope);
        let own = organization.model_limits.iter().find(|own| own.model == candidate.model.name);
        if let (false, Some(own)) = (known, own.filter(|own| !own.limits.is_empty())) {
            rates.push(RateLimit { scope, limits: own.limits });
        }
    }
    rates
}
