//! A panic while configuration is applied costs what caused it and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidegate_types::resource::*;
use tidegate_types::{Digest, OrganizationId, Revision, Shard};

use crate::planted::plants::{Plant, plant};
use crate::{Applied, Incoming, KeyRefusal, Part};

#[path = "../../tests/it/fixtures.rs"]
#[expect(dead_code, reason = "shared with the tests outside")]
mod fixtures;
use fixtures::*;

/// In the shard of [`ORG`].
fn neighbour() -> OrganizationId {
    let mut candidates = (0xC00..).map(OrganizationId::from_u128);
    candidates.find(|id| Shard::of(*id) == Shard::of(ORG)).unwrap()
}

/// Applies it as one delta of [`ORG`]'s shard.
fn send(feed: &mut Feed, changes: Vec<Incoming>) -> Applied {
    let mut applied = apply(&feed.config, changes);
    assert_eq!(applied.len(), 1);
    applied.pop().unwrap()
}

fn allowing(id: u128, models: &str) -> Resource {
    Resource::Policy(Policy { allow_models: vec![models.into()], ..policy(id, PolicyScope::Organization) })
}

fn fast() -> Resource {
    Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![]))
}

fn admitted(feed: &Feed) -> Result<(), KeyRefusal> {
    feed.view().admit(now(), std::net::IpAddr::from([127, 0, 0, 1]))
}

/// What is told must be what a control plane finds that knows what is held, by version, and what is rejected.
fn assert_true(feed: &Feed, applied: &Applied, held: &[&Incoming], rejected: &[&Incoming]) {
    let named: Vec<_> = applied.rejected.iter().map(|one| (one.key.clone(), one.n)).collect();
    let expected: Vec<_> = rejected.iter().map(|one| (one.key.clone(), one.n)).collect();
    assert_eq!(named, expected);
    assert!(applied.rejected.iter().all(|one| one.reason.contains("failed") || one.reason.contains("built")));
    let shard = Shard::of(ORG);
    let mut digest = Digest::default();
    for (changes, is_applied) in [(held, true), (rejected, false)] {
        for change in changes {
            let revision = Revision { shard, n: change.n };
            digest.add(Digest::of_member(
                &change.key.to_string(),
                revision,
                &change.content_hash,
                is_applied,
            ));
        }
    }
    assert_eq!((applied.digest, feed.config.digest(shard)), (digest, digest));
}

/// [`ORG`] with a policy, and what the digest is made of.
fn scene() -> (Feed, Vec<Incoming>) {
    plant(&[]);
    let mut feed = Feed::new();
    feed.send(catalogue());
    let held =
        feed.versions(vec![organization(ORG), team(ORG, TEAM), key(ORG, KEY), allowing(0x51, "openai/*")]);
    send(&mut feed, held.clone());
    (feed, held)
}

/// The same changes, once without and once with a fault at `plants`; what must be seen each time.
fn planted(plants: impl Fn(&Incoming) -> Vec<Plant>) {
    for tightens in [false, true] {
        let (mut feed, mut held) = scene();
        let bad = Incoming { tightens, ..feed.version(allowing(0x51, "anthropic/*")) };
        let others = feed.versions(vec![fast(), organization(neighbour())]);
        plant(&plants(&bad));
        held.pop();
        held.extend(others.iter().cloned());
        let batch = [vec![bad.clone()], others].concat();
        let applied = send(&mut feed, batch);
        assert_true(&feed, &applied, &held.iter().collect::<Vec<_>>(), &[&bad]);
        assert!(feed.config.organization(neighbour()).is_some(), "another organization of the delta");
        assert!(feed.ask("anthropic/claude-sonnet-4.5").is_err(), "the last good version holds");
        let serves = admitted(&feed).is_ok() && feed.ask("openai/gpt-5").is_ok() && feed.ask("fast").is_ok();
        assert_eq!(serves, !tightens, "what tightens closes; what does not stays as it was");
        // The fault is still there: another change of the same section finds its way.
        let more = feed.version(Resource::Policy(Policy { max_attempts: Some(2), ..policy_of(0x52) }));
        let applied = send(&mut feed, vec![more.clone()]);
        held.push(more);
        assert_true(&feed, &applied, &held.iter().collect::<Vec<_>>(), &[&bad]);
        plant(&[]);
        let good = feed.version(allowing(0x51, "anthropic/*"));
        let applied = send(&mut feed, vec![good.clone()]);
        held.push(good);
        assert_true(&feed, &applied, &held.iter().collect::<Vec<_>>(), &[]);
        assert!(admitted(&feed).is_ok() && feed.ask("anthropic/claude-sonnet-4.5").is_ok());
        assert!(feed.ask("openai/gpt-5").is_err());
    }
}

fn policy_of(id: u128) -> Policy {
    policy(id, PolicyScope::Organization)
}

#[test]
fn a_resource_that_panics_when_compiled_is_rejected_alone() {
    planted(|bad| vec![Plant::Compile(crate::held::raw_id(&bad.key).unwrap())]);
}

#[test]
fn a_resource_that_cannot_even_be_closed_closes_its_organization_and_no_other() {
    planted(|bad| {
        let id = crate::held::raw_id(&bad.key).unwrap();
        vec![Plant::Compile(id), Plant::Close(id)]
    });
}

#[test]
fn a_version_with_which_its_organization_cannot_be_built_is_found_and_taken_back() {
    planted(|bad| vec![Plant::Version(bad.key.kind, crate::held::raw_id(&bad.key).unwrap(), bad.n)]);
}

#[test]
fn a_key_that_panics_when_compiled_keeps_its_last_version_or_is_closed() {
    for tightens in [false, true] {
        let (mut feed, held) = scene();
        let bad = Incoming { tightens, ..feed.version(key(ORG, KEY)) };
        plant(&[Plant::Compile(KEY.to_u128())]);
        let applied = send(&mut feed, vec![bad.clone()]);
        let rest: Vec<_> = held.iter().filter(|one| one.key.kind != ResourceKind::Key).collect();
        assert_true(&feed, &applied, &rest, &[&bad]);
        assert_eq!(admitted(&feed).is_ok(), !tightens);
        plant(&[]);
        let good = feed.version(key(ORG, KEY));
        assert_eq!(send(&mut feed, vec![good]).rejected, []);
        assert!(admitted(&feed).is_ok());
    }
}

#[test]
fn a_deletion_with_which_its_organization_cannot_be_built_is_taken_back() {
    let (mut feed, held) = scene();
    let policy = held.last().unwrap();
    plant(&[Plant::Lack(ResourceKind::Policy, 0x51)]);
    let gone = Incoming { tightens: true, ..feed.deletion(&allowing(0x51, "openai/*")) };
    let route = feed.version(fast());
    let applied = send(&mut feed, vec![gone.clone(), route.clone()]);
    let rest: Vec<_> = held.iter().filter(|one| one.key != policy.key).chain([&route]).collect();
    assert_true(&feed, &applied, &rest, &[&gone]);
    assert!(feed.ask("openai/gpt-5").is_err(), "a deletion that tightens and is not in force closes");
    plant(&[]);
    let gone = feed.deletion(&allowing(0x51, "openai/*"));
    let applied = send(&mut feed, vec![gone]);
    assert_true(&feed, &applied, &rest, &[]);
    assert!(feed.ask("anthropic/claude-sonnet-4.5").is_ok());
}

#[test]
fn versions_of_one_resource_in_one_batch_are_taken_back_one_by_one() {
    let (mut feed, held) = scene();
    let bad = feed.version(allowing(0x51, "anthropic/*"));
    let later = feed.version(allowing(0x51, "anthropic/*"));
    let route = feed.version(fast());
    plant(&[
        Plant::Version(ResourceKind::Policy, 0x51, bad.n),
        Plant::Version(ResourceKind::Route, 1, route.n),
    ]);
    let applied = send(&mut feed, vec![bad, later.clone(), route.clone()]);
    let rest: Vec<_> =
        held.iter().filter(|one| one.key.kind != ResourceKind::Policy).chain([&later]).collect();
    assert_true(&feed, &applied, &rest, &[&route]);
    assert!(feed.ask("anthropic/claude-sonnet-4.5").is_ok());
}

#[test]
fn a_resource_of_the_shared_catalogue_that_panics_costs_the_others_nothing() {
    let (mut feed, _) = scene();
    let bad = feed.version(Resource::Model(model(SYSTEM, 7, "openai/bad")));
    let good = feed.version(Resource::Model(Model {
        aliases: vec!["newest".into()],
        ..model(SYSTEM, 1, "openai/gpt-5")
    }));
    plant(&[Plant::Version(ResourceKind::Model, 7, bad.n)]);
    let applied = send(&mut feed, vec![bad.clone(), good]);
    assert_eq!(applied.rejected.len(), 1);
    assert_eq!((applied.rejected[0].key.clone(), applied.rejected[0].n), (bad.key, bad.n));
    assert!(feed.ask("newest").is_ok() && feed.ask("openai/bad").is_err());
}

#[test]
fn a_batch_that_ends_in_a_panic_is_taken_when_it_comes_again() {
    for snapshot in [false, true] {
        let (mut feed, held) = scene();
        let changes =
            feed.versions(vec![allowing(0x51, "anthropic/*"), key(ORG, KEY), organization(neighbour())]);
        let rest = held.iter().filter(|one| !changes.iter().any(|change| change.key == one.key));
        let all: Vec<_> = rest.chain(&changes).cloned().collect();
        let (batch, part) = if snapshot { (all.clone(), Part::WHOLE) } else { (changes, Part::Delta) };
        plant(&[Plant::Batch]);
        let shard = Shard::of(ORG);
        let once = || feed.config.apply(shard, batch.clone(), part);
        assert!(catch_unwind(AssertUnwindSafe(once)).is_err(), "who applies must contain this");
        assert!(admitted(&feed).is_ok() && feed.ask("openai/gpt-5").is_ok(), "the last good snapshot stays");
        plant(&[]);
        let applied = once();
        assert_true(&feed, &applied, &all.iter().collect::<Vec<_>>(), &[]);
        assert!(feed.ask("anthropic/claude-sonnet-4.5").is_ok() && feed.ask("openai/gpt-5").is_err());
        assert!(feed.config.organization(neighbour()).is_some());
    }
}
