//! Credentials that requests bring along: they replace stored ones, are tried in order, lead where
//! the catalogue says, and leave no trace.

use serde_json::{Value, json};
use tidegate_types::resource::*;
use tidegate_types::usage::CredentialType::{Byok, Client, System};

use crate::plain::{ANTHROPIC_ANSWER, OPENAI_ANSWER};
use crate::provider::{Provider as Peer, Step, json as answer, whole};
use crate::stage::own_credential;
use crate::world::{MODEL, World, anthropic, openai, policy, provider};

const CANARY: &str = "canary-K7MDENG-bPxRfiCY-EXAMPLEKEY";

fn chat(gateway: &Value) -> String {
    let options = json!({"gateway": gateway});
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": MODEL, "max_tokens": 50, "messages": messages, "providerOptions": options}).to_string()
}

fn byok(credentials: &Value) -> String {
    chat(&json!({"byok": {"a": credentials}}))
}

fn stored() -> Resource {
    Resource::Credential(own_credential())
}

/// Nothing that lasts names the secret; the positive control is that the provider did get it.
fn assert_untraced(world: &World, peer: &Peer, replies: &[&str]) {
    let asked = peer.asked.lock().clone();
    assert!(asked.iter().any(|asked| asked.head.contains(CANARY)), "control");
    assert!(asked.iter().all(|asked| !asked.body.contains("canary")));
    let events = serde_json::to_string(&*world.journal.events.lock()).unwrap();
    let calls = serde_json::to_string(&*world.journal.calls.lock()).unwrap();
    for text in [&*events, &*calls].iter().chain(replies) {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn brought_credentials_replace_stored_ones_and_are_tried_in_order_then_the_operators_is_charged() {
    let peer = Peer::start(vec![whole(401, "", "{}"), whole(403, "", "{}"), answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![stored()]);
    let body = byok(&json!([{"apiKey": CANARY}, {"apiKey": "second"}]));
    let reply = world.chat(&body).await;
    assert_eq!((reply.status, peer.count()), (200, 3), "{reply:?}");
    let heads: Vec<_> = peer.asked.lock().iter().map(|asked| asked.head.clone()).collect();
    for (head, key) in heads.iter().zip([CANARY, "second", "sk-a"]) {
        assert!(head.contains(&format!("Bearer {key}\r\n")), "{head}");
    }
    let record = world.recorded(1).await;
    let types: Vec<_> = record.attempts.iter().map(|attempt| attempt.credential_type).collect();
    assert_eq!(types, [Client, Client, System]);
    assert!(record.attempts[..2].iter().all(|attempt| attempt.credential_id.is_none()));
    assert!(record.cost.get() > 0);
    assert_untraced(&world, &peer, &[&reply.body]);
    // Without them the stored one is back.
    peer.script(vec![answer(OPENAI_ANSWER)]);
    assert_eq!(world.chat(&chat(&json!({}))).await.status, 200);
    assert!(peer.last().head.contains("sk-stored"));
    assert_eq!(world.recorded(2).await.attempts[0].credential_type, Byok);
    world.assert_settled(None).await;
}

#[tokio::test]
async fn where_policy_forbids_system_credentials_a_failure_of_brought_ones_is_the_end() {
    let peer = Peer::start(vec![whole(401, "", "{}")]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Policy(Policy { allow_system_credentials: Some(false), ..policy() })]);
    let reply = world.chat(&byok(&json!([{"apiKey": CANARY}]))).await;
    assert_eq!((reply.status, peer.count()), (502, 1), "{reply:?}");
    assert_untraced(&world, &peer, &[&reply.body]);
}

#[tokio::test]
async fn a_policy_can_forbid_credentials_in_requests() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Policy(Policy { allow_request_credentials: Some(false), ..policy() })]);
    let reply = world.chat(&byok(&json!([{"apiKey": CANARY}]))).await;
    assert_eq!((reply.status, peer.count()), (403, 0), "{reply:?}");
    assert_eq!(reply.json()["error"]["code"], "byok_not_allowed");
    assert_eq!(world.chat(&chat(&json!({}))).await.status, 200);
}

#[tokio::test]
async fn a_request_never_says_where_its_credentials_go() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    for credential in [
        json!({"apiKey": CANARY, "baseURL": "https://evil.example"}),
        json!({"apiKey": CANARY, "base_url": "https://evil.example"}),
        json!({"apiKey": "canary\r\nhost: evil"}),
    ] {
        let reply = world.chat(&byok(&json!([credential]))).await;
        assert_eq!((reply.status, reply.body.contains("canary")), (400, false), "{reply:?}");
        assert!(reply.body.contains("providerOptions.gateway.byok.a"), "{reply:?}");
    }
    let reply = world.chat(&chat(&json!({"byok": {"nobody": [{"apiKey": CANARY}]}}))).await;
    assert_eq!((reply.status, reply.body.contains("canary")), (400, false), "{reply:?}");
    // A field that fills a place of the base URL stays inside its label.
    let base_url = format!("http://{}/{{resource}}/v1", peer.address);
    let at = Provider { base_url, auth: AuthScheme::ApiKey, ..provider(1, &openai("a", &peer)) };
    world.put(vec![Resource::Provider(at)]);
    for resource in ["../x", "a/b", "a.b", "A", ""] {
        let reply = world.chat(&byok(&json!([{"apiKey": CANARY, "resourceName": resource}]))).await;
        assert!(reply.status >= 400 && !reply.body.contains("canary"), "{reply:?}");
    }
    assert_eq!(peer.count(), 0);
    let reply = world.chat(&byok(&json!([{"apiKey": CANARY, "resourceName": "acme-eu"}]))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let head = peer.last().head;
    assert!(
        head.contains(" /acme-eu/v1/chat/completions") && head.contains(&format!("api-key: {CANARY}")),
        "{head}"
    );
}

#[tokio::test]
async fn bedrock_and_vertex_shapes_sign_in_in_their_own_way() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let at = |tail: &str, auth| {
        let base_url = format!("http://{}{tail}", peer.address);
        Resource::Provider(Provider { base_url, auth, ..provider(1, &openai("a", &peer)) })
    };
    world.put(vec![at("/{region}/v1", AuthScheme::AwsSigV4)]);
    for (region, expected) in [(None, "us-east-1"), (Some("eu-west-1"), "eu-west-1")] {
        let aws = json!({"accessKeyId": "AKIDEXAMPLE", "secretAccessKey": CANARY, "region": region});
        let reply = world.chat(&byok(&json!([aws]))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let asked = peer.last();
        assert!(asked.head.contains(&format!(" /{expected}/v1/")), "{}", asked.head);
        assert!(asked.head.contains(&format!("/{expected}/bedrock/aws4_request")), "{}", asked.head);
        assert!(!asked.head.contains("canary") && !asked.body.contains("canary"), "{}", asked.body);
    }
    let token = r#"{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}"#;
    let google = Peer::start(vec![whole(200, "", token), answer(OPENAI_ANSWER)]).await;
    let google_token_url = format!("http://{}/token", google.address);
    let settings = tidegate_proxy::Settings { google_token_url, ..Default::default() };
    let world = World::with(&[openai("a", &google)], settings).await;
    let base_url = format!("http://{}/v1/projects/{{project}}/locations/{{location}}", google.address);
    let auth = AuthScheme::GoogleServiceAccount;
    world.put(vec![Resource::Provider(Provider { base_url, auth, ..provider(1, &openai("a", &google)) })]);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let robot = json!({"clientEmail": "robot@p.iam.gserviceaccount.com", "privateKey": key});
    let vertex = json!({"project": "my-p", "location": "europe-west4", "googleCredentials": robot});
    let reply = world.chat(&byok(&json!([vertex]))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let head = google.last().head;
    assert!(head.contains("/v1/projects/my-p/locations/europe-west4/chat/completions"), "{head}");
    assert!(head.contains("Bearer ya29.token"), "{head}");
}

#[tokio::test]
async fn an_error_that_repeats_the_key_is_not_passed_on() {
    let echo = format!(r#"{{"error":{{"message":"bad key {CANARY}","type":"invalid_request_error"}}}}"#);
    let peer = Peer::start(vec![whole(400, "", &echo)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Policy(Policy { allow_system_credentials: Some(false), ..policy() })]);
    let reply = world.chat(&byok(&json!([{"apiKey": CANARY}]))).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_untraced(&world, &peer, &[&reply.body]);
    // The same words without the key are passed on.
    let reply = world.chat(&byok(&json!([{"apiKey": "another"}]))).await;
    assert!(reply.body.contains("bad key"), "control: {reply:?}");
}

#[tokio::test]
async fn every_surface_takes_them_and_models_can_have_names_of_their_own() {
    let peer = Peer::start(vec![answer(ANTHROPIC_ANSWER)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let mapping = json!([{"gatewayModelSlug": MODEL, "customModelId": "my-deployment"}]);
    let own = json!([{"apiKey": CANARY, "modelMappings": mapping}]);
    let sdk = json!({"prompt": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "providerOptions": {"gateway": {"byok": {"a": own}}}});
    let headers = [
        ("ai-language-model-id", MODEL),
        ("ai-language-model-specification-version", "4"),
        ("ai-language-model-streaming", "false"),
    ];
    let replies = [
        world.chat(&byok(&own)).await,
        world.messages(&byok(&own)).await,
        world.post_with("/v4/ai/language-model", &headers, &sdk.to_string()).await,
    ];
    assert_eq!(peer.count(), 3, "{replies:?}");
    for (reply, asked) in replies.iter().zip(&*peer.asked.lock()) {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(asked.head.contains(&format!("x-api-key: {CANARY}")), "{}", asked.head);
        assert_eq!(asked.json()["model"], "my-deployment");
    }
    let bodies: Vec<_> = replies.iter().map(|reply| &*reply.body).collect();
    assert_untraced(&world, &peer, &bodies);
}

#[tokio::test]
async fn a_time_out_of_the_callers_own_ends_attempts_over_own_credentials_only() {
    let stall = vec![Step::UntilHangUp];
    let slow = vec![Step::Pause(std::time::Duration::from_millis(1_300)), answer(OPENAI_ANSWER).remove(0)];
    let peer = Peer::start(vec![stall, slow]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let gateway = json!({"byok": {"a": [{"apiKey": CANARY}]}, "providerTimeouts": {"byok": {"a": 1_000}}});
    let reply = world.chat(&chat(&gateway)).await;
    assert_eq!((reply.status, peer.count()), (200, 2), "{reply:?}");
    let record = world.recorded(1).await;
    let types: Vec<_> = record.attempts.iter().map(|attempt| attempt.credential_type).collect();
    assert_eq!(types, [Client, System]);
    assert!(record.attempts[0].duration_ms >= 1_000);
    for ms in [999, 789_001] {
        let gateway = json!({"providerTimeouts": {"byok": {"a": ms}}});
        assert_eq!(world.chat(&chat(&gateway)).await.status, 400);
    }
}
