//! Who ails is not tried, unless that were more than half; who is due is probed by one call.

use proptest::prelude::*;
use tidegate_policy::{CallFacts, Candidate, Condition, Measured, Pause, Plan, Vitals, plan};
use tidegate_types::{CredentialId, ModelId, OfferingId, ProviderId};

use crate::fixtures::*;
use crate::naive::worlds;

/// Health drawn by a number: some providers are down or due, some places rest or have rested.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    seed: u64,
    /// How many of sixteen ail.
    share: u64,
}

impl Drawn {
    fn of(self, what: u128) -> u64 {
        let mixed = (what as u64 ^ self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    }
}

impl Measured for Drawn {
    fn vitals(&self, provider: ProviderId, _: ModelId) -> Vitals {
        let drawn = self.of(bits(provider) + 1_000);
        let condition = if drawn % 16 < self.share { Condition::Down } else { Condition::Fine };
        Vitals { condition, due: condition == Condition::Down && drawn & 256 != 0, ..Vitals::default() }
    }

    fn pause(&self, credential: Option<CredentialId>, offering: OfferingId) -> Pause {
        let drawn = self.of(credential.map_or(0, bits) * 31 + bits(offering));
        match (drawn % 16 < self.share, drawn & 256) {
            (false, _) => Pause::None,
            (true, 0) => Pause::Resting,
            (true, _) => Pause::Over,
        }
    }
}

/// Nothing speaks for its being tried now.
fn rests(candidate: &Candidate) -> bool {
    candidate.pause == Pause::Resting || candidate.vitals.condition == Condition::Down
}

fn is_well(candidate: &Candidate) -> bool {
    candidate.pause == Pause::None && candidate.vitals.condition != Condition::Down
}

type Name = (u128, Option<u128>, String);

fn name(candidate: &Candidate) -> Name {
    let credential = candidate.credential.as_ref().map(|credential| bits(credential.id));
    (bits(candidate.offering.id), credential, candidate.role.to_string())
}

fn names(plan: &Plan, keep: impl Fn(&Candidate) -> bool) -> Vec<Name> {
    plan.candidates.iter().filter(|candidate| keep(candidate)).map(name).collect()
}

fn ejected(plan: &Plan) -> usize {
    plan.candidates.iter().filter(|candidate| candidate.ejected).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn never_more_than_half_are_ejected_and_the_order_of_the_others_stays(
        world in worlds(), draw: u64, seed: u64, share in 0u64..17
    ) {
        let drawn = Drawn { seed, share };
        let calm = CallFacts { measured: &tidegate_policy::Unmeasured, ..world.facts };
        let calm = plan(&world.feed().view(), &calm, now(), draw);
        let facts = CallFacts { measured: &drawn, ..world.facts };
        let Ok(found) = plan(&world.feed().view(), &facts, now(), draw) else {
            prop_assert!(calm.is_err(), "health takes nobody out for good");
            return Ok(());
        };
        let calm = calm.unwrap();
        let (mut before, mut after) = (names(&calm, |_| true), names(&found, |_| true));
        before.sort();
        after.sort();
        prop_assert_eq!(before, after, "the same candidates, whatever their health");

        prop_assert!(ejected(&found) * 2 <= found.candidates.len());
        prop_assert!(found.candidates.iter().all(|c| !(c.ejected && is_well(c))), "who is well is tried");
        // All that rest are ejected, or nobody is: then more than half ail.
        if ejected(&found) > 0 {
            prop_assert!(found.candidates.iter().all(|c| c.ejected || !rests(c)));
        } else if found.candidates.iter().any(rests) {
            let ail = found.candidates.iter().filter(|c| !is_well(c)).count();
            prop_assert!(ail * 2 > found.candidates.len());
        }
        // Who is tried comes before who is not.
        let first = found.candidates.iter().position(|c| c.ejected).unwrap_or(found.candidates.len());
        prop_assert!(found.candidates.iter().skip(first).all(|c| c.ejected));
        // Those who are well stand among one another as if nobody ailed.
        let well = names(&found, is_well);
        let as_ever: Vec<_> = names(&calm, |_| true).into_iter().filter(|name| well.contains(name)).collect();
        prop_assert_eq!(well, as_ever);
    }

    #[test]
    fn a_probe_takes_its_turn_and_changes_nothing_for_the_others(
        world in worlds(), draw: u64, seed: u64, share in 1u64..17
    ) {
        let drawn = Drawn { seed, share };
        let facts = CallFacts { measured: &drawn, ..world.facts };
        let Ok(mut found) = plan(&world.feed().view(), &facts, now(), draw) else { return Ok(()) };
        let Some(due) = found.to_probe() else { return Ok(()) };
        prop_assert!(found.candidates.len() > 1 && !is_well(due) && due.pause != Pause::Resting);
        prop_assert!(due.vitals.condition != Condition::Down || due.vitals.due);
        let due = name(due);
        let others = |plan: &Plan| names(plan, |candidate| name(candidate) != due);
        let before = (others(&found), ejected(&found));
        found.probe();
        prop_assert_eq!(&name(&found.candidates[0]), &due, "it is tried first, or it were no probe");
        prop_assert!(!found.candidates[0].ejected);
        prop_assert!(found.candidates[0].reason().ends_with("finds out whether it answers again"));
        prop_assert_eq!(others(&found), before.0);
        prop_assert!(ejected(&found) * 2 <= found.candidates.len());
    }
}

/// One place that rests or has rested.
#[derive(Debug)]
struct One(OfferingId, Pause);

impl Measured for One {
    fn vitals(&self, _: ProviderId, _: ModelId) -> Vitals {
        Vitals::default()
    }

    fn pause(&self, _: Option<CredentialId>, offering: OfferingId) -> Pause {
        if offering == self.0 { self.1 } else { Pause::None }
    }
}

#[test]
fn one_of_two_is_ejected_while_it_rests_and_waits_for_a_probe_only_where_it_comes_first() {
    let feed = Feed::standard();
    let calm = feed.ask("openai/gpt-5").unwrap();
    let ids: Vec<_> = calm.candidates.iter().map(|c| c.offering.id).collect();
    let with = |offering, pause| {
        let one = One(offering, pause);
        feed.plan(&CallFacts { measured: &one, ..CallFacts::of_model("openai/gpt-5") }).unwrap()
    };
    let seen = |plan: &Plan| {
        let of = |c: &Candidate| (c.offering.id, c.ejected);
        (plan.candidates.iter().map(of).collect::<Vec<_>>(), plan.to_probe().map(|c| c.offering.id))
    };
    assert_eq!(seen(&with(ids[0], Pause::Resting)), (vec![(ids[1], false), (ids[0], true)], None));
    assert_eq!(seen(&with(ids[0], Pause::Over)), (vec![(ids[1], false), (ids[0], true)], Some(ids[0])));
    assert_eq!(seen(&with(ids[1], Pause::Resting)), (vec![(ids[0], false), (ids[1], true)], None));
    assert_eq!(seen(&with(ids[1], Pause::Over)), (vec![(ids[0], false), (ids[1], false)], None));
}
