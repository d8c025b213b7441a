//! From the name that a client wrote to a route or a model.

use std::sync::Arc;

use tidegate_types::resource::Model;

use super::effective::EffectivePolicy;
use super::nearest::nearest;
use super::refusal::Why;
use crate::catalogue::normal;
use crate::compiled::Route;
use crate::view::View;

/// Longest name that is looked at.
const LONGEST: usize = 256;

/// What a name means.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    Route(Arc<Route>),
    Model(Arc<Model>),
}

/// In this order: the organization's route; exact `creator/name`; alias; bare name of exactly one
/// allowed creator; what a provider calls it. An organization's own models come before the shared ones.
pub(crate) fn resolve(view: &View, policy: &EffectivePolicy, asked: &str) -> Result<Named, Why> {
    if asked.len() > LONGEST {
        return Err(Why::UnknownModel { asked: asked.chars().take(64).collect(), nearest: Vec::new() });
    }
    if let Some(route) = route(view, policy, asked) {
        return usable(view, route).map(Named::Route);
    }
    let (own, shared) = (&view.organization.own, &view.catalogue);
    if let Some(model) = own.models.get(asked).or_else(|| shared.models.get(asked)) {
        return asked_directly(view, asked, model);
    }
    let name = normal(asked);
    let alias = own.aliases.get(&name).or_else(|| shared.aliases.get(&name));
    if let Some(models) = alias {
        return match models.as_slice() {
            [model] => asked_directly(view, asked, model),
            models => one_allowed(view, asked, models.iter()),
        };
    }
    for (own, shared) in [(&own.bare, &shared.bare), (&own.upstream, &shared.upstream)] {
        let found =
            [own.get(&name), shared.get(&name)].into_iter().flatten().flat_map(|models| models.iter());
        if found.clone().any(|model| view.allows_model(&model.name)) {
            return one_allowed(view, asked, found);
        }
    }
    Err(unknown(view, asked))
}

/// A route of this name, unless it shadows a catalogue model without permission.
fn route<'a>(view: &'a View, policy: &EffectivePolicy, asked: &str) -> Option<&'a Arc<Route>> {
    let route = view.organization.routes.get(asked)?;
    let shadows =
        || view.organization.own.models.contains_key(asked) || view.catalogue.models.contains_key(asked);
    (policy.routes_may_shadow || !shadows()).then_some(route)
}

pub(super) fn usable(view: &View, route: &Arc<Route>) -> Result<Arc<Route>, Why> {
    if !view.allow().is_none_or(|allow| allow.asks_route(&route.name)) {
        return Err(Why::RouteNotAllowed { name: route.name.to_string() });
    }
    if route.closed {
        return Err(Why::Closed { what: format!("route '{}'", route.name) });
    }
    Ok(Arc::clone(route))
}

fn asked_directly(view: &View, asked: &str, model: &Arc<Model>) -> Result<Named, Why> {
    if view.allow().is_none_or(|allow| allow.asks_models()) {
        Ok(Named::Model(Arc::clone(model)))
    } else {
        Err(Why::RouteNotAllowed { name: asked.to_owned() })
    }
}

fn one_allowed<'a>(
    view: &View,
    asked: &str,
    models: impl Iterator<Item = &'a Arc<Model>>,
) -> Result<Named, Why> {
    let mut allowed: Vec<&Arc<Model>> = Vec::new();
    for model in models.filter(|model| view.allows_model(&model.name)) {
        // An own model of the same name stands before the shared one.
        if allowed.iter().all(|other| other.name != model.name) {
            allowed.push(model);
        }
    }
    match allowed.as_slice() {
        [] => Err(unknown(view, asked)),
        [model] => asked_directly(view, asked, model),
        several => Err(Why::Ambiguous {
            asked: asked.to_owned(),
            names: several.iter().map(|model| model.name.to_string()).collect(),
        }),
    }
}

fn unknown(view: &View, asked: &str) -> Why {
    Why::UnknownModel { asked: asked.to_owned(), nearest: nearest(view, asked) }
}
