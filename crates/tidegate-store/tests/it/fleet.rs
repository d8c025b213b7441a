//! Nodes: enrolled once, heard of, taken out for good.

use tidegate_store::fleet::{self, Heartbeat, NodeState, Rejection};
use tidegate_store::{StoreError, SystemActor, join_tokens};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{OrganizationId, Position, Revision, Shard};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples::{insert_platform, node};

#[tokio::test]
async fn a_join_token_lets_one_node_in() {
    let f = Fixture::new().await;
    insert_platform(&f.store).await;
    let redeem = async |at| join_tokens::redeem(&f.store, &[4; 32], new_id(), at).await.unwrap();
    assert_eq!(redeem(NOW.plus_millis(900_000)).await, None, "expired");
    assert_eq!(redeem(NOW).await.as_deref(), Some("default"));
    assert_eq!(redeem(NOW).await, None, "used");
    assert_eq!(join_tokens::redeem(&f.store, &[5; 32], new_id(), NOW).await.unwrap(), None, "unknown");
}

#[tokio::test]
async fn heartbeats_are_kept_and_shipped_positions_never_go_back() {
    let f = Fixture::new().await;
    let id = node(&f.store).await;
    let at = |n| {
        let mut position = Position::default();
        position.advance(Revision { shard: Shard::SYSTEM, n });
        position
    };
    let key = ResourceKey {
        organization_id: f.acme.organization.id,
        kind: ResourceKind::Key,
        id: "key_x".to_owned(),
    };
    let said = Heartbeat {
        boot: 7,
        applied: at(9),
        shipped: at(5),
        rejections: vec![Rejection { key, n: 3, reason: "no such team".to_owned() }],
        in_flight_calls: 4,
        limiter_mode: "healthy".to_owned(),
        ..Heartbeat::default()
    };
    fleet::heartbeat(&f.store, id, &said, NOW).await.unwrap();
    fleet::heartbeat(&f.store, id, &Heartbeat { shipped: at(2), ..said.clone() }, NOW).await.unwrap();
    let stored = fleet::get(&f.store, id).await.unwrap();
    assert_eq!((stored.heartbeat, stored.last_seen), (said, Some(NOW)));
    let platform = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    assert_eq!(fleet::list(&mut f.store.begin(&platform).await.unwrap()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn live_nodes_are_counted_by_pool_and_retired_ones_refused() {
    let f = Fixture::new().await;
    let (one, two, draining) = (node(&f.store).await, node(&f.store).await, node(&f.store).await);
    let beat = async |id, draining, at| {
        fleet::heartbeat(&f.store, id, &Heartbeat { draining, ..Heartbeat::default() }, at).await
    };
    beat(one, false, NOW).await.unwrap();
    beat(two, false, NOW.plus_millis(-60_000)).await.unwrap();
    beat(draining, true, NOW).await.unwrap();
    let live = async || fleet::live_nodes(&f.store, NOW.plus_millis(-5_000)).await.unwrap();
    assert_eq!(live().await, [("default".to_owned(), 1)]);
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    fleet::retire(&mut change, one, NodeState::Revoked).await.unwrap();
    commit(change).await;
    assert_eq!(live().await, [("default".to_owned(), 0)]);
    assert!(matches!(beat(one, false, NOW).await, Err(StoreError::NotFound)));
    let renewal = fleet::Enrolment {
        node_id: one,
        pool: "default",
        name: "n",
        certificate_serial: "02",
        certificate_expires_at: NOW,
        sealing_key: [1; 32],
    };
    assert!(matches!(fleet::enrol(&f.store, &renewal, NOW).await, Err(StoreError::NotFound)));
    assert_eq!(fleet::get(&f.store, one).await.unwrap().state, NodeState::Revoked);
}
