//! Which models and routes a key may call, and what anybody may see.

use std::sync::Arc;

use tidegate_types::Timestamp;
use tidegate_types::resource::{Model, ModelKind};

use super::budgets::Covering;
use super::candidates::{Search, Taken, Target};
use super::effective::demands;
use super::facts::CallFacts;
use super::outcome::Role;
use super::stages::of_route;
use crate::catalogue::Catalogue;
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
    let callable = |kind: ModelKind, find: &dyn Fn(&Search<'_, '_>, &mut Taken) -> bool| {
        let facts = CallFacts { kind, ..text };
        let search =
            Search { view, facts: &facts, now, demands: &demands, covering: Covering::new(), only: &[] };
        find(&search, &mut Taken::new())
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
        if callable(model.kind, &|search, taken| {
            let target = Target { model: &model.name, providers: &[], role: Role::Named };
            !search.gather(target, taken).is_empty()
        }) {
            listed.push(ListedModel {
                name: model.name.as_str().into(),
                model: Arc::clone(model),
                is_route: false,
            });
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
        if let Some(model) = first
            && callable(model.kind, &|search, taken| !of_route(search, route, None, 0, taken).is_empty())
        {
            listed.push(ListedModel {
                name: Arc::clone(&route.name),
                model: Arc::clone(model),
                is_route: true,
            });
        }
    }
    listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// The models of the shared catalogue that somebody offers at `now`, by name.
#[must_use]
pub fn public_models(catalogue: &Catalogue, now: Timestamp) -> Vec<ListedModel> {
    let offered = |model: &&Arc<Model>| {
        catalogue.offerings_of(&model.name).iter().any(|entry| {
            let enabled = entry.provider.as_ref().is_some_and(|provider| provider.enabled);
            enabled && entry.offering.enabled && entry.offering.price_at(now).is_some()
        })
    };
    let models = catalogue.models.values().filter(offered);
    let mut listed: Vec<ListedModel> = models
        .map(|model| ListedModel {
            name: model.name.as_str().into(),
            model: Arc::clone(model),
            is_route: false,
        })
        .collect();
    listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    listed
}
