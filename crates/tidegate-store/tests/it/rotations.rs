//! Who works on a rotation, and when it is tried again.

use tidegate_store::key_rotations::{self, PutOff, Rotation};
use tidegate_store::{Actor, SystemActor};
use tidegate_types::{OrganizationId, Timestamp};
use uuid::Uuid;

use crate::fixture::{Fixture, NOW, commit};

fn above() -> Actor {
    SystemActor::new("test").acting_for(OrganizationId::SYSTEM)
}

/// What a process gets that looks so long after the beginning and has `tried` these since it started.
async fn taken(f: &Fixture, seconds: i64, tried: &[Uuid]) -> Option<Rotation> {
    let at = after(seconds);
    let change = f.store.change(&above(), at).await.unwrap();
    key_rotations::lease(change, at.plus_millis(10_000), tried).await.unwrap()
}

fn after(seconds: i64) -> Timestamp {
    NOW.plus_millis(seconds * 1_000)
}

async fn put_off(f: &Fixture, id: Uuid, seconds: i64, until: i64) {
    let change = f.store.change(&above(), after(seconds)).await.unwrap();
    let left = vec![f.acme.organization.id];
    let again = PutOff { tried: 1, left, problem: "left".to_owned(), until: after(until) };
    key_rotations::put_off(change, id, &again).await.unwrap();
}

#[tokio::test]
async fn a_rotation_that_is_put_off_is_tried_at_once_by_a_process_that_has_not_tried_it() {
    let f = Fixture::new().await;
    let id = Uuid::from_u128(7);
    let mut change = f.store.change(&above(), NOW).await.unwrap();
    key_rotations::begin(&mut change, id, "pool_key", None).await.unwrap();
    commit(change).await;
    assert_eq!(taken(&f, 0, &[]).await.map(|rotation| rotation.id), Some(id));
    // Nobody takes it from who works on it.
    assert_eq!(taken(&f, 1, &[]).await, None);
    put_off(&f, id, 2, 302).await;
    assert_eq!(taken(&f, 3, &[id]).await, None, "it has tried");
    let rotation = taken(&f, 3, &[Uuid::from_u128(8)]).await.unwrap();
    assert_eq!((rotation.id, rotation.left), (id, vec![f.acme.organization.id]));
    assert_eq!(taken(&f, 4, &[]).await, None, "the one that has not tried works on it");
    let change = f.store.change(&above(), after(5)).await.unwrap();
    key_rotations::keep(change, id, after(15)).await.unwrap();
    assert_eq!(taken(&f, 6, &[]).await, None, "and goes on");
    put_off(&f, id, 7, 307).await;
    assert_eq!(taken(&f, 8, &[id]).await, None);
    assert!(taken(&f, 307, &[id]).await.is_some(), "its time has come for all");
}
