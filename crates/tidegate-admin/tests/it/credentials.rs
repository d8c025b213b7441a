//! Credentials: in, encrypted, sealed for nodes, never out.

use http::StatusCode;
use serde_json::{Value, json};
use tidegate_store::{SystemActor, credentials};
use tidegate_types::{CredentialId, OrganizationId};

use crate::harness::World;

const CANARY: &str = "sk-canary-0123456789abcdef";

#[tokio::test]
async fn a_credential_of_each_scope_is_stored_sealed_and_never_shown() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let body = |name: &str, scope: &str| json!({"name": name, "provider": "openai", "scope": scope, "secret": {"api_key": CANARY}});
    let system =
        world.post(&world.root, "/credentials", &body("s", "system")).await.expect(StatusCode::CREATED);
    let own = world
        .post(&tenant.owner, "/credentials", &body("o", "organization"))
        .await
        .expect(StatusCode::CREATED);
    let mut team = body("t", "team");
    team["team_id"] = json!(tenant.team);
    let team = world.post(&tenant.owner, "/credentials", &team).await.expect(StatusCode::CREATED);
    for answer in [&system, &own, &team] {
        assert!(!answer.text.contains("canary") && answer.body.get("secret").is_none(), "{}", answer.text);
        assert_eq!(answer.body["secret_version"], 1);
    }
    let one = format!("/credentials/{}", own.str("/id"));
    let patch = json!({"secret": {"api_key": format!("{CANARY}-2")}, "position": 3});
    let changed = world.patch(&tenant.owner, &one, &patch).await.expect(StatusCode::OK);
    assert_eq!((&changed.body["secret_version"], &changed.body["position"]), (&json!(2), &json!(3)));
    assert!(!changed.text.contains("canary"));

    // What nodes get: sealed for every pool, and not the plain text.
    let organization: OrganizationId = tenant.id.parse().unwrap();
    let id: CredentialId = own.str("/id").parse().unwrap();
    let mut tx = world.store.begin(&SystemActor::new("test").acting_for(organization)).await.unwrap();
    let stored = credentials::get(&mut tx, id).await.unwrap().value;
    assert_eq!((stored.sealed.len(), stored.sealed[0].secret_version), (1, 2));
    assert!(!stored.sealed[0].bytes.windows(6).any(|window| window == b"canary"));

    // A tenant does not see the system's; the platform lists them apart.
    assert_eq!(world.get(&tenant.owner, "/credentials").await.rows().len(), 2);
    world.get(&tenant.owner, &format!("/credentials/{}", system.str("/id"))).await.refused(404, "not_found");
    world.get(&tenant.owner, "/credentials?scope=system").await.refused(403, "forbidden");
    assert_eq!(world.get(&world.root, "/credentials").await.rows().len(), 1);
    world.delete(&tenant.owner, &one).await.expect(StatusCode::NO_CONTENT);
    world
        .delete(&world.root, &format!("/credentials/{}", system.str("/id")))
        .await
        .expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_bad_secret_is_refused_by_field_and_not_repeated() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let cases = [
        (json!({}), 422, "secret.api_key"),
        (json!({"api_key": CANARY, "zone": "x"}), 422, "secret.zone"),
        (json!({"api_key": CANARY, "region": "evil.example"}), 422, "secret.region"),
        (json!({"api_key": format!("{CANARY}\r\nx: y")}), 422, "secret.api_key"),
        (json!(CANARY), 400, "secret"),
        (json!({"api_key": [CANARY]}), 400, "secret.api_key"),
    ];
    for (secret, status, field) in cases {
        let body = json!({"name": "c", "provider": "openai", "secret": secret});
        let answer = world.post(&tenant.owner, "/credentials", &body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert!(answer.fields().contains(&field), "{}", answer.text);
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let mut team = json!({"name": "c", "provider": "openai", "scope": "team", "secret": {"api_key": "k"}});
    assert_eq!(world.post(&tenant.owner, "/credentials", &team).await.fields(), ["team_id"]);
    team["scope"] = json!("system");
    world.post(&tenant.owner, "/credentials", &team).await.refused(403, "forbidden");
}

async fn provider(world: &World, slug: &str, base_url: &str, dialect: &str, auth: &str) {
    let body = json!({"slug": slug, "name": slug, "base_url": base_url, "dialect": dialect, "auth": auth});
    world.post(&world.root, "/providers", &body).await.expect(StatusCode::CREATED);
}

/// Azure, Bedrock and Vertex AI, each with places in its base URL.
async fn clouds(world: &World) {
    let azure = "https://{resource}.openai.azure.com/openai/v1";
    provider(world, "azure", azure, "openai_chat", "api_key").await;
    let bedrock = "https://bedrock-runtime.{region}.amazonaws.com";
    provider(world, "bedrock", bedrock, "bedrock_converse", "aws_sig_v4").await;
    let vertex = "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/google";
    provider(world, "vertex", vertex, "gemini", "google_service_account").await;
}

fn robot() -> Value {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    json!({"client_email": "robot@p.iam.gserviceaccount.com", "private_key": key, "private_key_id": "k1",
        "project": "example.com:my-project", "location": "europe-west4"})
}

#[tokio::test]
async fn every_form_of_secret_is_stored_for_the_provider_that_wants_it() {
    let world = World::start().await;
    clouds(&world).await;
    let tenant = world.tenant("acme").await;
    let aws = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": CANARY, "session_token": CANARY, "region": "eu-west-1"});
    for (provider, form, secret) in [
        ("azure", "api_key", json!({"api_key": CANARY, "resource": "acme-eu"})),
        ("bedrock", "aws", aws),
        ("bedrock", "api_key", json!({"api_key": CANARY, "region": "eu-west-1"})),
        ("vertex", "google_service_account", robot()),
        ("vertex", "api_key", json!({"api_key": CANARY, "project": "p", "location": "global"})),
    ] {
        let name = format!("{provider} {form}");
        let body = json!({"name": name, "provider": provider, "form": form, "secret": secret});
        let made = world.post(&tenant.owner, "/credentials", &body).await.expect(StatusCode::CREATED);
        assert_eq!(made.str("/form"), form);
        // The region is told: facts of data handling are found by it.
        for hidden in ["canary", "AKID", "acme-eu", "robot", "PRIVATE", "my-project"] {
            assert!(!made.text.contains(hidden), "{hidden}: {}", made.text);
        }
    }
}

#[tokio::test]
async fn a_secret_that_its_provider_cannot_use_is_refused_by_field() {
    let world = World::start().await;
    world.catalogue().await;
    clouds(&world).await;
    let tenant = world.tenant("acme").await;
    let key = |field: &str, value: &str| json!({"api_key": CANARY, field: value});
    let aws = |region: &str| json!({"access_key_id": "A", "secret_access_key": CANARY, "region": region});
    let robot_with = |field: &str, value: &str| {
        let mut robot = robot();
        robot[field] = json!(value);
        robot
    };
    for (provider, form, secret, field) in [
        ("azure", "api_key", json!({"api_key": CANARY}), "secret.resource"),
        ("azure", "api_key", key("resource", "evil.example/"), "secret.resource"),
        ("azure", "api_key", key("resource", ""), "secret.resource"),
        ("azure", "aws", aws("eu-west-1"), "form"),
        ("bedrock", "aws", aws("eu-west-1.evil"), "secret.region"),
        ("bedrock", "aws", json!({"access_key_id": "A", "region": "r"}), "secret.secret_access_key"),
        ("bedrock", "google_service_account", robot(), "form"),
        ("openai", "aws", aws("eu-west-1"), "form"),
        ("vertex", "google_service_account", robot_with("private_key", CANARY), "secret.private_key"),
        ("vertex", "google_service_account", robot_with("client_email", "nobody"), "secret.client_email"),
        ("vertex", "google_service_account", robot_with("project", "../x"), "secret.project"),
        (
            "vertex",
            "google_service_account",
            robot_with("token_uri", "https://evil.example"),
            "secret.token_uri",
        ),
        ("vertex", "api_key", json!({"api_key": CANARY, "project": "p"}), "secret.location"),
    ] {
        let body = json!({"name": "c", "provider": provider, "form": form, "secret": secret});
        let answer = world.post(&tenant.owner, "/credentials", &body).await.refused(422, "validation_failed");
        assert!(answer.fields().contains(&field), "{provider} {form} {field}: {}", answer.text);
        assert!(!answer.text.contains("canary") && !answer.text.contains("evil"), "{}", answer.text);
    }
    // A new secret is held to the same.
    let body = json!({"name": "c", "provider": "azure", "secret": key("resource", "acme")});
    let made = world.post(&tenant.owner, "/credentials", &body).await.expect(StatusCode::CREATED);
    let patch = json!({"secret": {"api_key": CANARY}});
    let path = format!("/credentials/{}", made.str("/id"));
    let answer = world.patch(&tenant.owner, &path, &patch).await.refused(422, "validation_failed");
    assert_eq!(answer.fields(), ["secret.resource"]);
}

#[tokio::test]
async fn a_weight_is_kept_changed_and_taken_back_and_none_is_refused() {
    let world = World::start().await;
    world.catalogue().await;
    let tenant = world.tenant("acme").await;
    let with = |weight: serde_json::Value| json!({"name": "o", "provider": "openai", "scope": "organization", "secret": {"api_key": "sk"}, "weight": weight});
    for wrong in [0, 1_000_001] {
        let refused = world.post(&tenant.owner, "/credentials", &with(json!(wrong))).await;
        assert_eq!(refused.refused(422, "does_not_compile").fields(), ["weight"]);
    }
    let made = world.post(&tenant.owner, "/credentials", &with(json!(3))).await.expect(StatusCode::CREATED);
    assert_eq!(made.body["weight"], 3);
    let one = format!("/credentials/{}", made.str("/id"));
    for (change, weight) in [
        (json!({"enabled": false}), json!(3)),
        (json!({"weight": 7}), json!(7)),
        (json!({"weight": null}), json!(null)),
    ] {
        let changed = world.patch(&tenant.owner, &one, &change).await.expect(StatusCode::OK);
        assert_eq!(changed.body["weight"], weight, "{change}");
    }
}
