//! Which models and routes a key may call, who offers them at what price, and what anybody may see.

use std::sync::Arc;

use tidegate_pricing::Tariff;
use tidegate_types::Timestamp;
use tidegate_types::resource::{Model, ModelKind, Price, Provider, Unit};

use super::budgets::Covering;
use super::candidates::{Search, Taken, Target};
use super::effective::demands;
use super::facts::CallFacts;
use super::order::Candidates;
use super::outcome::Role;
use super::stages::of_route;
use crate::catalogue::Catalogue;
use crate::compiled::Offering;
use crate::view::View;

/// An entry of a list of models.
#[derive(Debug, Clone)]
pub struct ListedModel {
    /// What to ask for: `creator/name`, or a route's name.
    pub name: Arc<str>,
    /// The model; for a route that of its first target.
    pub model: Arc<Model>,
    /// Whether it is a route.
    pub is_route: bool,
    /// Who offers it; the first is who is asked first, or the maker where nobody asks.
    pub offers: Vec<Offer>,
}

/// A model at a provider, with its list price.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The model there.
    pub offering: Arc<Offering>,
    /// The price that holds; `None` where only a policy's ceiling does.
    pub price: Option<Arc<Price>>,
}

/// The offers among candidates, each once, whatever credentials there are for it.
fn offers(candidates: &Candidates) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for candidate in candidates {
        if offers.iter().all(|offer| offer.offering.id != candidate.offering.id) {
            let price = match &candidate.tariff {
                Tariff::Listed(price) => Some(Arc::clone(price)),
                Tariff::Ceiling(_) => None,
            };
            let (provider, offering) = (Arc::clone(&candidate.provider), Arc::clone(&candidate.offering));
            offers.push(Offer { provider, offering, price });
        }
    }
    offers
}

/// The models and routes that a key may call at `now`, by name. A model that the key may see but
/// nobody can serve is left out.
#[must_use]
pub fn models_for(view: &View, now: Timestamp) -> Vec<ListedModel> {
    let text = CallFacts::of_model("");
    let demands = demands(view, &text);
    if demands.closed.is_some() {
        return Vec::new();
    }
    let callable = |kind: ModelKind, find: &dyn Fn(&Search<'_, '_>, &mut Taken) -> Candidates| {
        let facts = CallFacts { kind, ..text };
        let covering = Covering::new();
        let search = Search { view, facts: &facts, now, demands: &demands, covering, through: &[], draw: 0 };
        offers(&find(&search, &mut Taken::new()))
    };
    let (own, shared) = (&view.organization.own, &view.catalogue);
    let asks_models = view.allow().is_none_or(|allow| allow.asks_models());
    let shadowed =
        |name: &str| demands.effective.routes_may_shadow && view.organization.routes.contains_key(name);
    let mut listed: Vec<ListedModel> = Vec::new();
    let models = own
        .models
        .values()
        .chain(shared.models.values().filter(|model| own.model(model.name.as_str()).is_none()));
    for model in models.filter(|model| asks_models && !shadowed(model.name.as_str())) {
        let offers = callable(model.kind, &|search, taken| {
            search.gather(Target { model: &model.name, providers: &[], role: Role::Named }, taken)
        });
        if !offers.is_empty() {
            let (name, model) = (model.name.as_str().into(), Arc::clone(model));
            listed.push(ListedModel { name, model, is_route: false, offers });
        }
    }
    for route in view.organization.routes.values() {
        let name = &*route.name;
        let catalogue_name = own.models.contains_key(name) || shared.models.contains_key(name);
        let asked = !route.closed && view.allow().is_none_or(|allow| allow.asks_route(name));
        if !asked || (catalogue_name && !demands.effective.routes_may_shadow) {
            continue;
        }
        let first = route.targets.iter().chain(&route.fallbacks).find_map(|target| {
            own.models.get(target.model.as_str()).or_else(|| shared.models.get(target.model.as_str()))
        });
        let Some(model) = first else { continue };
        let offers = callable(model.kind, &|search, taken| of_route(search, route, None, 0, taken));
        if !offers.is_empty() {
            let (name, model) = (Arc::clone(&route.name), Arc::clone(model));
            listed.push(ListedModel { name, model, is_route: true, offers });
        }
    }
    listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// The models of the shared catalogue that somebody offers at `now`, by name.
#[must_use]
pub fn public_models(catalogue: &Catalogue, now: Timestamp) -> Vec<ListedModel> {
    let mut listed: Vec<ListedModel> = Vec::new();
    for model in catalogue.models.values() {
        let offer = |entry: &crate::catalogue::Entry| {
            let provider = entry.provider.as_ref().filter(|provider| provider.enabled)?;
            let offering = Some(&entry.offering).filter(|offering| offering.enabled)?;
            let price = Some(Arc::clone(offering.price_at(now)?));
            Some(Offer { provider: Arc::clone(provider), offering: Arc::clone(offering), price })
        };
        let mut offers: Vec<Offer> = catalogue.offerings_of(&model.name).iter().filter_map(offer).collect();
        if offers.is_empty() {
            continue;
        }
        let maker = model.name.creator();
        offers.sort_by_key(|offer| (offer.provider.slug.as_str() != maker, input_price(offer)));
        let (name, model) = (model.name.as_str().into(), Arc::clone(model));
        listed.push(ListedModel { name, model, is_route: false, offers });
    }
    listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// What an input token costs of a short prompt.
fn input_price(offer: &Offer) -> i64 {
    let first = offer.price.as_ref().and_then(|price| price.tiers.first());
    let entry = first.and_then(|tier| tier.prices.iter().find(|entry| entry.unit == Unit::InputToken));
    entry.map_or(i64::MAX, |entry| entry.price.get())
}
