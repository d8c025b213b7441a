//! Credentials of one order share calls by weight and by what is left of their quotas.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_policy::{CallFacts, Filter, Measured, Quota, Vitals, plan, record_of};
use tidegate_types::resource::*;
use tidegate_types::usage::{CallShare, CredentialType};
use tidegate_types::{CredentialId, ModelId, OfferingId, ProviderId};

use crate::fixtures::*;

const MODEL: &str = "openai/gpt-5";
const DRAWS: u64 = 4_000;

/// What providers said of quotas.
#[derive(Debug, Default)]
struct Left(BTreeMap<u128, Quota>);

impl Measured for Left {
    fn vitals(&self, _: ProviderId, _: ModelId) -> Vitals {
        Vitals::default()
    }

    fn quota(&self, credential: CredentialId, _: OfferingId) -> Quota {
        self.0.get(&bits(credential)).copied().unwrap_or_default()
    }
}

/// An own credential for `openai`.
fn own(id: u128, weight: Option<u32>) -> Credential {
    Credential { weight, ..credential(ORG, id, "openai", CredentialScope::Organization) }
}

fn feed_of(credentials: &[Credential]) -> Feed {
    let mut feed = Feed::standard();
    for applied in feed.send(credentials.iter().cloned().map(Resource::Credential).collect()) {
        assert_eq!(applied.rejected, []);
    }
    feed
}

/// Uniform enough, and the same each time.
fn draw_of(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// The own credentials in the order in which they are tried.
fn order(feed: &Feed, left: &Left, draw: u64) -> Vec<u128> {
    let facts = CallFacts { measured: left, ..CallFacts::of_model(MODEL) };
    let plan = plan(&feed.view(), &facts, now(), draw).unwrap();
    let own = plan.candidates.iter().filter(|c| c.credential_type == CredentialType::Byok);
    own.map(|c| bits(c.credential.as_ref().unwrap().id)).collect()
}

/// Who is tried first, of so many calls.
fn firsts(feed: &Feed, left: &Left) -> BTreeMap<u128, u64> {
    let mut firsts = BTreeMap::new();
    for number in 0..DRAWS {
        *firsts.entry(order(feed, left, draw_of(number))[0]).or_default() += 1;
    }
    firsts
}

/// Whether a count is what a share of all draws gives, within six standard deviations.
fn is_share(count: u64, share: f64) -> bool {
    let draws = DRAWS as f64;
    let deviation = (draws * share * (1.0 - share)).sqrt();
    (count as f64 - draws * share).abs() <= 6.0 * deviation + 1.0
}

#[test]
fn two_credentials_share_calls_by_their_weights_and_the_other_stands_by() {
    let feed = feed_of(&[own(10, Some(3)), own(11, Some(1))]);
    let firsts = firsts(&feed, &Left::default());
    assert!(is_share(firsts[&10], 0.75) && is_share(firsts[&11], 0.25), "{firsts:?}");
    let found = feed.ask(MODEL).unwrap();
    let shares: Vec<_> = found.candidates.iter().map(|c| c.share).collect();
    let share = |weight| Some(CallShare { weight, of: 4 });
    assert!(shares.contains(&share(3)) && shares.contains(&share(1)), "{shares:?}");
    assert!(shares.contains(&None), "the operator's credential shares with nobody");
    let reason = found.candidates[0].reason();
    assert!(reason.contains("shares calls with weight"), "{reason}");
    assert!(
        !found.candidates[0].why().contains("weight"),
        "credentials do not concern those who are told why"
    );
    let record = record_of(&found).unwrap();
    assert_eq!(record.candidates[0].share, found.candidates[0].share);
}

#[test]
fn without_a_weight_nothing_is_drawn_and_beside_one_it_counts_once() {
    let feed = feed_of(&[own(10, None), own(11, None)]);
    assert_eq!(firsts(&feed, &Left::default()), BTreeMap::from([(10, DRAWS)]));
    let feed = feed_of(&[own(10, None), own(11, Some(4))]);
    let firsts = firsts(&feed, &Left::default());
    assert!(is_share(firsts[&10], 0.2) && is_share(firsts[&11], 0.8), "{firsts:?}");
}

#[test]
fn a_lower_position_comes_first_whatever_the_weights() {
    let first = Credential { position: -1, ..own(12, Some(1)) };
    let feed = feed_of(&[own(10, Some(1_000_000)), own(11, Some(5)), first]);
    for number in 0..500 {
        assert_eq!(order(&feed, &Left::default(), draw_of(number))[0], 12);
    }
}

#[test]
fn who_has_little_left_gets_less_and_who_has_nothing_left_nothing() {
    let feed = feed_of(&[own(10, Some(3)), own(11, Some(1))]);
    let firsts_of = |tenths| firsts(&feed, &Left([(10, Quota::of_tenths(tenths))].into()));
    let little = firsts_of(2);
    assert!(is_share(little[&10], 0.6 / 1.6), "{little:?}");
    assert_eq!(firsts_of(0), BTreeMap::from([(11, DRAWS)]));
    // All of them without quota: as if nothing were known.
    let none = Left([(10, Quota::SPENT), (11, Quota::SPENT)].into());
    let all = firsts(&feed, &none);
    assert!(is_share(all[&10], 0.75), "{all:?}");
    let facts = CallFacts { measured: &none, ..CallFacts::of_model(MODEL) };
    let reason = feed.plan(&facts).unwrap().candidates[0].reason();
    assert!(reason.contains("nothing is left of its quota"), "{reason}");
}

#[test]
fn an_ordered_credential_without_quota_gives_way_to_the_next_of_its_owner_only() {
    let second = Credential { position: 1, ..own(11, None) };
    let feed = feed_of(&[own(10, None), second]);
    let spent = |ids: &[u128]| Left(ids.iter().map(|id| (*id, Quota::SPENT)).collect());
    assert_eq!(order(&feed, &spent(&[]), 0), [10, 11]);
    assert_eq!(order(&feed, &spent(&[10]), 0), [11, 10]);
    assert_eq!(order(&feed, &spent(&[10, 11]), 0), [10, 11]);
    // Who pays does not change by it: the operator's credential follows.
    let left = spent(&[10, 11]);
    let facts = CallFacts { measured: &left, ..CallFacts::of_model(MODEL) };
    let paid: Vec<_> = feed.plan(&facts).unwrap().candidates.iter().map(|c| c.credential_type).collect();
    assert_eq!(paid[..2], [CredentialType::Byok; 2]);
    assert!(paid[2..].iter().all(|paid| *paid == CredentialType::System));
}

#[test]
fn filters_come_before_the_draw() {
    let attested = Attestation {
        tier: ZdrTier::Zdr,
        areas: Areas::NONE,
        statement: "contract".into(),
        by: "mem".into(),
        attested_at: now(),
        expires_at: now().plus_millis(1),
    };
    let disabled = Credential { enabled: false, ..own(10, Some(1_000_000)) };
    let attested = Credential { attestation: Some(attested), ..own(12, Some(1)) };
    let feed = feed_of(&[disabled, own(11, Some(1_000_000)), attested]);
    let facts = CallFacts { zdr_asked: ZdrTier::Zdr, ..CallFacts::of_model(MODEL) };
    for number in 0..300 {
        let found = plan(&feed.view(), &facts, now(), draw_of(number)).unwrap();
        let first = &found.candidates[0];
        assert_eq!(bits(first.credential.as_ref().unwrap().id), 12);
        assert_eq!(first.share, None, "it is alone");
        assert!(found.removed.iter().any(|r| r.filter == Filter::Unattested));
        assert!(found.removed.iter().any(|r| r.filter == Filter::CredentialDisabled));
    }
}

#[test]
fn a_routes_draw_and_that_between_credentials_do_not_hang_together() {
    let mut feed = feed_of(&[own(10, Some(1)), own(11, Some(1))]);
    let targets = vec![target(MODEL, 1), target("anthropic/claude-sonnet-4.5", 1)];
    feed.send_one(Resource::Route(route(1, "mix", targets, vec![])));
    let (mut first, mut drawn) = (0, 0);
    for number in 0..DRAWS {
        let found = plan(&feed.view(), &CallFacts::of_model("mix"), now(), draw_of(number)).unwrap();
        if found.candidates[0].model.name.as_str() == MODEL {
            drawn += 1;
            first += u64::from(bits(found.candidates[0].credential.as_ref().unwrap().id) == 10);
        }
    }
    assert!(is_share(drawn, 0.5) && (drawn * 2 / 5..drawn * 3 / 5).contains(&first), "{first} of {drawn}");
}

#[test]
fn a_weight_must_be_at_least_one() {
    let mut feed = Feed::standard();
    for weight in [0, 1_000_001] {
        let applied = feed.send_one(Resource::Credential(own(10, Some(weight))));
        assert_eq!(applied.rejected.len(), 1, "{weight}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn shares_converge_to_the_weights(
        weights in proptest::collection::vec((1u32..50, 1u8..=10), 2..6)
    ) {
        let all: Vec<_> = (10u128..).zip(&weights).map(|(id, (weight, _))| own(id, Some(*weight))).collect();
        let left = Left((10u128..).zip(&weights).map(|(id, (_, tenths))| (id, Quota::of_tenths(*tenths))).collect());
        let firsts = firsts(&feed_of(&all), &left);
        let effective = |(weight, tenths): &(u32, u8)| f64::from(*weight) * f64::from(*tenths);
        let of: f64 = weights.iter().map(effective).sum();
        for (id, weight) in (10u128..).zip(&weights) {
            let count = firsts.get(&id).copied().unwrap_or(0);
            prop_assert!(is_share(count, effective(weight) / of), "{id}: {count} of {DRAWS}, {weights:?}");
        }
    }

    #[test]
    fn the_same_call_meets_the_same_credential_and_the_others_stay_when_one_goes(
        weights in proptest::collection::vec(1u32..50, 2..6), gone: prop::sample::Index, draws: [u64; 16]
    ) {
        let all: Vec<_> = (10u128..).zip(&weights).map(|(id, weight)| own(id, Some(*weight))).collect();
        let gone = bits(all[gone.index(all.len())].id);
        let whole = feed_of(&all);
        let rest = feed_of(&all.iter().filter(|c| bits(c.id) != gone).cloned().collect::<Vec<_>>());
        for draw in draws {
            let before = order(&whole, &Left::default(), draw);
            prop_assert_eq!(&before, &order(&whole, &Left::default(), draw));
            let without: Vec<_> = before.into_iter().filter(|id| *id != gone).collect();
            prop_assert_eq!(without, order(&rest, &Left::default(), draw));
        }
    }
}
