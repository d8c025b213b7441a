//! Keys: found, admitted, refused.

use std::net::IpAddr;

use tidegate_policy::{KeyRefusal, Part};
use tidegate_types::resource::*;
use tidegate_types::usage::RefusalCause;
use tidegate_types::{KeyId, OrganizationId, Shard, TeamId};

use crate::fixtures::*;

const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn admit(feed: &Feed) -> Result<(), KeyRefusal> {
    feed.view().admit(now(), ANYWHERE)
}

#[test]
fn an_unknown_key_has_no_view() {
    let feed = Feed::standard();
    assert!(feed.config.view(KeyId::from_u128(99)).is_none());
    assert!(feed.config.view(KEY).is_some());
}

#[test]
fn a_key_is_refused_for_what_it_is() {
    let with = |change: fn(&mut VirtualKey)| {
        let mut feed = Feed::standard();
        let mut key = virtual_key(ORG, KEY);
        change(&mut key);
        assert!(feed.send_one(Resource::Key(key)).rejected.is_empty());
        admit(&feed)
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|key| key.status = KeyStatus::Revoked), Err(KeyRefusal::Revoked));
    assert_eq!(with(|key| key.status = KeyStatus::Paused), Err(KeyRefusal::Paused));
    assert_eq!(with(|key| key.expires_at = Some(now())), Err(KeyRefusal::Expired));
    assert_eq!(with(|key| key.expires_at = Some(now().plus_millis(1))), Ok(()));
    assert_eq!(with(|key| key.team_id = TeamId::from_u128(404)), Err(KeyRefusal::Closed));
    assert_eq!(with(|key| key.allow.ips = vec!["10.0.0.0/8".parse().unwrap()]), Err(KeyRefusal::Address));
    assert_eq!(with(|key| key.allow.ips = vec!["192.0.2.0/24".parse().unwrap()]), Ok(()));
    assert_eq!(KeyRefusal::Expired.cause(), RefusalCause::Unauthenticated);
    assert_eq!(KeyRefusal::Address.cause(), RefusalCause::NotAllowed);
}

#[test]
fn an_address_inside_ipv6_counts_as_its_ipv4_self() {
    let mut feed = Feed::standard();
    let mut key = virtual_key(ORG, KEY);
    key.allow.ips = vec!["192.0.2.0/24".parse().unwrap()];
    feed.send_one(Resource::Key(key));
    assert_eq!(feed.view().admit(now(), "::ffff:192.0.2.9".parse().unwrap()), Ok(()));
    assert_eq!(feed.view().admit(now(), "::1".parse().unwrap()), Err(KeyRefusal::Address));
}

#[test]
fn a_configuration_that_nobody_confirms_serves_for_as_long_as_the_organization_allows() {
    let mut feed = Feed::standard();
    assert_eq!(admit(&feed), Ok(()), "nobody asks for confirmations");
    let hours = |hours: i64| now().plus_millis(-3_600_000 * hours);
    feed.config.confirm(hours(72));
    assert_eq!(admit(&feed), Ok(()));
    feed.config.confirm(hours(72).plus_millis(-1));
    assert_eq!(admit(&feed), Err(KeyRefusal::Stale));
    assert_eq!(KeyRefusal::Stale.cause(), RefusalCause::Unavailable);
    let Resource::Organization(source) = organization(ORG) else { panic!() };
    feed.send_one(Resource::Organization(Organization { max_staleness_seconds: Some(60), ..source }));
    feed.config.confirm(now().plus_millis(-60_001));
    assert_eq!(admit(&feed), Err(KeyRefusal::Stale));
    feed.config.confirm(now().plus_millis(-60_000));
    assert_eq!(admit(&feed), Ok(()));
    feed.config.confirm(now().plus_millis(5_000));
    assert_eq!(admit(&feed), Ok(()), "a clock that was set back");
}

#[test]
fn a_paused_team_or_organization_refuses_its_keys() {
    let mut feed = Feed::standard();
    let Resource::Team(source) = team(ORG, TEAM) else { panic!() };
    feed.send_one(Resource::Team(Team { paused: true, ..source }));
    assert_eq!(admit(&feed), Err(KeyRefusal::TeamPaused));
    let Resource::Organization(source) = organization(ORG) else { panic!() };
    feed.send_one(Resource::Organization(Organization { paused: true, ..source }));
    assert_eq!(admit(&feed), Err(KeyRefusal::OrganizationPaused));
    feed.send(vec![organization(ORG), team(ORG, TEAM)]);
    assert_eq!(admit(&feed), Ok(()));
}

#[test]
fn a_key_without_its_organization_is_unknown() {
    let mut feed = Feed::new();
    feed.send(vec![key(ORG, KEY), team(ORG, TEAM)]);
    assert!(feed.config.view(KEY).is_none());
    feed.send(vec![organization(ORG)]);
    assert_eq!(admit(&feed), Ok(()));
    let gone = feed.deletion(&organization(ORG));
    feed.apply_one(gone);
    assert!(feed.config.view(KEY).is_none());
}

#[test]
fn a_deleted_key_is_unknown() {
    let mut feed = Feed::standard();
    let gone = feed.deletion(&key(ORG, KEY));
    feed.apply_one(gone);
    assert!(feed.config.view(KEY).is_none());
    assert_eq!(feed.config.counts().keys, 0);
}

#[test]
fn an_old_secret_is_offered_until_its_grace_ends() {
    let mut feed = Feed::standard();
    let mut key = virtual_key(ORG, KEY);
    key.secrets.push(KeySecret { pepper_version: 1, hmac: [8; 32], until: Some(now()) });
    key.tags.insert("project".into(), "blue".into());
    feed.send_one(Resource::Key(key));
    let view = feed.view();
    let before = now().plus_millis(-1);
    assert_eq!(view.key().secrets(before).map(|secret| secret.hmac[0]).collect::<Vec<_>>(), [9, 8]);
    assert_eq!(view.key().secrets(now()).map(|secret| secret.hmac[0]).collect::<Vec<_>>(), [9]);
    assert_eq!(view.key().tags().collect::<Vec<_>>(), [("project", "blue")]);
    assert_eq!((view.key().name(), view.team_id(), view.organization_id()), ("key 1", TEAM, ORG));
}

#[test]
fn a_view_does_not_change_under_a_request() {
    let mut feed = Feed::standard();
    let before = feed.view();
    let mut revoked = virtual_key(ORG, KEY);
    revoked.status = KeyStatus::Revoked;
    feed.send_one(Resource::Key(revoked));
    assert_eq!(before.admit(now(), ANYWHERE), Ok(()));
    assert_eq!(admit(&feed), Err(KeyRefusal::Revoked));
    assert!(feed.view().revision().n > before.revision().n);
}

#[test]
fn a_key_that_was_revoked_stays_so_whatever_a_restored_database_says() {
    let mut feed = Feed::standard();
    let mut revoked = virtual_key(ORG, KEY);
    revoked.status = KeyStatus::Revoked;
    feed.send_one(Resource::Key(revoked));
    feed.send_one(Resource::Key(virtual_key(ORG, KEY)));
    assert_eq!(admit(&feed), Err(KeyRefusal::Revoked));
    // Positive control: what is not for ever ends.
    let mut paused = virtual_key(ORG, KeyId::from_u128(4_712));
    paused.status = KeyStatus::Paused;
    let view = |feed: &Feed| feed.config.view(KeyId::from_u128(4_712)).unwrap().admit(now(), ANYWHERE);
    feed.send_one(Resource::Key(paused.clone()));
    assert_eq!(view(&feed), Err(KeyRefusal::Paused));
    paused.status = KeyStatus::Active;
    feed.send_one(Resource::Key(paused));
    assert_eq!(view(&feed), Ok(()));
}

#[test]
fn a_key_that_another_says_is_revoked_is_until_a_version_comes_that_is_not_older() {
    let mut feed = Feed::standard();
    let held = feed.view().revision().n;
    assert!(!feed.config.revoke(ORG, KEY, held), "this version knows of it");
    assert_eq!(admit(&feed), Ok(()));
    let beside =
        (1_000..).map(OrganizationId::from_u128).find(|other| Shard::of(*other) == Shard::of(ORG)).unwrap();
    assert!(!feed.config.revoke(beside, KEY, held + 9), "another organization's word");
    feed.send_one(Resource::Key(virtual_key(ORG, KEY)));
    assert_eq!(admit(&feed), Ok(()));
    let held = feed.view().revision().n;
    let digest = feed.config.digest(Shard::of(ORG));
    assert!(feed.config.revoke(ORG, KEY, held + 2));
    assert_eq!(admit(&feed), Err(KeyRefusal::Revoked));
    assert!(!feed.config.revoke(ORG, KEY, held + 2), "it is already");
    assert_eq!(feed.config.digest(Shard::of(ORG)), digest, "the control plane knows what was applied");
    // An older change that comes later is below that word, one of that age or newer is not.
    feed.send_one(Resource::Key(virtual_key(ORG, KEY)));
    assert_eq!(feed.view().revision().n, held + 1);
    assert_eq!(admit(&feed), Err(KeyRefusal::Revoked));
    feed.send_one(Resource::Key(virtual_key(ORG, KEY)));
    assert_eq!(admit(&feed), Ok(()));
}

#[test]
fn a_key_that_comes_after_the_word_that_it_was_revoked_comes_revoked() {
    let mut feed = Feed::standard();
    let other = KeyId::from_u128(4_711);
    assert!(!feed.config.revoke(ORG, other, u64::MAX), "it is not held");
    feed.send_one(Resource::Key(virtual_key(ORG, other)));
    let view = feed.config.view(other).unwrap();
    assert_eq!(view.admit(now(), ANYWHERE), Err(KeyRefusal::Revoked));
}

#[test]
fn who_applies_a_change_hears_which_keys_lose_access_by_it() {
    let mut feed = Feed::standard();
    let key = |status, hmacs: &[u8]| {
        let mut key = virtual_key(ORG, KEY);
        key.status = status;
        key.secrets =
            hmacs.iter().map(|hmac| KeySecret { hmac: [*hmac; 32], ..key.secrets[0].clone() }).collect();
        key
    };
    feed.send_one(Resource::Key(key(KeyStatus::Active, &[1])));
    let mut told = |key| {
        let applied = feed.send_one(Resource::Key(key));
        (applied.revoked.len(), applied.revoked.first().map_or(0, |one| feed.view().revision().n - one.n))
    };
    let with_grace = {
        let mut key = key(KeyStatus::Active, &[2, 1]);
        key.secrets[1].until = Some(now());
        key
    };
    assert_eq!(told(key(KeyStatus::Active, &[1])), (0, 0), "the same once more");
    assert_eq!(told(with_grace), (0, 0), "a rotation with a time of grace");
    assert_eq!(told(key(KeyStatus::Active, &[2])), (0, 0), "its end");
    assert_eq!(told(key(KeyStatus::Paused, &[2])), (0, 0), "a pause");
    assert_eq!(told(key(KeyStatus::Active, &[3])), (1, 0), "a rotation without one");
    assert_eq!(told(key(KeyStatus::Revoked, &[3])), (1, 0), "a revocation");
    assert_eq!(told(key(KeyStatus::Revoked, &[3])), (0, 0), "it is already");
}

#[test]
fn a_key_that_was_revoked_in_a_gap_is_told_and_one_that_comes_revoked_is_not() {
    let mut feed = Feed::standard();
    let mut revoked = virtual_key(ORG, KEY);
    revoked.status = KeyStatus::Revoked;
    let mut other = virtual_key(ORG, KeyId::from_u128(4_711));
    other.status = KeyStatus::Revoked;
    assert_eq!(feed.send_one(Resource::Key(other.clone())).revoked, [], "nobody was served by it");
    let changes = feed.versions(vec![Resource::Key(revoked), Resource::Key(other)]);
    let applied = feed.config.apply(Shard::of(ORG), changes, Part::WHOLE);
    assert_eq!(applied.revoked.iter().map(|one| one.key).collect::<Vec<_>>(), [KEY]);
}
