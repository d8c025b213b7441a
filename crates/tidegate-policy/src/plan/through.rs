//! The provider or route that the caller's path names, beside the model in the body: only through
//! it may the call go.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::ProviderSlug;

use super::refusal::Why;
use super::resolve::usable;
use crate::compiled::Route;
use crate::view::View;

/// Through whom a call may go.
#[derive(Debug, Clone)]
pub(crate) enum Through {
    /// Whoever offers the model.
    Anybody,
    /// One of these providers.
    Providers(SmallVec<[ProviderSlug; 2]>),
    /// The targets of the organization's route.
    Route(Arc<Route>),
}

/// Names under which pydantic-ai's gateway knows kinds of providers, and whom they mean here.
/// Source: the provider names of its versions 1.107 and 2.62.
const KINDS: &[(&str, &[&str])] = &[
    ("chat", &["openai", "sim-openai"]),
    ("converse", &["bedrock", "sim-bedrock"]),
    ("anthropic", &["anthropic", "sim-anthropic"]),
    ("bedrock", &["bedrock", "sim-bedrock"]),
    ("cohere", &["cohere", "sim-cohere"]),
    ("azure", &["azure", "sim-openai"]),
    ("gemini", &["google", "vertex", "sim-gemini"]),
    ("google", &["google", "vertex", "sim-gemini"]),
    ("google-cloud", &["vertex", "google", "sim-gemini"]),
    ("google-vertex", &["vertex", "google", "sim-gemini"]),
    ("groq", &["groq", "sim-openai"]),
    ("groq", &["groq", "sim-openai"]),
    ("mistral", &["mistral", "sim-openai"]),
    ("openai", &["openai", "sim-openai"]),
    ("openai-chat", &["openai", "sim-openai"]),
    ("openai-responses", &["openai", "sim-openai"]),
    ("responses", &["openai", "sim-openai"]),
];

/// Finds whom the path's name means: the organization's route first, then a kind of providers, then
/// a provider of this name.
pub(crate) fn through(view: &View, name: Option<&str>) -> Result<Through, Why> {
    let Some(name) = name else { return Ok(Through::Anybody) };
    if let Some(route) = view.organization.routes.get(name) {
        return usable(view, route).map(Through::Route);
    }
    let exists = |slug: &ProviderSlug| {
        view.organization.own.providers.contains_key(slug) || view.catalogue.providers.contains_key(slug)
    };
    let named = KINDS.iter().find(|(kind, _)| *kind == name).map_or(&[][..], |(_, slugs)| slugs);
    let named = named.iter().copied().chain([name]);
    let mut slugs = SmallVec::new();
    for slug in named.filter_map(|slug| slug.parse().ok()).filter(exists) {
        if !slugs.contains(&slug) {
            slugs.push(slug);
        }
    }
    if slugs.is_empty() {
        return Err(Why::UnknownThrough { asked: name.chars().take(64).collect() });
    }
    Ok(Through::Providers(slugs))
}
