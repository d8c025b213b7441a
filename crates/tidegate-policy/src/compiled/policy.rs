//! A policy: what it allows and demands within its scope.

use std::sync::Arc;

use tidegate_types::resource::{Areas, CacheRules, Policy as Source, PolicyScope, ZdrTier};
use tidegate_types::{PicoUsd, PolicyId, ProviderSlug};

use super::{Piece, text};
use crate::allow::ModelSet;
use crate::reason::Reason;

/// A policy as calls meet it. Policies of one call add up; the strictest wins.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Identity.
    pub id: PolicyId,
    /// Name for people.
    pub name: Arc<str>,
    /// What it speaks of.
    pub scope: PolicyScope,
    pub(crate) models: ModelSet,
    pub(crate) providers: Box<[ProviderSlug]>,
    pub(crate) zdr: ZdrTier,
    /// Empty: anywhere.
    pub(crate) regions: Areas,
    pub(crate) headquarters: Box<[String]>,
    pub(crate) default_max_output_tokens: Option<u32>,
    pub(crate) ceiling_price: Option<PicoUsd>,
    pub(crate) allow_system_credentials: Option<bool>,
    pub(crate) allow_request_credentials: Option<bool>,
    pub(crate) routes_may_shadow: Option<bool>,
    pub(crate) max_attempts: Option<u8>,
    pub(crate) cache: CacheRules,
    pub(crate) prompt_cache_markers: Option<bool>,
    pub(crate) closed: bool,
}

impl Piece for Policy {
    type Source = Source;
    const STAYS: bool = true;
    const MOST: usize = 50_000;

    fn faults(source: &Source) -> Vec<Reason> {
        let mut faults = Vec::new();
        text::name("name", &source.name, &mut faults);
        text::at_most("allow_models", source.allow_models.len(), 5_000, &mut faults);
        ModelSet::faults(&source.allow_models, "allow_models", &mut faults);
        if source.default_max_output_tokens == Some(0) {
            faults.push(Reason::new("default_max_output_tokens", "must be at least 1"));
        }
        if source.ceiling_price.is_some_and(|price| price.get() <= 0) {
            faults
                .push(Reason::new("ceiling_price", "must be above 0: a call without a price is never free"));
        }
        if source.max_attempts == Some(0) {
            faults.push(Reason::new("max_attempts", "must be at least 1"));
        }
        faults.extend(source.privacy.faults().into_iter().map(|(field, reason)| Reason::new(field, reason)));
        faults.extend(source.cache.faults().into_iter().map(|(field, reason)| Reason::new(field, reason)));
        faults
    }

    fn weight(source: &Source) -> usize {
        source.name.len()
            + source.allow_models.iter().map(|model| model.len() + 16).sum::<usize>()
            + source.allow_providers.len() * 32
    }

    fn build(source: Source, _n: u64) -> Self {
        Self {
            id: source.id,
            name: source.name.into(),
            scope: source.scope,
            models: ModelSet::new(&source.allow_models),
            providers: source.allow_providers.into(),
            zdr: source.privacy.zdr,
            regions: source.privacy.inference_regions,
            headquarters: source.privacy.headquarters.into(),
            default_max_output_tokens: source.default_max_output_tokens,
            ceiling_price: source.ceiling_price,
            allow_system_credentials: source.allow_system_credentials,
            allow_request_credentials: source.allow_request_credentials,
            routes_may_shadow: source.routes_may_shadow,
            max_attempts: source.max_attempts,
            cache: source.cache,
            prompt_cache_markers: source.prompt_cache_markers,
            closed: false,
        }
    }

    fn close(self) -> Self {
        Self { closed: true, ..self }
    }

    /// A tightening of unknown scope closes the organization.
    fn closed_blindly() -> Option<Self> {
        Some(Self {
            id: PolicyId::from_u128(0),
            name: "unreadable policy".into(),
            scope: PolicyScope::Organization,
            models: ModelSet::default(),
            providers: Box::default(),
            zdr: ZdrTier::Zdr,
            regions: Areas::NONE,
            headquarters: Box::default(),
            default_max_output_tokens: None,
            ceiling_price: None,
            allow_system_credentials: None,
            allow_request_credentials: None,
            routes_may_shadow: None,
            max_attempts: None,
            cache: CacheRules::default(),
            prompt_cache_markers: None,
            closed: true,
        })
    }
}
