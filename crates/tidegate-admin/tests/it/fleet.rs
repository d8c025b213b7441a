//! The fleet as the API shows it, and waiting for it.

use http::StatusCode;
use serde_json::json;
use tidegate_store::fleet::{self, Enrolment, Heartbeat, Rejection};
use tidegate_telemetry::{SystemClock, entropy};
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{Clock as _, NodeId, OrganizationId, Position, Revision};

use crate::harness::World;

async fn enrol(world: &World) -> NodeId {
    let now = SystemClock.now();
    let id = entropy::new_id(now);
    let node = Enrolment {
        node_id: id,
        pool: "default",
        name: "node-1",
        certificate_serial: "01",
        certificate_expires_at: now.plus_millis(1_000_000),
        sealing_key: [1; 32],
    };
    fleet::enrol(&world.store, &node, now).await.unwrap();
    id
}

async fn beat(world: &World, id: NodeId, said: Heartbeat) {
    fleet::heartbeat(&world.store, id, &said, SystemClock.now()).await.unwrap();
}

async fn heads(world: &World) -> Position {
    tidegate_store::feed::heads(&world.store).await.unwrap()
}

#[tokio::test]
async fn nodes_are_shown_with_revision_lag_and_rejections() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let id = enrol(&world).await;
    let organization_id: OrganizationId = tenant.id.parse().unwrap();
    let key = ResourceKey { organization_id, kind: ResourceKind::Team, id: tenant.team.clone() };
    let rejections = vec![Rejection { key, n: 1, reason: "name: is missing".to_owned() }];
    beat(&world, id, Heartbeat { rejections, limiter_mode: "healthy".to_owned(), ..Heartbeat::default() })
        .await;
    let shown = world.get(&world.root, "/fleet").await.expect(StatusCode::OK);
    let node = &shown.rows()[0];
    assert_eq!((node["id"].as_str(), &node["live"]), (Some(id.to_string().as_str()), &json!(true)));
    assert!(node["lag"].as_u64().unwrap() > 0);
    assert_eq!(node["rejections"][0]["reason"], "name: is missing");
    beat(&world, id, Heartbeat { applied: heads(&world).await, ..Heartbeat::default() }).await;
    assert_eq!(world.get(&world.root, "/fleet").await.rows()[0]["lag"], 0);
    world.get(&tenant.owner, "/fleet").await.refused(403, "forbidden");
    world.delete(&world.root, &format!("/fleet/{id}")).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(world.get(&world.root, "/fleet").await.rows()[0]["state"], "revoked");
    world.delete(&world.root, &format!("/fleet/{id}")).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_write_that_waits_returns_once_every_live_node_has_it() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let id = enrol(&world).await;
    beat(&world, id, Heartbeat::default()).await;
    let (path, body) = (format!("/teams/{}?wait=fleet", tenant.team), json!({"name": "b"}));
    let write = world.patch(&tenant.owner, &path, &body);
    let node = async {
        // The node applies whatever there is until the write has returned.
        loop {
            beat(&world, id, Heartbeat { applied: heads(&world).await, ..Heartbeat::default() }).await;
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::select! { answer = write => answer, () = node => unreachable!() };
    let answer = answer.expect(StatusCode::OK);
    assert_eq!(answer.body["fleet"], json!({"applied": true, "nodes": 1, "laggards": [], "rejections": []}));
    assert_eq!(answer.body["name"], "b");
}

#[tokio::test]
async fn a_write_that_waits_in_vain_names_who_lags() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let id = enrol(&world).await;
    beat(&world, id, Heartbeat::default()).await;
    let key = json!({"team_id": tenant.team, "name": "ci"});
    let key = world.post(&tenant.owner, "/keys", &key).await.expect(StatusCode::CREATED).str("/id");
    let gone = world.delete(&tenant.owner, &format!("/keys/{key}?wait=fleet")).await.expect(StatusCode::OK);
    assert_eq!(gone.body["fleet"]["applied"], false);
    let laggards = gone.body["fleet"]["laggards"].as_array().unwrap();
    assert_eq!(laggards.len(), 1, "{}", gone.text);
    let laggard = &laggards[0];
    assert_eq!(
        (laggard["node_id"].as_str(), &laggard["name"]),
        (Some(id.to_string().as_str()), &json!("node-1"))
    );
    assert!(laggard["pool"] == "default" && laggard["behind"].as_u64().unwrap() > 0, "{laggard}");
}

#[tokio::test]
async fn without_nodes_nobody_is_waited_for() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let made = world.post(&tenant.owner, "/teams?wait=fleet", &json!({"name": "x"})).await;
    assert_eq!(made.expect(StatusCode::CREATED).body["fleet"]["nodes"], 0);
    world
        .post(&tenant.owner, "/teams?wait=forever", &json!({"name": "y"}))
        .await
        .refused(400, "invalid_request");
}

#[tokio::test]
async fn a_join_token_is_made_by_the_platform_and_redeemed_once() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    world.post(&tenant.owner, "/join-tokens", &json!({})).await.refused(403, "forbidden");
    let made = world
        .post(&world.root, "/join-tokens", &json!({"pool": "default"}))
        .await
        .expect(StatusCode::CREATED);
    let text = made.str("/token");
    let presented = tidegate_secrets::token::parse::<tidegate_types::id::kind::Node>(
        tidegate_secrets::token::TokenKind::Join,
        &text,
    );
    let hash = *presented.unwrap().hash();
    let now = SystemClock.now();
    let offer =
        async || tidegate_store::join_tokens::offer(&world.store, &hash, &[7; 32], now).await.unwrap();
    assert_eq!(offer().await.map(|offer| offer.pool).as_deref(), Some("default"));
    let node = tidegate_store::fleet::Enrolment {
        node_id: entropy::new_id(now),
        pool: "default",
        name: "n",
        certificate_serial: "01",
        certificate_expires_at: now.plus_millis(60_000),
        sealing_key: [8; 32],
    };
    tidegate_store::join_tokens::redeem(&world.store, &hash, &node, now).await.unwrap();
    assert_eq!(offer().await, None);
    let unknown = world.post(&world.root, "/join-tokens", &json!({"pool": "mars"})).await;
    assert_eq!(unknown.refused(422, "unknown_reference").fields(), ["pool"]);
}

#[tokio::test]
async fn an_answer_carries_the_revision_that_nodes_will_report() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let made = world.post(&tenant.owner, "/teams", &json!({"name": "x"})).await.expect(StatusCode::CREATED);
    let (shard, n) = made.headers["x-tidegate-revision"].to_str().unwrap().split_once('.').unwrap();
    let shard = tidegate_types::Shard::new(shard.parse().unwrap()).unwrap();
    assert!(heads(&world).await.includes(Revision { shard, n: n.parse().unwrap() }));
}
