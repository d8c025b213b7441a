//! While a pool's key is replaced: who comes then can open what is sealed under either, and there is no third.

use std::sync::Arc;

use tidegate_keyring::{Keyring, Wrappers};
use tidegate_push::PushSettings;
use tidegate_secrets::envelope::DataKey;
use tidegate_secrets::kek::{KeyEncryptionKey, RootKey};
use tidegate_secrets::{keygen, places};
use tidegate_store::testing::TestDatabase;
use tidegate_store::{key_rotations, wrapped};
use tidegate_telemetry::{SystemClock, entropy};
use tidegate_types::id::kind;
use tidegate_types::{Id, OrganizationId};
use tokio::task::JoinSet;

use crate::fake_node::FakeNode;
use crate::plane::{Plane, commit, eventually, now};

const POOL: &str = "default";

/// A key of the pool beside those that it has.
async fn another_key(plane: &Plane, version: u32) {
    let mut change = plane.change(OrganizationId::SYSTEM).await;
    let bytes = plane.kek.wrap_key(&places::pool_key(POOL, version), &DataKey::generate()).unwrap();
    let key = wrapped::Wrapped { version, bytes };
    assert!(wrapped::insert_pool_key(&mut change, POOL, &key).await.unwrap());
    commit(change).await;
}

async fn live_keys(plane: &Plane) -> Vec<u32> {
    let mut tx = plane.store.begin(&plane.system()).await.unwrap();
    wrapped::pool_keys(&mut tx, POOL).await.unwrap().iter().map(|key| key.version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_a_pools_key_is_replaced_is_told_both_and_whoever_is_there_the_new_one() {
    let plane = Plane::start().await;
    let mut there = FakeNode::enrol(&plane).await.synchronised().await;
    assert_eq!(there.pool_keys, [1]);
    another_key(&plane, 2).await;
    there.until("the new key", |stream| stream.pool_keys == [1, 2]).await;
    let comes = FakeNode::enrol(&plane).await;
    let stream = comes.synchronised().await;
    assert_eq!(stream.pool_keys, [1, 2], "the newest comes last");
    assert_eq!(comes.open(stream.pool_key.as_ref().unwrap()).version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_gets_no_third_key_before_the_rotation_before_has_ended() {
    let secret = keygen::key_encryption_key();
    let root = RootKey::from_secret(&secret).unwrap();
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::new(vec![root.clone()]);
    let plane = Plane::start_over(database, kek, PushSettings::default()).await;
    another_key(&plane, 2).await;
    let mut change = plane.change(OrganizationId::SYSTEM).await;
    let id: Id<kind::Node> = entropy::new_id(now());
    key_rotations::begin(&mut change, id.to_uuid(), "pool_key", Some(POOL)).await.unwrap();
    commit(change).await;
    let wrappers = Wrappers { current: Arc::new(root.clone()), previous: vec![], local: vec![root] };
    let ring = Keyring::open(plane.store.clone(), Arc::new(SystemClock), wrappers).await.unwrap();
    let mut working = JoinSet::new();
    working.spawn(tidegate_keyring::run(ring, plane.stop.clone()));
    let refused = async || {
        let mut tx = plane.store.begin(&plane.system()).await.unwrap();
        let rotations = key_rotations::rotations(&mut tx).await.unwrap();
        rotations[0].problem.as_ref().is_some_and(|problem| problem.contains("two keys of the pool live"))
    };
    eventually("the rotation says what it waits for", refused).await;
    assert_eq!(live_keys(&plane).await, [2, 1]);
    plane.stop.cancel();
    working.join_next().await.unwrap().unwrap();
}
