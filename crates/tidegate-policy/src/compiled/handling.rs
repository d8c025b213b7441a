//! What is known of how a provider handles data: facts, of which the most specific one holds for a call.
//! Unknown and expired ones meet no demand, and where it is unknown which one holds, the weakest does.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::Timestamp;
use tidegate_types::resource::{DataHandling, Operation, PartHandling, Retention, Training, ZdrTier};
use tidegate_types::usage::Evidence;

/// The facts of an offering.
#[derive(Debug, Clone)]
pub struct Handling(Box<[Fact]>);

/// Where a fact holds, and what it promises.
#[derive(Debug, Clone)]
struct Fact {
    operation: Option<Operation>,
    region: Option<String>,
    evidence: Arc<Evidence>,
}

/// Of what the facts are asked.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// What is done; `None`: unknown.
    pub operation: Option<Operation>,
    /// Where; `None`: unknown.
    pub region: Option<&'a str>,
    /// A feature of the provider; `None`: the call itself.
    pub feature: Option<&'a str>,
}

/// By what a call is allowed.
pub type Vouched = SmallVec<[Arc<Evidence>; 1]>;

/// Whether a fact speaks of a use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    Perhaps,
    Yes,
}

impl Handling {
    pub(crate) fn of(facts: &DataHandling) -> Self {
        let base = Fact {
            operation: None,
            region: None,
            evidence: Arc::new(Evidence {
                feature: None,
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
        self.0.iter().any(|fact| fact.region.is_some())
    }

    /// The tier that is promised at `now`, and by what; `None`: nothing is known.
    pub(crate) fn promise(&self, of: Use<'_>, now: Timestamp) -> Option<(ZdrTier, &Arc<Evidence>)> {
        let of_match = |wanted| self.0.iter().filter(move |fact| fact.speaks_of(of) == wanted);
        let most = of_match(Match::Yes).map(Fact::precision).max()?;
        let sure = of_match(Match::Yes).filter(|fact| fact.precision() == most);
        let holding = sure.chain(of_match(Match::Perhaps));
        holding.map(|fact| (fact.tier_at(now), &fact.evidence)).min_by_key(|(tier, _)| *tier)
    }
}

impl Fact {
    fn of(part: &PartHandling) -> Self {
        Self {
            operation: part.operation,
            region: part.region.clone(),
            evidence: Arc::new(Evidence {
                feature: part.feature.clone(),
                tier: tier_of(part.retention, part.training),
                source: part.source.clone(),
                read_at: part.read_at,
                expires_at: part.expires_at,
            }),
        }
    }

    fn precision(&self) -> usize {
        usize::from(self.operation.is_some()) + usize::from(self.region.is_some())
    }

    fn speaks_of(&self, of: Use<'_>) -> Match {
        if self.evidence.feature.as_deref() != of.feature {
            return Match::No;
        }
        let operation = one(self.operation, of.operation);
        let region = one(self.region.as_deref(), of.region);
        match (operation, region) {
            (Match::No, _) | (_, Match::No) => Match::No,
            (Match::Yes, Match::Yes) => Match::Yes,
            _ => Match::Perhaps,
        }
    }

    fn tier_at(&self, now: Timestamp) -> ZdrTier {
        if now < self.evidence.expires_at { self.evidence.tier } else { ZdrTier::None }
    }
}

fn one<T: PartialEq>(named: Option<T>, asked: Option<T>) -> Match {
    match (named, asked) {
        (None, _) => Match::Yes,
        (Some(_), None) => Match::Perhaps,
        (Some(named), Some(asked)) if named == asked => Match::Yes,
        _ => Match::No,
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
