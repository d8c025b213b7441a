//! Key material on the first start.

use tidegate_push::{PushError, prepare};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::TestDatabase;

use crate::plane::now;

fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn control_planes_that_start_at_once_for_the_first_time_end_with_the_same_keys() {
    let database = TestDatabase::create().await.unwrap();
    let (one, two) = (database.store().await.unwrap(), database.store().await.unwrap());
    let kek = kek();
    let (first, second, third) =
        tokio::join!(prepare(&one, &kek, now()), prepare(&two, &kek, now()), prepare(&one, &kek, now()));
    let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
    assert_eq!(first.roots, second.roots);
    assert_eq!(first.roots.len(), 1);
    assert!(first.authority.expose_key() == third.authority.expose_key());
    let key = |material: &tidegate_push::Material| *material.pools["default"].key.expose();
    assert!(key(&first) == key(&second) && key(&second) == key(&third));
    assert!(first.roots_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
}

#[tokio::test]
async fn another_key_encryption_key_is_refused_and_nothing_is_made_anew() {
    let database = TestDatabase::create().await.unwrap();
    let store = database.store().await.unwrap();
    let right = kek();
    let made = prepare(&store, &right, now()).await.unwrap();
    assert!(matches!(prepare(&store, &kek(), now()).await, Err(PushError::ForeignKey)));
    assert_eq!(prepare(&store, &right, now()).await.unwrap().roots, made.roots);
}
