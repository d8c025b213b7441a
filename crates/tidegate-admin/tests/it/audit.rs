//! Every change leaves an entry, and the chain shows it.

use futures_util::future::join;
use http::StatusCode;
use serde_json::json;
use tidegate_types::audit::Walk;

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

#[tokio::test]
async fn the_audit_is_exported_in_its_order_with_what_checks_it() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    world.tenant("other").await;
    let answer = world.get(&tenant.owner, "/audit/export").await.expect(StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let mut walk = Walk::default();
    answer.text.lines().for_each(|line| walk.line(line).unwrap());
    walk.file_ends().unwrap();
    assert_eq!((walk.first().unwrap().0, walk.last().unwrap().0), (1, 3));
    assert_eq!(walk.organization().unwrap().to_string(), tenant.id);

    let rest = world.get(&tenant.owner, "/audit/export?after=2").await.expect(StatusCode::OK);
    assert_eq!(rest.text.lines().collect::<Vec<_>>(), answer.text.lines().skip(2).collect::<Vec<_>>());
    let beyond = world.get(&tenant.owner, "/audit/export?after=4").await.expect(StatusCode::BAD_REQUEST);
    assert_eq!(beyond.body["errors"][0]["field"], "after");
    let none = world.get(&tenant.owner, "/audit/export?after=3").await.expect(StatusCode::OK);
    assert_eq!(none.text.lines().count(), 1);
}

#[tokio::test]
async fn changes_beside_a_check_are_no_fault() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let team = format!("/teams/{}", tenant.team);
    let changes = async {
        for round in 0..40 {
            let name = json!({"name": format!("t{round}")});
            world.patch(&tenant.owner, &team, &name).await.expect(StatusCode::OK);
        }
    };
    let checks = async {
        for _ in 0..40 {
            let verdict = world.get(&tenant.owner, "/audit/verify").await.expect(StatusCode::OK);
            assert_eq!(verdict.body["whole"], true, "{}", verdict.body);
        }
    };
    join(changes, checks).await;
}
