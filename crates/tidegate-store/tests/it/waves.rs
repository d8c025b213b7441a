//! What is staged: which changes, under which versions, seen by whom, and what a release and a halt leave.

use std::collections::BTreeMap;

use sqlx::PgPool;
use tidegate_store::fleet::{self, Heartbeat};
use tidegate_store::waves::{self, Move, Stage};
use tidegate_store::{Change, Committed, Store, StoreError, SystemActor, feed, models, offerings, providers};
use tidegate_types::resource::{Offering, Resource, ResourceKind};
use tidegate_types::{OrganizationId, Shard};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples;

const SYSTEM: OrganizationId = OrganizationId::SYSTEM;

/// With a provider, a model and its offering, and so many live nodes.
async fn world(nodes: usize) -> (Fixture, Store, Offering) {
    let f = Fixture::new().await;
    samples::insert_platform(&f.store).await;
    let offering = samples::offering(SYSTEM);
    let mut change = change(&f.store).await;
    providers::insert(&mut change, &samples::provider(SYSTEM)).await.unwrap();
    models::insert(&mut change, &samples::model(SYSTEM)).await.unwrap();
    offerings::insert(&mut change, &offering).await.unwrap();
    commit(change).await;
    for _ in 0..nodes {
        let node = samples::node(&f.store).await;
        fleet::heartbeat(&f.store, node, &Heartbeat::default(), NOW).await.unwrap();
    }
    let store = f.store.clone().with_waves(true);
    (f, store, offering)
}

async fn change(store: &Store) -> Change {
    store.change(&SystemActor::new("test").acting_for(SYSTEM), NOW).await.unwrap()
}

async fn update(store: &Store, offering: &Offering, name: &str, tightens: bool) -> Committed {
    let mut change = change(store).await;
    let next = Offering { upstream_name: name.to_owned(), ..offering.clone() };
    offerings::update(&mut change, &next, None, tightens).await.unwrap();
    commit(change).await
}

async fn step(store: &Store, step: Move) {
    let mut change = change(store).await;
    change.step(step);
    commit(change).await;
}

fn begin(members: Vec<tidegate_types::NodeId>) -> Move {
    Move::Begin { stage: Stage::One, members, figures: BTreeMap::new(), back: false }
}

/// Name and version as the platform sees it, and the name as a tenant does.
async fn seen(f: &Fixture, offering: &Offering) -> (String, i64, String) {
    let platform = SystemActor::new("test").acting_for(SYSTEM);
    let mut tx = f.store.begin(&platform).await.unwrap();
    let stored = offerings::get(&mut tx, SYSTEM, offering.id).await.unwrap();
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let tenants = offerings::get(&mut tx, SYSTEM, offering.id).await.unwrap();
    (stored.value.upstream_name, stored.version, tenants.value.upstream_name)
}

/// What the feed has of the offering: name, number, and whether for members only.
async fn told(f: &Fixture, offering: &Offering) -> Vec<(String, u64, bool)> {
    let items = feed::changes_since(&f.store, Shard::SYSTEM, 0, 500).await.unwrap();
    let of = items.into_iter().filter(|item| item.versioned.key.id == offering.id.to_string());
    of.map(|item| {
        let name = match item.versioned.resource {
            Some(Resource::Offering(offering)) => offering.upstream_name,
            _ => "gone".to_owned(),
        };
        (name, item.versioned.revision.n, item.members.is_some())
    })
    .collect()
}

#[tokio::test]
async fn an_update_is_staged_and_released_under_a_new_number() {
    let (f, store, offering) = world(2).await;
    let before = told(&f, &offering).await;
    assert!(update(&store, &offering, "two", false).await.staged);
    assert_eq!(seen(&f, &offering).await, ("two".to_owned(), 2, "gpt-5".to_owned()));
    assert_eq!(told(&f, &offering).await, before, "nobody is told yet");
    assert!(waves::is_open(&store).await.unwrap());
    // A second version builds upon it.
    let mut late = change(&store).await;
    let refused = offerings::update(&mut late, &offering, Some(1), false).await;
    assert!(matches!(refused, Err(StoreError::VersionConflict { current: 2 })), "{refused:?}");
    drop(late);
    assert!(update(&store, &offering, "three", false).await.staged);
    let member = samples::node(&f.store).await;
    step(&store, begin(vec![member])).await;
    let staged = told(&f, &offering).await;
    assert_eq!(staged.len(), 2);
    assert_eq!((staged[0].clone(), staged[1].2), (before[0].clone(), true));
    let head = feed::heads(&f.store).await.unwrap().get(Shard::SYSTEM);
    assert_eq!((staged[1].0.as_str(), staged[1].1), ("three", head));
    step(&store, Move::Release).await;
    assert_eq!(told(&f, &offering).await, [("three".to_owned(), head + 1, false)]);
    assert_eq!(seen(&f, &offering).await, ("three".to_owned(), 3, "three".to_owned()));
    assert!(!waves::is_open(&store).await.unwrap());
}

#[tokio::test]
async fn a_halt_sends_back_what_is_released_and_takes_what_is_new_away() {
    let (f, store, offering) = world(2).await;
    let prices = vec![samples::price(1)];
    let added = Offering { id: new_id(), provider: "other".parse().unwrap(), prices, ..offering.clone() };
    let mut change = change(&store).await;
    let other =
        tidegate_types::resource::Provider { slug: "other".parse().unwrap(), ..samples::provider(SYSTEM) };
    providers::insert(&mut change, &other).await.unwrap();
    offerings::insert(&mut change, &added).await.unwrap();
    assert!(commit(change).await.staged, "the model has one that nodes use");
    update(&store, &offering, "two", false).await;
    step(&store, begin(vec![new_id()])).await;
    assert_eq!(told(&f, &added).await.len(), 2);
    let head = feed::heads(&f.store).await.unwrap().get(Shard::SYSTEM);
    step(&store, Move::Halt("because".to_owned())).await;
    let back = [told(&f, &offering).await, told(&f, &added).await].concat();
    assert!(back.iter().all(|(_, n, members)| *n > head && !members), "{back:?}");
    assert_eq!(back.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["gpt-5", "gone"]);
    let mut tx = store.begin(&SystemActor::new("test").acting_for(SYSTEM)).await.unwrap();
    let wave = waves::look(&mut tx).await.unwrap();
    assert_eq!((wave.stage, wave.reason.as_str(), wave.staged.len()), (Stage::Halted, "because", 2));
    assert!(!wave.has_news());
    step(&store, Move::Resume).await;
    step(&store, begin(vec![new_id()])).await;
    step(&store, Move::Release).await;
    assert_eq!(told(&f, &added).await.len(), 1);
    assert_eq!(seen(&f, &added).await.1, 1);
}

#[tokio::test]
async fn members_of_whom_everybody_is_told_the_released_version_anew_are_told_the_staged_one_again() {
    let (f, store, offering) = world(2).await;
    assert!(update(&store, &offering, "two", false).await.staged);
    step(&store, begin(vec![new_id()])).await;
    let look = async || {
        let mut tx = store.begin(&SystemActor::new("test").acting_for(SYSTEM)).await.unwrap();
        waves::look(&mut tx).await.unwrap()
    };
    assert!(!look().await.has_news());
    assert!(feed::renew(&store, Shard::SYSTEM, NOW).await.unwrap());
    assert!(look().await.has_news(), "the released version came last");
    let again =
        Move::Begin { stage: Stage::One, members: vec![new_id()], figures: BTreeMap::new(), back: true };
    step(&store, again).await;
    assert!(!look().await.has_news());
    let told = told(&f, &offering).await;
    assert_eq!(told.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["gpt-5", "two"]);
}

#[tokio::test]
async fn what_tightens_a_deletion_and_what_is_new_are_not_staged_nor_anything_for_one_node() {
    let (f, store, offering) = world(2).await;
    assert!(!update(&f.store, &offering, "switched off", false).await.staged);
    assert!(update(&store, &offering, "two", false).await.staged);
    let committed = update(&store, &offering, "off", true).await;
    assert!(!committed.staged);
    assert_eq!(seen(&f, &offering).await, ("off".to_owned(), 4, "off".to_owned()));
    assert_eq!(told(&f, &offering).await, [("off".to_owned(), committed.revision.unwrap().n, false)]);
    assert!(!waves::is_open(&store).await.unwrap(), "nothing is left of it");

    assert!(update(&store, &offering, "three", false).await.staged);
    let mut gone = change(&store).await;
    offerings::delete(&mut gone, offering.id, None).await.unwrap();
    assert!(!commit(gone).await.staged);
    assert_eq!(told(&f, &offering).await[0].0, "gone");
    let mut change = change(&store).await;
    let again = Offering { id: new_id(), prices: vec![], ..offering.clone() };
    offerings::insert(&mut change, &again).await.unwrap();
    assert!(!commit(change).await.staged, "the only offering of the model");
    let priced = Offering { prices: vec![samples::price(1)], ..again };
    assert!(!update(&store, &priced, "first price", false).await.staged);
    assert!(update(&store, &priced, "later", false).await.staged);

    let (_f, store, offering) = world(1).await;
    assert!(!update(&store, &offering, "two", false).await.staged);
}

#[tokio::test]
async fn what_an_earlier_release_writes_past_a_wave_counts() {
    let (f, store, offering) = world(2).await;
    assert!(update(&store, &offering, "two", false).await.staged);
    // As it did: no word of what is staged.
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    sqlx::raw_sql(
        "UPDATE feed_head SET n = n + 1 WHERE shard = 64;
         UPDATE config_resources SET n = (SELECT n FROM feed_head WHERE shard = 64), version = version + 1,
             content = jsonb_set(content, '{upstream_name}', '\"past\"') WHERE kind = 'offering'",
    )
    .execute(&superuser)
    .await
    .unwrap();
    assert_eq!(seen(&f, &offering).await, ("past".to_owned(), 2, "past".to_owned()));
    let mut change = change(&store).await;
    let wave = waves::hold(&mut change).await.unwrap();
    assert!(wave.staged.iter().all(|staged| staged.outdated && staged.key.kind == ResourceKind::Offering));
    drop(change);
    step(&store, Move::Release).await;
    assert_eq!(told(&f, &offering).await[0].0, "past");
    assert!(!waves::is_open(&store).await.unwrap());
}
