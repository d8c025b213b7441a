//! Members and service tokens: nobody rises above their own role.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::World;

#[tokio::test]
async fn an_invitation_opens_nothing_but_its_own_organization() {
    let world = World::start().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    // The platform administrator and somebody of another organization: no link for either.
    for email in ["root@example.com", "owner@a.example.com"] {
        let made = world.post(&b.owner, "/members", &json!({"email": email, "role": "viewer"})).await;
        let made = made.expect(StatusCode::CREATED);
        assert_eq!(made.body["sign_in_link"], Value::Null, "{email}");
        let path = format!("/members/{}/link", made.str("/id"));
        world.post(&b.owner, &path, &json!({})).await.refused(403, "forbidden");
    }
    // Invited by two organizations before the first sign-in: the second gets no link.
    let body = json!({"email": "new@example.com", "role": "viewer"});
    let at_a = format!("/members?organization={}", a.id);
    let first = world.post(&a.owner, &at_a, &body).await.expect(StatusCode::CREATED);
    assert!(first.body["sign_in_link"].is_string());
    let second = world.post(&b.owner, "/members", &body).await.expect(StatusCode::CREATED);
    assert_eq!(second.body["sign_in_link"], Value::Null);
}

#[tokio::test]
async fn a_person_of_two_organizations_names_the_one_it_means() {
    let world = World::start().await;
    let (a, b) = (world.tenant("a").await, world.tenant("b").await);
    let body = json!({"email": "owner@a.example.com", "role": "viewer"});
    world.post(&b.owner, "/members", &body).await.expect(StatusCode::CREATED);
    world.get(&a.owner, "/teams").await.refused(400, "organization_required");
    assert_eq!(world.get(&a.owner, "/organizations").await.expect(StatusCode::OK).rows().len(), 2);
    let at = |id: &str| format!("/teams?organization={id}");
    world.get(&a.owner, &at(&a.id)).await.expect(StatusCode::OK);
    world.get(&a.owner, &at(&b.id)).await.expect(StatusCode::OK);
    world.post(&a.owner, &at(&b.id), &json!({"name": "x"})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn only_owners_touch_owners_and_the_last_owner_stays() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let admin = world.member(&tenant.id, "admin@acme.example.com", "admin").await;
    let owner = world.get(&admin, "/members").await.str("/data/0/id");
    let path = format!("/members/{owner}");
    world.patch(&admin, &path, &json!({"role": "viewer"})).await.refused(403, "forbidden");
    world.delete(&admin, &path).await.refused(403, "forbidden");
    world.post(&admin, &format!("{path}/link"), &json!({})).await.refused(403, "forbidden");
    world
        .post(&admin, "/members", &json!({"email": "x@example.com", "role": "owner"}))
        .await
        .refused(403, "forbidden");
    world.patch(&tenant.owner, &path, &json!({"role": "admin"})).await.refused(409, "immutable");
    world.delete(&tenant.owner, &path).await.refused(409, "immutable");
    let own = world.get(&tenant.owner, "/members").await.str("/data/1/id");
    let changed = world.patch(&tenant.owner, &format!("/members/{own}"), &json!({"role": "billing"})).await;
    assert_eq!(changed.expect(StatusCode::OK).str("/role"), "billing");
    world.post(&admin, "/teams", &json!({"name": "x"})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_removed_member_has_no_access_any_more() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let token = world.member(&tenant.id, "m@acme.example.com", "member").await;
    world.get(&token, "/teams").await.expect(StatusCode::OK);
    let id = world.get(&token, "/me").await.str("/memberships/0/member_id");
    world.delete(&tenant.owner, &format!("/members/{id}")).await.expect(StatusCode::NO_CONTENT);
    let refused = world.get(&token, "/teams").await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
}

#[tokio::test]
async fn a_service_token_is_shown_once_works_and_is_revoked() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = json!({"name": "ci", "role": "admin"});
    let made = world.post(&tenant.owner, "/service-tokens", &body).await.expect(StatusCode::CREATED);
    let (id, token) = (made.str("/id"), made.str("/token"));
    world.post(&token, "/teams", &json!({"name": "by-token"})).await.expect(StatusCode::CREATED);
    world.delete(&token, "/sessions/current").await.refused(422, "not_a_session");
    let one = format!("/service-tokens/{id}");
    assert!(!world.get(&tenant.owner, &one).await.expect(StatusCode::OK).text.contains(&token));
    // An admin's token cannot make an owner's.
    let owner = json!({"name": "up", "role": "owner"});
    world.post(&token, "/service-tokens", &owner).await.refused(403, "forbidden");
    let above = json!({"name": "up", "role": "viewer", "platform_role": "platform_admin"});
    world.post(&tenant.owner, "/service-tokens", &above).await.refused(403, "forbidden");
    world.delete(&tenant.owner, &one).await.expect(StatusCode::NO_CONTENT);
    world.get(&token, "/teams").await.refused(401, "unauthenticated");
    assert!(world.get(&tenant.owner, &one).await.body["revoked_at"].is_string());
}
