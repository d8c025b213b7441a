//! A route: an organization's own model name.

use std::sync::Arc;

use tidegate_types::RouteId;
use tidegate_types::resource::{CacheRules, Route as Source, RouteTarget};

use super::{Piece, text};
use crate::reason::Reason;

/// A route as calls meet it.
#[derive(Debug, Clone)]
pub struct Route {
    /// Identity.
    pub id: RouteId,
    /// The name, unique in the organization.
    pub name: Arc<str>,
    /// Drawn by weight.
    pub targets: Box<[RouteTarget]>,
    /// Tried in order after the targets.
    pub fallbacks: Box<[RouteTarget]>,
    /// Longest time for one attempt until its first event, in milliseconds.
    pub attempt_timeout_ms: Option<u32>,
    /// Longest time for all attempts until the first event, in milliseconds.
    pub total_timeout_ms: Option<u32>,
    /// What may be answered from the response cache.
    pub cache: CacheRules,
    /// How often its part of the response cache was purged.
    pub cache_purges: u64,
    /// Whether providers' cache markers are put in where a request does not say.
    pub prompt_cache_markers: Option<bool>,
    pub(crate) closed: bool,
}

impl Piece for Route {
    type Source = Source;
    const MOST: usize = 10_000;

    fn faults(source: &Source) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::token("name", &source.name, &mut faults);
        text::at_most("targets", source.targets.len(), 32, &mut faults);
        text::at_most("fallbacks", source.fallbacks.len(), 32, &mut faults);
        if source.targets.is_empty() {
            faults.push(Reason::new("targets", "is empty"));
        } else if source.targets.iter().all(|target| target.weight == 0) {
            faults.push(Reason::new("targets", "every weight is 0"));
        }
        for (field, timeout) in
            [("attempt_timeout_ms", source.attempt_timeout_ms), ("total_timeout_ms", source.total_timeout_ms)]
        {
            if timeout == Some(0) {
                faults.push(Reason::new(field, "must be at least 1"));
            }
        }
        faults.extend(source.cache.faults().into_iter().map(|(field, reason)| Reason::new(field, reason)));
        faults
    }

    fn weight(source: &Source) -> usize {
        source.name.len() + (source.targets.len() + source.fallbacks.len()) * 64
    }

    fn build(source: Source, _n: u64) -> Self {
        Self {
            id: source.id,
            name: source.name.into(),
            targets: source.targets.into(),
            fallbacks: source.fallbacks.into(),
            attempt_timeout_ms: source.attempt_timeout_ms,
            total_timeout_ms: source.total_timeout_ms,
            cache: source.cache,
            cache_purges: source.cache_purges,
            prompt_cache_markers: source.prompt_cache_markers,
            closed: false,
        }
    }

    fn close(self) -> Self {
        Self { closed: true, ..self }
    }
}
