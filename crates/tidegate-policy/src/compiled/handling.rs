//! What is known of how a provider handles data: facts, of which the most specific one holds for a call.
//! Unknown and expired ones meet no demand, and where it is unknown which one holds, the weakest does.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::Timestamp;
use tidegate_types::resource::{Areas, DataHandling, PartHandling, Retention, Training, ZdrTier};
use tidegate_types::usage::Evidence;

use super::extent::{Extent, Match, Partial, Use, holding};

/// The facts of an offering.
#[derive(Debug, Clone)]
pub struct Handling(Box<[Fact]>);

/// Where a fact holds, and what it promises.
#[derive(Debug, Clone)]
struct Fact {
    extent: Extent,
    evidence: Arc<Evidence>,
}

impl Partial for Fact {
    fn extent(&self) -> &Extent {
        &self.extent
    }

    fn speaks_of(&self, of: Use<'_>) -> Match {
        let alike = self.evidence.feature.as_deref() == of.feature;
        if alike { self.extent.speaks_of(of) } else { Match::No }
    }
}

/// By what a call is allowed.
pub type Vouched = SmallVec<[Arc<Evidence>; 1]>;

impl Handling {
    pub(crate) fn of(facts: &DataHandling) -> Self {
        let base = Fact {
            extent: Extent { operation: None, region: None },
            evidence: Arc::new(Evidence {
                feature: None,
                areas: Areas::NONE,
                tier: tier_of(facts.retention, facts.training),
                source: facts.source.clone(),
                read_at: facts.read_at,
                expires_at: facts.expires_at,
            }),
        };
        Self(std::iter::once(base).chain(facts.also.iter().map(Fact::of)).collect())
    }

    /// Whether it depends on the region.
    pub(crate) fn is_regional(&self) -> bool {
        self.0.iter().any(|fact| fact.extent.region.is_some())
    }

    /// The tier that is promised at `now`, and by what; `None`: nothing is known.
    pub(crate) fn promise<'f>(&'f self, of: Use<'f>, now: Timestamp) -> Option<(ZdrTier, &'f Arc<Evidence>)> {
        let tiers = holding(&self.0, of)?.map(|fact| (fact.tier_at(now), &fact.evidence));
        tiers.min_by_key(|(tier, _)| *tier)
    }
}

impl Fact {
    fn of(part: &PartHandling) -> Self {
        Self {
            extent: Extent { operation: part.operation, region: part.region.clone() },
            evidence: Arc::new(Evidence {
                areas: Areas::NONE,
                feature: part.feature.clone(),
                tier: tier_of(part.retention, part.training),
                source: part.source.clone(),
                read_at: part.read_at,
                expires_at: part.expires_at,
            }),
        }
    }

    fn tier_at(&self, now: Timestamp) -> ZdrTier {
        if now < self.evidence.expires_at { self.evidence.tier } else { ZdrTier::None }
    }
}

const fn tier_of(retention: Retention, training: Training) -> ZdrTier {
    match (training, retention) {
        (Training::May, _) => ZdrTier::None,
        (Training::Never, Retention::Retains) => ZdrTier::NoTraining,
        (Training::Never, Retention::SafetyOnly) => ZdrTier::ZdrWithSafetyRetention,
        (Training::Never, Retention::None) => ZdrTier::Zdr,
    }
}
