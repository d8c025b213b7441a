//! Platform roles: above organizations, not inside their secrets.

use http::StatusCode;
use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_platform_token_names_the_organization() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    for path in ["/teams", "/keys", "/routes", "/policies", "/budgets", "/usage"] {
        world.get(&world.root, path).await.refused(400, "organization_required");
        let named = format!("{path}?organization={}", tenant.id);
        world.get(&world.root, &named).await.expect(StatusCode::OK);
    }
    let unknown = "/organizations/org_00000000000000000000000001";
    world.get(&world.root, unknown).await.refused(404, "not_found");
    let system = "/teams?organization=org_00000000000000000000000000";
    world.get(&world.root, system).await.refused(404, "not_found");
    world.get(&world.root, "/teams?organization=acme").await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_platform_service_token_works_like_its_maker_and_a_viewer_writes_nothing() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let make = |name: &str, role: &str| json!({"name": name, "platform_role": role});
    let admin = world.post(&world.root, "/service-tokens", &make("a", "platform_admin")).await;
    let admin = admin.expect(StatusCode::CREATED).str("/token");
    let viewer = world.post(&world.root, "/service-tokens", &make("v", "platform_viewer")).await;
    let viewer = viewer.expect(StatusCode::CREATED).str("/token");
    world.get(&admin, "/teams").await.refused(400, "organization_required");
    let teams = format!("/teams?organization={}", tenant.id);
    world.post(&admin, &teams, &json!({"name": "x"})).await.expect(StatusCode::CREATED);
    assert_eq!(world.get(&viewer, &teams).await.expect(StatusCode::OK).rows().len(), 2);
    assert_eq!(world.get(&viewer, "/organizations").await.expect(StatusCode::OK).rows().len(), 1);
    for (path, body) in [
        (teams.as_str(), json!({"name": "y"})),
        ("/organizations", json!({"slug": "y"})),
        ("/join-tokens", json!({})),
        ("/service-tokens", make("z", "platform_admin")),
    ] {
        world.post(&viewer, path, &body).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn the_platform_neither_reads_calls_nor_makes_tokens_of_an_organization() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let at = |path: &str| format!("{path}?organization={}", tenant.id);
    world.get(&world.root, &at("/calls")).await.refused(403, "forbidden");
    let body = json!({"name": "x", "role": "owner"});
    world.post(&world.root, &at("/service-tokens"), &body).await.refused(403, "forbidden");
}

#[tokio::test]
async fn an_owner_renames_the_organization_and_only_the_platform_pauses_it() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let path = format!("/organizations/{}", tenant.id);
    let renamed = json!({"name": "Acme", "time_zone": "Europe/Berlin"});
    let changed = world.patch(&tenant.owner, &path, &renamed).await.expect(StatusCode::OK);
    assert_eq!(changed.body["time_zone"], "Europe/Berlin");
    assert!(!changed.text.contains("label_key"));
    world.patch(&tenant.owner, &path, &json!({"paused": true})).await.refused(403, "forbidden");
    world.patch(&world.root, &path, &json!({"paused": true})).await.expect(StatusCode::OK);
    let zone = world.patch(&tenant.owner, &path, &json!({"time_zone": "Mars/Olympus"})).await;
    assert_eq!(zone.refused(422, "validation_failed").fields(), ["time_zone"]);
    world.post(&tenant.owner, "/organizations", &json!({"slug": "mine"})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn somebody_of_both_worlds_says_which_one_is_meant() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = json!({"email": "root@example.com", "role": "owner"});
    world.post(&tenant.owner, "/members", &body).await.expect(StatusCode::CREATED);
    // With one organization of its own, that one is meant.
    assert_eq!(world.get(&world.root, "/teams").await.expect(StatusCode::OK).rows().len(), 1);
    let own = world.get(&world.root, "/audit").await.expect(StatusCode::OK);
    assert!(own.rows().iter().any(|row| row["action"] == "team.create"));
    let above = world.get(&world.root, "/audit?organization=system").await.expect(StatusCode::OK);
    assert!(above.rows().iter().any(|row| row["action"] == "platform.bootstrap"));
    world.get(&tenant.owner, "/audit?organization=system").await.refused(404, "not_found");
    // A token for both: owner of the organization and platform administrator.
    let body = json!({"name": "both", "role": "owner", "platform_role": "platform_admin"});
    let both =
        world.post(&world.root, "/service-tokens", &body).await.expect(StatusCode::CREATED).str("/token");
    world.post(&both, "/teams", &json!({"name": "x"})).await.expect(StatusCode::CREATED);
    world.post(&both, "/organizations", &json!({"slug": "other"})).await.expect(StatusCode::CREATED);
}
