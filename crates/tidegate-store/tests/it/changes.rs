//! Changes: one transaction for row, document, audit and revision.

use tidegate_store::{StoreError, audit, feed, idempotency, organizations, policies, teams};
use tidegate_types::resource::{Area, Policy, Privacy, Resource, ResourceKind};
use tidegate_types::{OrganizationId, Shard};

use crate::fixture::{Fixture, NOW, commit, team};
use crate::samples;

#[tokio::test]
async fn a_change_is_readable_listed_audited_and_fed() {
    let f = Fixture::new().await;
    let added = team(f.acme.organization.id, "search");
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    teams::insert(&mut change, &added).await.unwrap();
    let committed = commit(change).await;

    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let stored = teams::get(&mut tx, added.id).await.unwrap();
    assert_eq!((&stored.value, stored.version, stored.created_at), (&added, 1, NOW));
    let first = teams::list(&mut tx, None, 1).await.unwrap();
    assert_eq!((first.data[0].value.name.as_str(), first.has_more), ("core", true));
    let second = teams::list(&mut tx, Some(first.data[0].value.id), 1).await.unwrap();
    assert_eq!((second.data[0].value.name.as_str(), second.has_more), ("search", false));
    assert_eq!(audit::list(&mut tx, None, 10).await.unwrap().data[0].action, "test.change");

    let shard = Shard::of(f.acme.organization.id);
    let revision = committed.revision.unwrap();
    assert_eq!(feed::heads(&f.store).await.unwrap().get(shard), revision.n);
    let items = feed::changes_since(&f.store, shard, revision.n - 1, 10).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].versioned.resource, Some(Resource::Team(added)));
    assert_eq!(items[0].versioned.revision, revision);
}

#[tokio::test]
async fn an_update_needs_the_version_that_was_seen() {
    let f = Fixture::new().await;
    let mut renamed = f.acme.team.clone();
    renamed.name = "platform".to_owned();
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    teams::update(&mut change, &renamed, Some(1), true).await.unwrap();
    commit(change).await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let late = teams::update(&mut change, &renamed, Some(1), false).await;
    assert!(matches!(late, Err(StoreError::VersionConflict { current: 2 })), "{late:?}");
}

#[tokio::test]
async fn foreign_objects_are_not_found_and_foreign_rows_not_written() {
    let f = Fixture::new().await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    assert!(matches!(teams::get(&mut change, f.umbrella.team.id).await, Err(StoreError::NotFound)));
    assert!(matches!(
        teams::update(&mut change, &f.umbrella.team, None, false).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(teams::delete(&mut change, f.umbrella.team.id, None).await, Err(StoreError::NotFound)));
    let smuggled = team(f.umbrella.organization.id, "smuggled");
    assert!(matches!(teams::insert(&mut change, &smuggled).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn names_are_the_organizations_own_and_unique_in_it() {
    let f = Fixture::new().await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let taken = teams::insert(&mut change, &team(f.acme.organization.id, "core")).await;
    assert!(matches!(&taken, Err(StoreError::Taken(name)) if name == "teams_name"), "{taken:?}");
}

#[tokio::test]
async fn a_deletion_travels_as_a_tightening_tombstone_and_leaves_the_snapshot() {
    let f = Fixture::new().await;
    let shard = Shard::of(f.acme.organization.id);
    let before = feed::heads(&f.store).await.unwrap().get(shard);
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    teams::delete(&mut change, f.acme.team.id, Some(1)).await.unwrap();
    let revision = commit(change).await.revision.unwrap();
    let delta = feed::changes_since(&f.store, shard, before, 10).await.unwrap();
    assert!(
        delta[0].versioned.resource.is_none()
            && delta[0].versioned.tightens
            && delta[0].content_hash.is_none()
    );
    let snapshot = feed::snapshot_page(&f.store, shard, 0, revision.n, 100).await.unwrap();
    assert!(snapshot.iter().all(|item| item.versioned.key.id != f.acme.team.id.to_string()));
}

#[tokio::test]
async fn a_policy_that_confines_tightens_with_every_version_for_nodes_that_cannot_read_it() {
    let f = Fixture::new().await;
    let (organization, shard) = (f.acme.organization.id, Shard::of(f.acme.organization.id));
    let mut policy = Policy { name: "eu-only".into(), ..samples::policy(organization, f.acme.team.id) };
    policy.privacy.inference_regions = Area::Eu.into();
    let tightens = async |change| {
        let n = commit(change).await.revision.unwrap().n;
        feed::changes_since(&f.store, shard, n - 1, 10).await.unwrap()[0].versioned.tightens
    };
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    policies::insert(&mut change, &policy).await.unwrap();
    assert!(tightens(change).await, "a new one");
    // A new name takes nothing away, but it is all that a node gets that comes now.
    policy.name = "union".into();
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    policies::update(&mut change, &policy, None, false).await.unwrap();
    assert!(tightens(change).await, "a new name");
    // Positive control.
    policy.privacy = Privacy::default();
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    policies::update(&mut change, &policy, None, false).await.unwrap();
    assert!(!tightens(change).await, "without areas");
}

#[tokio::test]
async fn a_change_that_is_not_committed_leaves_nothing() {
    let f = Fixture::new().await;
    let before = feed::heads(&f.store).await.unwrap();
    let lost = team(f.acme.organization.id, "lost");
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    teams::insert(&mut change, &lost).await.unwrap();
    drop(change);
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert!(matches!(teams::get(&mut tx, lost.id).await, Err(StoreError::NotFound)));
    assert_eq!(feed::heads(&f.store).await.unwrap(), before);
}

#[tokio::test]
async fn concurrent_commits_never_let_a_reader_skip_a_revision() {
    let f = Fixture::new().await;
    let shard = Shard::of(f.acme.organization.id);
    let start = feed::heads(&f.store).await.unwrap().get(shard);
    let (writers, each) = (6u64, 15u64);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let (store, actor, organization) = (f.store.clone(), f.acme.actor.clone(), f.acme.organization.id);
        tasks.spawn(async move {
            for round in 0..each {
                let mut change = store.change(&actor, NOW).await.unwrap();
                teams::insert(&mut change, &team(organization, &format!("{writer}-{round}"))).await.unwrap();
                tokio::task::yield_now().await;
                commit(change).await;
            }
        });
    }
    let end = start + writers * each;
    let mut seen = start;
    while seen < end {
        for item in feed::changes_since(&f.store, shard, seen, 7).await.unwrap() {
            assert_eq!(
                item.versioned.revision.n,
                seen + 1,
                "a revision became visible before an earlier one"
            );
            seen += 1;
        }
    }
    while tasks.join_next().await.is_some_and(|done| done.is_ok()) {}
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert!(matches!(audit::verify(&mut tx).await.unwrap(), audit::Verdict::Whole(91)));
}

#[tokio::test]
async fn idempotency_keys_replay_mismatch_and_are_freed_by_a_rollback() {
    let f = Fixture::new().await;
    let later = NOW.plus_millis(60_000);
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    assert_eq!(
        idempotency::claim(&mut change, "k", &[1; 32], later).await.unwrap(),
        idempotency::Claim::Fresh
    );
    drop(change);
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    assert_eq!(
        idempotency::claim(&mut change, "k", &[1; 32], later).await.unwrap(),
        idempotency::Claim::Fresh
    );
    idempotency::answer(&mut change, "k", 201, b"{}").await.unwrap();
    commit(change).await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let replay = idempotency::Claim::Replay { status: 201, body: b"{}".to_vec() };
    assert_eq!(idempotency::claim(&mut change, "k", &[1; 32], later).await.unwrap(), replay);
    assert_eq!(
        idempotency::claim(&mut change, "k", &[2; 32], later).await.unwrap(),
        idempotency::Claim::Mismatch
    );
    drop(change);
    let mut other = f.store.change(&f.umbrella.actor, NOW).await.unwrap();
    assert_eq!(
        idempotency::claim(&mut other, "k", &[2; 32], later).await.unwrap(),
        idempotency::Claim::Fresh
    );
    drop(other);
    let mut change = f.store.change(&f.acme.actor, later).await.unwrap();
    assert_eq!(
        idempotency::claim(&mut change, "k", &[3; 32], later).await.unwrap(),
        idempotency::Claim::Fresh
    );
}

#[tokio::test]
async fn the_platform_lists_organizations_and_a_tenant_sees_its_own() {
    let f = Fixture::new().await;
    let mut all = f.store.begin(&f.acme.actor.entering(OrganizationId::SYSTEM).unwrap()).await.unwrap();
    let page = organizations::list(&mut all, None, 10).await.unwrap();
    assert_eq!(page.data.iter().map(|o| o.slug.as_str()).collect::<Vec<_>>(), ["acme", "umbrella"]);
    assert!(organizations::find_by_slug(&mut all, "umbrella").await.unwrap().is_some());
}

#[tokio::test]
async fn existing_resources_come_with_the_shared_catalogue_parents_first() {
    let f = Fixture::new().await;
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let found = tidegate_store::resources(&mut tx, &ResourceKind::ALL).await.unwrap();
    let kinds: Vec<ResourceKind> = found.iter().map(|resource| resource.key().kind).collect();
    assert_eq!(kinds, [ResourceKind::Organization, ResourceKind::Team]);
}
