//! Signing in and out.

use http::StatusCode;
use serde_json::json;

use crate::harness::{PASSWORD, World};

#[tokio::test]
async fn bootstrap_happens_once_and_its_link_works_once() {
    let world = World::start().await;
    let me = world.get(&world.root, "/me").await.expect(StatusCode::OK);
    assert_eq!(me.str("/platform_role"), "platform_admin");
    assert_eq!(me.str("/email"), "root@example.com");
    assert!(tidegate_admin::bootstrap(&world.app, "other@example.com").await.is_err());

    let tenant = world.tenant("acme").await;
    let path = format!("/members?organization={}", tenant.id);
    let made = world.post(&world.root, &path, &json!({"email": "b@example.com", "role": "viewer"})).await;
    let link = made.expect(StatusCode::CREATED).str("/sign_in_link");
    world.redeem(&link).await;
    let token = link.rsplit('#').next().unwrap();
    let again = json!({"token": token, "password": PASSWORD});
    world.post("", "/sessions/link", &again).await.refused(401, "sign_in_failed");
}

#[tokio::test]
async fn a_session_ends_when_it_is_signed_out() {
    let world = World::start().await;
    let body = json!({"email": "ROOT@example.com", "password": PASSWORD});
    let token = world.post("", "/sessions", &body).await.expect(StatusCode::CREATED).str("/token");
    world.get(&token, "/me").await.expect(StatusCode::OK);
    world.delete(&token, "/sessions/current").await.expect(StatusCode::NO_CONTENT);
    world.get(&token, "/me").await.refused(401, "unauthenticated");
    world.get(&world.root, "/me").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn wrong_password_and_unknown_address_get_the_same_answer_and_are_throttled() {
    let world = World::start().await;
    let wrong = json!({"email": "root@example.com", "password": "not it at all"});
    let unknown = json!({"email": "nobody@example.com", "password": "not it at all"});
    let a = world.post("", "/sessions", &wrong).await.refused(401, "sign_in_failed");
    let b = world.post("", "/sessions", &unknown).await.refused(401, "sign_in_failed");
    assert_eq!(a.body["detail"], b.body["detail"]);
    for _ in 0..9 {
        world.post("", "/sessions", &wrong).await.refused(401, "sign_in_failed");
    }
    let throttled = world.post("", "/sessions", &wrong).await.refused(429, "too_many_attempts");
    assert!(throttled.headers.contains_key("retry-after"));
    let right = json!({"email": "root@example.com", "password": PASSWORD});
    world.post("", "/sessions", &right).await.refused(429, "too_many_attempts");
}

#[tokio::test]
async fn a_short_password_does_not_use_the_link_up() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let path = format!("/members?organization={}", tenant.id);
    let made = world.post(&world.root, &path, &json!({"email": "b@example.com", "role": "viewer"})).await;
    let link = made.expect(StatusCode::CREATED).str("/sign_in_link");
    let token = link.rsplit('#').next().unwrap();
    let short = json!({"token": token, "password": "short"});
    let refused = world.post("", "/sessions/link", &short).await.refused(422, "validation_failed");
    assert_eq!(refused.fields(), ["password"]);
    world.redeem(&link).await;
}

#[tokio::test]
async fn a_forged_or_foreign_token_is_refused() {
    let world = World::start().await;
    let other = World::start().await;
    for token in [&other.root, "tgs_0", "x", "eyJhbGciOiJub25lIn0.e30."] {
        world.get(token, "/me").await.refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn an_unattended_installation_gets_its_administrator_and_its_enroller_once() {
    use std::sync::Arc;

    use tidegate_admin::{AdminError, App, enroller, first_administrator};
    use tidegate_secrets::kek::KeyEncryptionKey;
    use tidegate_secrets::{keygen, token};
    use tidegate_store::testing::TestDatabase;
    use tidegate_telemetry::SystemClock;
    use tidegate_types::Secret;

    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let store = database.store().await.unwrap();
    let app = App::open(store, kek, Arc::new(SystemClock), "http://control.test").await.unwrap();
    let short = first_administrator(&app, "ops@example.com", Secret::new("short")).await;
    assert!(matches!(short, Err(AdminError::Refused(_))), "{short:?}");
    let password = || Secret::new("a first password");
    first_administrator(&app, "ops@example.com", password()).await.unwrap();
    let again = first_administrator(&app, "mallory@example.com", password()).await;
    assert!(matches!(again, Err(AdminError::AlreadyDone)), "{again:?}");

    let seed = Secret::new("0123456789abcdefghijklmnopqrstuvwxyz");
    assert!(enroller(&app, &Secret::new("too short to be a secret")).await.is_err());
    enroller(&app, &seed).await.unwrap();
    assert!(matches!(enroller(&app, &seed).await, Err(AdminError::AlreadyDone)));

    let world = World::above(database, app).await;
    let body = json!({"email": "ops@example.com", "password": "a first password"});
    let session = world.post("", "/sessions", &body).await.expect(StatusCode::CREATED).str("/token");
    assert_eq!(world.get(&session, "/me").await.str("/platform_role"), "platform_admin");
    let (_, held, _) = token::from_seed(&seed).unwrap();
    let me = world.get(held.expose(), "/me").await.expect(StatusCode::OK);
    assert_eq!(me.str("/platform_role"), "platform_admin");
}
