//! What policies and a route say together of caches: the gateway's own of whole answers, and the markers
//! with which providers keep prompts.

use tidegate_types::resource::{CacheMode, CacheRules, CacheSharing, ZdrTier};

/// Seconds that an answer may be given again where no rules say less.
const TTL: u32 = 300;

/// Whether a call may be answered from the response cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// Forbidden: by rules, or because nothing may be kept.
    Never,
    /// Where the request asks for it.
    Asked,
    /// Unless the request says otherwise.
    Always,
}

/// The rules of the response cache that hold for a call together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// Whether.
    pub may: CacheUse,
    /// Longest life of an answer, in seconds.
    pub ttl_seconds: u32,
    /// Among whom answers are shared.
    pub sharing: CacheSharing,
    /// Charge of an answer from the cache, in percent.
    pub charge_percent: u8,
    /// Largest answer that is kept; `None`: what the node allows.
    pub max_entry_bytes: Option<u32>,
    /// Whether providers' cache markers are put in where the request does not say.
    pub prompt_markers: bool,
}

/// Rules and markers of each policy, and of the route.
pub(super) type Said = (CacheRules, Option<bool>);

impl Caching {
    /// `off` and zero data retention win, then `on`; of the rest the strictest.
    pub(super) fn of(said: &(impl Iterator<Item = Said> + Clone), zdr: ZdrTier) -> Self {
        let rules = said.clone().map(|(rules, _)| rules);
        let named = |mode| rules.clone().any(|rules| rules.mode == Some(mode));
        let may = if named(CacheMode::Off) || forbids_keeping(zdr) {
            CacheUse::Never
        } else if named(CacheMode::On) {
            CacheUse::Always
        } else {
            CacheUse::Asked
        };
        let markers = |wanted| said.clone().any(|(_, markers)| markers == Some(wanted));
        Self {
            may,
            ttl_seconds: rules.clone().filter_map(|rules| rules.ttl_seconds).min().unwrap_or(TTL),
            sharing: rules.clone().filter_map(|rules| rules.sharing).max().unwrap_or_default(),
            charge_percent: rules
                .clone()
                .filter_map(|rules| rules.charge_percent)
                .max()
                .unwrap_or(0)
                .min(100),
            max_entry_bytes: rules.filter_map(|rules| rules.max_entry_bytes).min(),
            prompt_markers: markers(true) && !markers(false),
        }
    }
}

/// Whether a tier forbids that answers are kept, by the gateway too.
pub(crate) fn forbids_keeping(zdr: ZdrTier) -> bool {
    zdr >= ZdrTier::ZdrWithSafetyRetention
}
