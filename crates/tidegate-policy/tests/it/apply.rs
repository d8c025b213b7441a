//! Changes: rejected alone, closed where they tighten, never back to older versions.

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_policy::{Applied, Body, Incoming, KeyRefusal, Part};
use tidegate_types::resource::*;
use tidegate_types::{Digest, KeyId, NanoUsd, Revision, Shard};

use crate::fixtures::*;

const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn admit(feed: &Feed) -> Result<(), KeyRefusal> {
    feed.view().admit(now(), ANYWHERE)
}

fn bad_policy(id: u128, scope: PolicyScope) -> Resource {
    Resource::Policy(Policy { allow_models: vec!["gpt*".into()], ..policy(id, scope) })
}

fn unreadable(feed: &mut Feed, resource: &Resource, tightens: bool) -> Incoming {
    let version = feed.version(resource.clone());
    Incoming { tightens, body: Body::Unreadable("unknown field".into()), ..version }
}

#[test]
fn a_bad_resource_is_rejected_alone_and_keeps_its_last_good_version() {
    let mut feed = Feed::standard();
    let good = Policy { allow_models: vec!["openai/*".into()], ..policy(1, PolicyScope::Organization) };
    feed.send_one(Resource::Policy(good));
    let applied = feed
        .send(vec![
            bad_policy(1, PolicyScope::Organization),
            Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![])),
        ])
        .pop()
        .unwrap();
    assert_eq!(applied.rejected.len(), 1);
    assert_eq!(applied.rejected[0].reason, "allow_models[0]: neither creator/name nor creator/*");
    assert!(feed.ask("anthropic/claude-sonnet-4.5").is_err(), "the last good version holds");
    assert!(feed.ask("fast").is_ok(), "the rest of the batch is in");
    let applied = feed.send_one(Resource::Policy(policy(1, PolicyScope::Organization)));
    assert_eq!(applied.rejected, []);
    assert!(feed.ask("anthropic/claude-sonnet-4.5").is_ok());
}

#[test]
fn another_organization_is_not_touched() {
    let mut feed = Feed::standard();
    feed.send(vec![organization(OTHER_ORG), team(OTHER_ORG, TEAM)]);
    let before = feed.config.organization(OTHER_ORG).unwrap();
    feed.send(vec![bad_policy(1, PolicyScope::Organization), Resource::Budget(budget(1, Scope::default()))]);
    assert!(Arc::ptr_eq(&before, &feed.config.organization(OTHER_ORG).unwrap()));
}

#[test]
fn a_key_change_rebuilds_no_organization() {
    let mut feed = Feed::standard();
    let before = feed.config.organization(ORG).unwrap();
    feed.send(vec![key(ORG, KEY), key(ORG, KeyId::from_u128(0x99))]);
    assert!(Arc::ptr_eq(&before, &feed.config.organization(ORG).unwrap()));
}

#[test]
fn a_tightening_that_cannot_be_applied_closes_what_it_speaks_of() {
    let closed = |resource: Resource, asked: &str| {
        let mut feed = Feed::standard();
        feed.send(vec![
            Resource::Policy(policy(1, PolicyScope::Organization)),
            Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![])),
            Resource::Budget(budget(
                1,
                Scope { model: Some("openai/gpt-5".parse().unwrap()), ..Scope::default() },
            )),
        ]);
        let served = |feed: &Feed| admit(feed).is_ok() && feed.ask(asked).is_ok();
        assert!(served(&feed));
        let loosening = feed.version(resource.clone());
        assert_eq!(feed.apply_one(loosening).rejected.len(), 1);
        assert!(served(&feed), "a rejected loosening leaves everything as it was");
        let change = feed.tightening(resource.clone());
        assert_eq!(feed.apply_one(change).rejected.len(), 1);
        assert!(!served(&feed), "{resource:?} must close");
        let later = feed.version(resource);
        feed.apply_one(later);
        assert!(!served(&feed), "a bad loosening opens nothing");
        feed
    };
    let Resource::Organization(source) = organization(ORG) else { panic!() };
    closed(Resource::Organization(Organization { time_zone: "Nowhere".into(), ..source }), "gpt-5");
    let Resource::Team(source) = team(ORG, TEAM) else { panic!() };
    closed(Resource::Team(Team { name: String::new(), ..source }), "gpt-5");
    closed(Resource::Key(VirtualKey { name: String::new(), ..virtual_key(ORG, KEY) }), "gpt-5");
    closed(Resource::Route(route(1, "fast", vec![], vec![])), "fast");
    closed(Resource::Model(Model { context_window: 0, ..model(SYSTEM, 1, "openai/gpt-5") }), "gpt-5");
    closed(bad_policy(7, PolicyScope::Team { team_id: TEAM }), "gpt-5");
    closed(bad_policy(7, PolicyScope::Key { key_id: KEY }), "gpt-5");
    let bad = Budget { limit: NanoUsd::new(-1), ..budget(1, Scope::default()) };
    closed(Resource::Budget(bad), "anthropic/claude-sonnet-4.5");

    let mut feed = closed(bad_policy(1, PolicyScope::Organization), "gpt-5");
    feed.send_one(Resource::Policy(policy(1, PolicyScope::Organization)));
    assert!(feed.ask("gpt-5").is_ok(), "a version that can be applied opens it again");
}

#[test]
fn a_closed_policy_of_others_closes_nobody_else() {
    let mut feed = Feed::standard();
    let change = feed.tightening(bad_policy(1, PolicyScope::Key { key_id: KeyId::from_u128(5) }));
    feed.apply_one(change);
    assert!(feed.ask("gpt-5").is_ok());
}

#[test]
fn closed_parts_of_the_catalogue_are_not_called() {
    let providers = |feed: &Feed| summary(&feed.ask("gpt-5").unwrap()).len();
    for resource in [
        Resource::Provider(Provider { base_url: String::new(), ..provider(SYSTEM, 1, "openai") }),
        Resource::Offering(offering(SYSTEM, 1, "openai/gpt-5", "openai", -1)),
        Resource::Credential(Credential {
            name: String::new(),
            ..credential(SYSTEM, 1, "openai", CredentialScope::System)
        }),
    ] {
        let mut feed = Feed::standard();
        assert_eq!(providers(&feed), 2);
        let change = feed.tightening(resource);
        feed.apply_one(change);
        assert_eq!(providers(&feed), 1);
    }
}

#[test]
fn an_unreadable_tightening_closes_what_is_known_of_it() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Policy(policy(
        1,
        PolicyScope::Team { team_id: tidegate_types::TeamId::from_u128(3) },
    )));
    let known = unreadable(&mut feed, &Resource::Policy(policy(1, PolicyScope::Organization)), true);
    feed.apply_one(known);
    assert!(feed.ask("gpt-5").is_ok(), "the policy of another team");
    let mut unknown = unreadable(&mut feed, &Resource::Policy(policy(2, PolicyScope::Organization)), false);
    feed.apply_one(unknown.clone());
    assert!(feed.ask("gpt-5").is_ok());
    unknown.tightens = true;
    unknown.n = feed.next(ORG).n;
    assert_eq!(feed.apply_one(unknown).rejected.len(), 2);
    assert!(feed.ask("gpt-5").is_err(), "of unknown scope: the organization");
    let gone = feed.deletion(&Resource::Policy(policy(2, PolicyScope::Organization)));
    assert_eq!(feed.apply_one(gone).rejected.len(), 1);
    assert!(feed.ask("gpt-5").is_ok());
    let closed = unreadable(&mut feed, &key(ORG, KEY), true);
    feed.apply_one(closed);
    assert_eq!(admit(&feed), Err(KeyRefusal::Closed));
    feed.send_one(key(ORG, KEY));
    assert_eq!(admit(&feed), Ok(()));
}

#[test]
fn a_delta_that_is_already_held_changes_nothing() {
    let mut feed = Feed::standard();
    let old = feed.version(key(ORG, KEY));
    feed.apply_one(old.clone());
    let revoked =
        feed.version(Resource::Key(VirtualKey { status: KeyStatus::Revoked, ..virtual_key(ORG, KEY) }));
    let after = feed.apply_one(revoked);
    assert_eq!(after.revoked.len(), 1);
    let again = feed.apply_one(old.clone());
    assert_eq!((again.digest, again.rejected, again.revoked), (after.digest, after.rejected, Vec::new()));
    assert_eq!(admit(&feed), Err(KeyRefusal::Revoked));
    let part = feed.config.apply(Shard::of(ORG), vec![old], Part::Snapshot { first: true, last: false });
    assert_eq!(part.digest, after.digest);
    assert_eq!(admit(&feed), Err(KeyRefusal::Revoked), "nor does an older snapshot");
}

#[test]
fn a_snapshot_in_parts_drops_what_no_part_named() {
    let mut feed = Feed::standard();
    let all = vec![
        organization(ORG),
        team(ORG, TEAM),
        key(ORG, KeyId::from_u128(2)),
        key(ORG, KeyId::from_u128(3)),
    ];
    feed.send(vec![Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![]))]);
    feed.send_one(bad_policy(3, PolicyScope::Organization));
    let mut versions = feed.versions(all.clone());
    let rest = versions.split_off(2);
    let shard = Shard::of(ORG);
    feed.config.apply(shard, versions, Part::Snapshot { first: true, last: false });
    assert!(feed.config.view(KEY).is_some(), "nothing is dropped before the end");
    let applied = feed.config.apply(shard, rest.clone(), Part::Snapshot { first: false, last: true });
    assert!(feed.config.view(KEY).is_none());
    assert!(feed.config.view(KeyId::from_u128(3)).is_some());
    assert_eq!(applied.rejected, [], "rejections of what is gone are gone");
    let fresh = tidegate_policy::Config::new(POOL);
    let mut again = Feed::standard();
    again.next(ORG);
    again.next(ORG);
    let versions = again.versions(all);
    assert_eq!(fresh.apply(shard, versions, Part::WHOLE).digest, applied.digest);
}

#[test]
fn the_digest_is_what_the_control_plane_computes() {
    let mut feed = Feed::standard();
    let resources =
        [organization(ORG), team(ORG, TEAM), key(ORG, KEY), bad_policy(1, PolicyScope::Organization)];
    let mut wanted = Digest::default();
    let mut applied = Applied::default();
    for resource in &resources {
        applied = feed.send_one(resource.clone());
        let revision = Revision { shard: Shard::of(ORG), n: feed.next(ORG).n - 1 };
        let good = !matches!(resource, Resource::Policy(_));
        wanted.add(Digest::of_member(&resource.key().to_string(), revision, &content_hash(resource), good));
    }
    assert_eq!(applied.digest, wanted);
    assert_eq!(feed.config.digest(Shard::of(ORG)), wanted);
    for resource in &resources {
        let gone = feed.deletion(resource);
        applied = feed.apply_one(gone);
    }
    assert_eq!(applied.digest, Digest::default());
    assert_eq!(applied.rejected, []);
}

#[test]
fn a_resource_that_is_too_large_is_rejected() {
    let mut feed = Feed::standard();
    let mut heavy = virtual_key(ORG, KEY);
    heavy.allow.models = vec![format!("acme/{}", "x".repeat(100)); 1_000];
    assert!(feed.send_one(Resource::Key(heavy)).rejected[0].reason.contains("too large"));
    let mut heavy = route(1, "fast", vec![target("openai/gpt-5", 1)], vec![]);
    heavy.targets = vec![target("openai/gpt-5", 1); 33];
    assert!(feed.send_one(Resource::Route(heavy)).rejected[1].reason.contains("the most is 32"));
    assert_eq!(admit(&feed), Ok(()));
}

#[test]
fn a_resource_under_a_false_key_is_rejected() {
    let mut feed = Feed::standard();
    let version = feed.version(key(ORG, KeyId::from_u128(8)));
    let lying = Incoming { key: key(ORG, KEY).key(), ..version };
    assert_eq!(feed.apply_one(lying).rejected[0].reason, "key: is not that of the resource");
    let version = feed.version(key(ORG, KeyId::from_u128(8)));
    let odd = Incoming { key: ResourceKey { id: "nonsense".into(), ..version.key.clone() }, ..version };
    assert_eq!(feed.apply_one(odd).rejected.len(), 2);
    assert_eq!(admit(&feed), Ok(()));
}

#[test]
fn what_is_withheld_closes_where_it_tightens_and_is_taken_when_it_comes_again() {
    for tightens in [false, true] {
        let mut feed = Feed::standard();
        let changes = vec![
            Incoming { tightens, ..feed.version(Resource::Policy(policy(1, PolicyScope::Organization))) },
            Incoming { tightens, ..feed.version(key(ORG, KEY)) },
        ];
        let shard = Shard::of(ORG);
        let before = feed.config.organization(ORG).unwrap().revision();
        let applied = feed.config.withhold(shard, changes.clone(), "not now");
        assert_eq!(
            applied.rejected.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(),
            ["not now"; 2]
        );
        assert_eq!(admit(&feed).is_ok() && feed.ask("openai/gpt-5").is_ok(), !tightens);
        assert_eq!(feed.config.organization(ORG).unwrap().revision(), before, "none of it is held");
        let applied = feed.config.apply(shard, changes.clone(), Part::Delta);
        assert_eq!(applied.rejected, []);
        assert!(admit(&feed).is_ok() && feed.ask("openai/gpt-5").is_ok());
        let again = feed.config.withhold(shard, changes, "not now");
        assert_eq!(again, applied, "what is held is not withheld any more");
    }
}
