//! Rules of caches: of policies and route together the strictest, and nothing where nothing may be kept.

use tidegate_policy::{CacheUse, Caching, compile_check};
use tidegate_types::resource::{
    CacheMode, CacheRules, CacheSharing, Policy, PolicyScope, Privacy, Resource, Route, ZdrTier,
};

use crate::fixtures::*;

fn rules(mode: Option<CacheMode>) -> CacheRules {
    CacheRules { mode, ..CacheRules::default() }
}

/// What holds for a call through the route `mix` under policies of the organization, its team and its key.
fn with(policies: [(CacheRules, Option<bool>); 3], route_says: (CacheRules, Option<bool>)) -> Caching {
    let mut feed = Feed::standard();
    let scopes =
        [PolicyScope::Organization, PolicyScope::Team { team_id: TEAM }, PolicyScope::Key { key_id: KEY }];
    for ((id, scope), (cache, markers)) in (1..).zip(scopes).zip(policies) {
        let said = Policy { cache, prompt_cache_markers: markers, ..policy(id, scope) };
        feed.send_one(Resource::Policy(said));
    }
    let mix = route(1, "mix", vec![target("openai/gpt-5", 1)], vec![]);
    feed.send_one(Resource::Route(Route { cache: route_says.0, prompt_cache_markers: route_says.1, ..mix }));
    feed.ask("mix").unwrap().policy.caching
}

#[test]
fn off_wins_over_on_and_both_over_silence() {
    let (on, off, silent) = (rules(Some(CacheMode::On)), rules(Some(CacheMode::Off)), rules(None));
    let none = [(silent, None); 3];
    assert_eq!(with(none, (silent, None)).may, CacheUse::Asked);
    assert_eq!(with(none, (on, None)).may, CacheUse::Always);
    assert_eq!(with(none, (off, None)).may, CacheUse::Never);
    for at in 0..3 {
        let mut said = none;
        said[at].0 = on;
        assert_eq!(with(said, (silent, None)).may, CacheUse::Always);
        assert_eq!(with(said, (off, None)).may, CacheUse::Never);
        said[at].0 = off;
        assert_eq!(with(said, (on, None)).may, CacheUse::Never);
    }
}

#[test]
fn of_the_rest_the_strictest_holds() {
    let plain = with([(CacheRules::default(), None); 3], (CacheRules::default(), None));
    assert_eq!(
        (plain.ttl_seconds, plain.sharing, plain.charge_percent),
        (300, CacheSharing::Organization, 0)
    );
    let one = CacheRules {
        ttl_seconds: Some(60),
        sharing: Some(CacheSharing::Team),
        charge_percent: Some(20),
        max_entry_bytes: Some(1_000),
        ..CacheRules::default()
    };
    let other = CacheRules {
        ttl_seconds: Some(3_600),
        sharing: Some(CacheSharing::Key),
        charge_percent: Some(10),
        max_entry_bytes: Some(500),
        ..CacheRules::default()
    };
    for said in [[one, other, rules(None)], [rules(None), other, one]] {
        let found = with(said.map(|rules| (rules, None)), (rules(None), None));
        assert_eq!((found.ttl_seconds, found.sharing), (60, CacheSharing::Key));
        assert_eq!((found.charge_percent, found.max_entry_bytes), (20, Some(500)));
    }
}

#[test]
fn where_nothing_may_be_kept_no_rule_helps() {
    for (tier, may) in [
        (ZdrTier::None, CacheUse::Always),
        (ZdrTier::NoTraining, CacheUse::Always),
        (ZdrTier::ZdrWithSafetyRetention, CacheUse::Never),
        (ZdrTier::Zdr, CacheUse::Never),
    ] {
        let mut feed = Feed::standard();
        let on = policy(1, PolicyScope::Organization);
        feed.send_one(Resource::Policy(Policy { cache: rules(Some(CacheMode::On)), ..on }));
        let team = policy(2, PolicyScope::Team { team_id: TEAM });
        feed.send_one(Resource::Policy(Policy { privacy: Privacy::of_tier(tier), ..team }));
        if let Ok(plan) = feed.ask("openai/gpt-5") {
            assert_eq!(plan.policy.caching.may, may, "{tier:?}");
        }
        let keeps = feed.config.organization(ORG).unwrap().keeps_answers(TEAM, KEY);
        assert_eq!(keeps, may == CacheUse::Always, "{tier:?}");
    }
}

#[test]
fn markers_are_put_in_where_somebody_says_so_and_nobody_says_no() {
    let none = [(CacheRules::default(), None); 3];
    let silent = CacheRules::default();
    assert!(!with(none, (silent, None)).prompt_markers);
    assert!(with(none, (silent, Some(true))).prompt_markers);
    for at in 0..3 {
        let mut said = none;
        said[at].1 = Some(true);
        assert!(with(said, (silent, None)).prompt_markers);
        assert!(!with(said, (silent, Some(false))).prompt_markers);
    }
}

#[test]
fn absurd_rules_are_refused_by_field() {
    for (cache, field) in [
        (CacheRules { ttl_seconds: Some(0), ..CacheRules::default() }, "cache.ttl_seconds"),
        (CacheRules { ttl_seconds: Some(86_401), ..CacheRules::default() }, "cache.ttl_seconds"),
        (CacheRules { charge_percent: Some(101), ..CacheRules::default() }, "cache.charge_percent"),
        (CacheRules { max_entry_bytes: Some(0), ..CacheRules::default() }, "cache.max_entry_bytes"),
    ] {
        let of_policy = Resource::Policy(Policy { cache, ..policy(1, PolicyScope::Organization) });
        let of_route =
            Resource::Route(Route { cache, ..route(1, "r", vec![target("openai/gpt-5", 1)], vec![]) });
        for candidate in [of_policy, of_route] {
            let reasons = compile_check(&catalogue(), &candidate).unwrap_err();
            assert!(reasons.iter().any(|reason| reason.to_string().contains(field)), "{reasons:?}");
        }
    }
}
