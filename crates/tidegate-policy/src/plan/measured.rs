//! What live traffic has shown of a model at a provider. Measured elsewhere; an argument here.

use std::collections::HashMap;
use std::fmt;

use tidegate_types::{CredentialId, ModelId, OfferingId, ProviderId};

/// How a model at a provider fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Well, or not known.
    #[default]
    Fine,
    /// Some calls fail.
    Degraded,
    /// Most calls fail.
    Down,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// From the share of calls that succeed.
    pub condition: Condition,
    /// Milliseconds to the first event; `None`: unknown.
    pub ttft_ms: Option<u32>,
    /// Output tokens in a thousand seconds; `None`: unknown.
    pub milli_tps: Option<u32>,
    /// It is down, and it is time that one call finds out whether it still is.
    pub due: bool,
}

/// Whether a credential at an offering is left alone after a refusal or a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pause {
    /// It is not.
    #[default]
    None,
    /// It is, for a while.
    Resting,
    /// Its time is over and nobody has asked since: one call is to find out.
    Over,
}

/// Who knows it.
pub trait Measured: fmt::Debug + Sync {
    /// What is known of a model at a provider now.
    fn vitals(&self, provider: ProviderId, model: ModelId) -> Vitals;

    /// Whether a credential (`None`: where nobody signs in) is to be left alone at an offering.
    fn pause(&self, credential: Option<CredentialId>, offering: OfferingId) -> Pause {
        let _ = (credential, offering);
        Pause::None
    }
}

/// Knows nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unmeasured;

impl Measured for Unmeasured {
    fn vitals(&self, _: ProviderId, _: ModelId) -> Vitals {
        Vitals::default()
    }
}

impl<S: std::hash::BuildHasher + Sync> Measured for HashMap<(ProviderId, ModelId), Vitals, S>
where
    Self: fmt::Debug,
{
    fn vitals(&self, provider: ProviderId, model: ModelId) -> Vitals {
        self.get(&(provider, model)).copied().unwrap_or_default()
    }
}
