//! Every change leaves an entry, and the chain shows it.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn every_change_is_in_the_audit_with_who_and_what() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let team = format!("/teams/{}", tenant.team);
    world.patch(&tenant.owner, &team, &json!({"name": "renamed"})).await.expect(StatusCode::OK);
    world.delete(&tenant.owner, &team).await.expect(StatusCode::NO_CONTENT);
    let entries = world.get(&tenant.owner, "/audit").await.expect(StatusCode::OK);
    let actions: Vec<_> = entries.rows().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["team.delete", "team.update", "team.create", "member.create", "organization.create"]
    );
    let update = &entries.rows()[1];
    assert_eq!((&update["before"]["name"], &update["after"]["name"]), (&json!("core"), &json!("renamed")));
    assert!(update["actor"].as_str().unwrap().starts_with("mem_"));
    let verdict = world.get(&tenant.owner, "/audit/verify").await.expect(StatusCode::OK);
    assert_eq!(verdict.body, json!({"whole": true, "entries": 5, "broken_at": null}));
    // The platform has a chain of its own.
    let platform = world.get(&world.root, "/audit").await.expect(StatusCode::OK);
    assert!(platform.rows().iter().any(|row| row["action"] == "organization.create"));
}

#[tokio::test]
async fn the_audit_is_paged_newest_first() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let first = world.get(&tenant.owner, "/audit?limit=2").await.expect(StatusCode::OK);
    let cursor = first.str("/next_cursor");
    let second =
        world.get(&tenant.owner, &format!("/audit?limit=2&cursor={cursor}")).await.expect(StatusCode::OK);
    let places = |answer: &crate::harness::Answer| -> Vec<u64> {
        answer.rows().iter().map(|row| row["n"].as_u64().unwrap()).collect()
    };
    assert_eq!((places(&first), places(&second)), (vec![3, 2], vec![1]));
}
