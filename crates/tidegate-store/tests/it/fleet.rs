//! Nodes: enrolled once, heard of, taken out for good.

use tidegate_store::fleet::{self, Enrolment, Heartbeat, NodeState, Rejection};
use tidegate_store::join_tokens::Offer;
use tidegate_store::{StoreError, SystemActor, intake, join_tokens, upkeep};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::usage::{EventKind, Outcome};
use tidegate_types::{OrganizationId, Position, Revision, Shard};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples::{billed, event, insert_platform, node, shipped};

#[tokio::test]
async fn a_join_token_lets_one_node_in_and_gives_that_one_its_answer_again_until_it_speaks() {
    let f = Fixture::new().await;
    insert_platform(&f.store).await;
    let offer =
        async |hash: u8, key, at| join_tokens::offer(&f.store, &[hash; 32], &[key; 32], at).await.unwrap();
    let redeem = async |id, key: u8| {
        let node = Enrolment {
            node_id: id,
            pool: "default",
            name: "n",
            certificate_serial: "01",
            certificate_expires_at: NOW.plus_millis(900_000),
            sealing_key: [key; 32],
        };
        join_tokens::redeem(&f.store, &[4; 32], &node, NOW).await
    };
    let (one, other) = (new_id(), new_id());
    assert_eq!(offer(4, 1, NOW.plus_millis(900_000)).await, None, "expired");
    assert_eq!(offer(5, 1, NOW).await, None, "unknown");
    let fresh = Offer { pool: "default".to_owned(), enrolled: None };
    assert_eq!(offer(4, 1, NOW).await, Some(fresh.clone()));
    assert_eq!(offer(4, 1, NOW).await, Some(fresh.clone()), "looking does not use it up");

    redeem(one, 1).await.unwrap();
    assert!(matches!(redeem(other, 2).await, Err(StoreError::NotFound)), "used");
    assert!(matches!(fleet::get(&f.store, other).await, Err(StoreError::NotFound)), "both or neither");
    assert_eq!(offer(4, 2, NOW).await, None, "somebody else's");
    let again = Offer { enrolled: Some(one), ..fresh };
    assert_eq!(offer(4, 1, NOW).await, Some(again), "its answer may have got lost");
    redeem(one, 1).await.unwrap();

    fleet::heartbeat(&f.store, one, &Heartbeat::default(), NOW).await.unwrap();
    assert_eq!(offer(4, 1, NOW).await, None, "it has spoken");
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

#[tokio::test]
async fn a_node_that_falls_silent_is_away_for_a_day_unless_it_said_that_it_ends() {
    let f = Fixture::new().await;
    let away = async |millis: i64| upkeep::loose(&f.store, NOW.plus_millis(millis)).await.unwrap().nodes_away;
    let (never_spoke, killed) = (node(&f.store).await, node(&f.store).await);
    let (ends, revoked) = (node(&f.store).await, node(&f.store).await);
    for (id, draining) in [(killed, false), (ends, false), (ends, true), (revoked, false)] {
        let said = Heartbeat { draining, ..Heartbeat::default() };
        fleet::heartbeat(&f.store, id, &said, NOW).await.unwrap();
    }
    assert_eq!(away(29_000).await, 0, "so long anybody may be silent");
    assert_eq!(away(31_000).await, 2);
    for gone in [revoked, never_spoke] {
        let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
        fleet::retire(&mut change, gone, NodeState::Revoked).await.unwrap();
        commit(change).await;
    }
    assert_eq!(away(31_000).await, 1);
    assert_eq!(away(86_399_000).await, 1);
    assert_eq!(away(86_401_000).await, 0, "nobody is told for ever");
    fleet::heartbeat(&f.store, killed, &Heartbeat::default(), NOW.plus_millis(86_402_000)).await.unwrap();
    assert_eq!(away(86_410_000).await, 0, "it is back");
}

#[tokio::test]
async fn a_node_that_is_killed_while_it_drains_is_away_and_one_that_drained_is_not() {
    let f = Fixture::new().await;
    let away = async || upkeep::loose(&f.store, NOW.plus_millis(31_000)).await.unwrap().nodes_away;
    let (drained, killed) = (node(&f.store).await, node(&f.store).await);
    // Both were told to end with a call under way; one of them saw its call end.
    let calls = [drained, killed].map(|id| (id, new_id()));
    for (id, call) in calls {
        let intent = billed(event(&f.acme, call, EventKind::Intent, Outcome::Open, 0));
        intake::ingest(&f.store, id, &shipped(id, 1, [intent]), NOW).await.unwrap();
        let said = Heartbeat { boot: 1, draining: true, ..Heartbeat::default() };
        fleet::heartbeat(&f.store, id, &said, NOW).await.unwrap();
    }
    assert_eq!(away().await, 2);
    let end = |call| billed(event(&f.acme, call, EventKind::Final, Outcome::Completed, 5));
    intake::ingest(&f.store, drained, &shipped(drained, 2, [end(calls[0].1)]), NOW).await.unwrap();
    assert_eq!(away().await, 1);
    // Its next start says what it knows.
    intake::ingest(&f.store, killed, &shipped(killed, 2, [end(calls[1].1)]), NOW).await.unwrap();
    assert_eq!(away().await, 0);
}
