//! Where an offering is processed: facts, of which the most specific one holds for a call. Unknown and expired
//! ones are within no area.

use std::sync::Arc;

use tidegate_types::Timestamp;
use tidegate_types::resource::{Area, Location, ZdrTier};
use tidegate_types::usage::Evidence;

use super::extent::{Extent, Partial, Use, holding};
use super::handling::Vouched;
use super::text;
use crate::reason::Reason;

/// The facts of an offering.
#[derive(Debug, Clone)]
pub(crate) struct Locations(Box<[Fact]>);

#[derive(Debug, Clone)]
struct Fact {
    extent: Extent,
    /// Where the credential's region lies; the evidence names no areas then.
    regional: bool,
    evidence: Arc<Evidence>,
}

impl Partial for Fact {
    fn extent(&self) -> &Extent {
        &self.extent
    }
}

impl Locations {
    pub(crate) fn of(facts: &[Location]) -> Self {
        let fact = |source: &Location| Fact {
            extent: Extent { operation: source.operation, region: source.region.clone() },
            regional: source.regional,
            evidence: Arc::new(Evidence {
                feature: None,
                tier: ZdrTier::None,
                areas: source.areas,
                source: source.source.clone(),
                read_at: source.read_at,
                expires_at: source.expires_at,
            }),
        };
        Self(facts.iter().map(fact).collect())
    }

    /// By what is known where a use is processed at `now`; `None`: it is not known. `addressed`: the
    /// provider's address names the region. `contract`: facts of the operator's contract count.
    pub(crate) fn known(
        &self,
        of: Use<'_>,
        addressed: bool,
        contract: bool,
        now: Timestamp,
    ) -> Option<Vouched> {
        let region = of.region.filter(|_| addressed).and_then(Area::of_region);
        let one = |fact: &Fact| {
            let in_force = fact.evidence.read_at <= now && now < fact.evidence.expires_at;
            match (fact.regional, region) {
                _ if !in_force => None,
                (false, _) => contract.then(|| Arc::clone(&fact.evidence)),
                (true, region) => {
                    Some(Arc::new(Evidence { areas: region?.into(), ..(*fact.evidence).clone() }))
                }
            }
        };
        holding(&self.0, of)?.map(one).collect()
    }

    /// What is wrong with the facts as they are written.
    pub(super) fn faults(facts: &[Location], faults: &mut Vec<Reason>) {
        text::at_most("locations", facts.len(), 200, faults);
        for (place, fact) in facts.iter().enumerate() {
            let at = |field: &str| format!("locations[{place}]{field}");
            if fact.expires_at <= fact.read_at {
                faults.push(Reason::new(at(".expires_at"), "is not after read_at"));
            }
            if fact.regional != fact.areas.is_empty() {
                faults.push(Reason::new(at(""), "must name areas, or be regional"));
            }
            if fact.region.as_ref().is_some_and(|text| text.is_empty() || text.len() > 64) {
                faults.push(Reason::new(at(".region"), "must have 1 to 64 characters"));
            }
        }
    }
}
