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

/// How much of its share a credential at an offering gets, in tenths, by what its provider has said of the
/// quota that is left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota(u8);

impl Quota {
    /// All of it: enough is left, or nothing is known.
    pub const FULL: Self = Self(10);
    /// Nothing is left.
    pub const SPENT: Self = Self(0);

    /// So many tenths, ten at most.
    #[must_use]
    pub const fn of_tenths(tenths: u8) -> Self {
        if tenths > Self::FULL.0 { Self::FULL } else { Self(tenths) }
    }

    /// From 0 to 10.
    #[must_use]
    pub const fn tenths(self) -> u8 {
        self.0
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::FULL
    }
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

    /// How much of its share a credential gets at an offering.
    fn quota(&self, credential: CredentialId, offering: OfferingId) -> Quota {
        let _ = (credential, offering);
        Quota::FULL
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
