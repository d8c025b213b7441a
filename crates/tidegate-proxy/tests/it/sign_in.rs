//! Providers of every kind, as they see the gateway: where they are called, how it signs in, and
//! which fields they are spared.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidegate_proxy::Settings;
use tidegate_types::resource::{AuthScheme, Provider, Quirks, SecretForm};

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Asked, Provider as Peer, json as answer, whole};
use crate::world::{MODEL, World, openai, provider};

const SECRET_KEY: &str = "canary/K7MDENG+bPxRfiCYEXAMPLEKEY";

async fn peer() -> Peer {
    Peer::start(vec![answer(OPENAI_ANSWER)]).await
}

/// The first provider at this peer, its base URL ending like this.
fn at(peer: &Peer, tail: &str, auth: AuthScheme, quirks: Quirks) -> Provider {
    let base_url = format!("http://{}{tail}", peer.address);
    Provider { base_url, auth, quirks, ..provider(1, &openai("a", peer)) }
}

fn target(asked: &Asked) -> &str {
    asked.head.split(' ').nth(1).unwrap()
}

fn header<'a>(asked: &'a Asked, name: &str) -> &'a str {
    let value = |line: &'a str| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name));
    asked.head.split("\r\n").find_map(value).map_or("", |(_, value)| value)
}

#[tokio::test]
async fn aws_is_called_in_the_credentials_region_with_a_signature_that_it_would_accept() {
    let peer = peer().await;
    let world = World::start(&[openai("a", &peer)]).await;
    let quirks = Quirks { query: Some("b=2&a=1".into()), ..Quirks::default() };
    let secret = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET_KEY, "session_token": "session==", "region": "eu-west-1"});
    world.sign_in_at(at(&peer, "/{region}/v1", AuthScheme::AwsSigV4, quirks), SecretForm::Aws, &secret);
    assert_eq!(world.chat(&ask()).await.status, 200);
    let mut asked = peer.last();
    assert_eq!(target(&asked), "/eu-west-1/v1/chat/completions?b=2&a=1");
    assert_eq!(header(&asked, "x-amz-security-token"), "session==");
    assert!(!asked.head.contains(&world.key) && !asked.head.contains("canary"), "{}", asked.head);
    assert!(accepts(&asked), "{}", asked.head);
    asked.body.push(' ');
    assert!(!accepts(&asked));
}

/// What AWS does with a request: a second implementation, over the bytes that came.
fn accepts(asked: &Asked) -> bool {
    let hash = |bytes: &[u8]| hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes));
    let hmac = |key: &[u8], text: &str| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
        aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let rest =
        header(asked, "authorization").strip_prefix("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/").unwrap();
    let (scope, rest) = rest.split_once(", SignedHeaders=").unwrap();
    let (signed, signature) = rest.split_once(", Signature=").unwrap();
    let (path, query) = target(asked).split_once('?').unwrap();
    let mut pairs: Vec<_> = query.split('&').collect();
    pairs.sort_unstable();
    let mut lines = vec!["POST".to_owned(), path.replace('%', "%25"), pairs.join("&")];
    lines.extend(signed.split(';').map(|name| format!("{name}:{}", header(asked, name))));
    lines.extend([String::new(), signed.to_owned(), hash(asked.body.as_bytes())]);
    let canonical = hash(lines.join("\n").as_bytes());
    let text = ["AWS4-HMAC-SHA256", header(asked, "x-amz-date"), scope, &canonical].join("\n");
    assert!(scope.ends_with("/eu-west-1/bedrock/aws4_request"), "{scope}");
    let key = scope.split('/').fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| hmac(&key, part));
    hex::encode(hmac(&key, &text)) == signature
}

#[tokio::test]
async fn azure_is_called_at_its_resource_deployment_and_version_with_its_own_header() {
    let peer = peer().await;
    let world = World::start(&[openai("a", &peer)]).await;
    let own = "/deployments/{model}/chat/completions".to_owned();
    let quirks = Quirks {
        paths: [("openai_chat".to_owned(), own)].into(),
        query: Some("api-version=2025-04-01-preview".into()),
        ..Quirks::default()
    };
    let secret = json!({"api_key": "azure-canary", "resource": "acme-eu"});
    world.sign_in_at(
        at(&peer, "/{resource}/openai", AuthScheme::ApiKey, quirks),
        SecretForm::ApiKey,
        &secret,
    );
    assert_eq!(world.chat(&ask()).await.status, 200);
    let asked = peer.last();
    let expected = "/acme-eu/openai/deployments/chat-at-a/chat/completions?api-version=2025-04-01-preview";
    assert_eq!(target(&asked), expected);
    assert_eq!((header(&asked, "api-key"), header(&asked, "authorization")), ("azure-canary", ""));
}

fn robot() -> Value {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    json!({"client_email": "robot@p.iam.gserviceaccount.com", "private_key": key, "project": "example.com:p", "location": "europe-west4"})
}

async fn vertex(token: (u16, &str)) -> (Peer, World) {
    let peer = Peer::start(vec![whole(token.0, "", token.1), answer(OPENAI_ANSWER)]).await;
    let google_token_url = format!("http://{}/token", peer.address);
    let settings = Settings { google_token_url, ..Settings::default() };
    let world = World::with(&[openai("a", &peer)], settings).await;
    let base = "/v1/projects/{project}/locations/{location}/endpoints/openapi";
    let provider = at(&peer, base, AuthScheme::GoogleServiceAccount, Quirks::default());
    world.sign_in_at(provider, SecretForm::GoogleServiceAccount, &robot());
    (peer, world)
}

#[tokio::test]
async fn fifty_calls_at_once_of_a_service_account_exchange_one_token() {
    let granted = r#"{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}"#;
    let (peer, world) = vertex((200, granted)).await;
    let ask = ask();
    let replies = join_all((0..50).map(|_| world.chat(&ask))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let asked = peer.asked.lock().clone();
    let (exchanges, calls): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| target(asked) == "/token");
    assert_eq!((exchanges.len(), calls.len()), (1, 50));
    for call in calls {
        let expected = "/v1/projects/example.com:p/locations/europe-west4/endpoints/openapi/chat/completions";
        assert_eq!((target(call), header(call, "authorization")), (expected, "Bearer ya29.token"));
    }
    world.assert_settled(None).await;
}

#[tokio::test]
async fn a_refused_service_account_is_not_billed_and_not_explained() {
    let (peer, world) = vertex((400, r#"{"error":"canary"}"#)).await;
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, peer.count()), (502, 1), "{reply:?}");
    assert!(reply.body.contains("credential") && !reply.body.contains("canary"), "{}", reply.body);
    world.assert_settled(None).await;
}

#[tokio::test]
async fn a_base_url_that_cannot_be_filled_is_not_called() {
    let peer = peer().await;
    let world = World::start(&[openai("a", &peer)]).await;
    for secret in [
        json!({"api_key": "canary"}),
        json!({"api_key": "canary", "resource": "../x"}),
        json!({"api_key": "canary", "resource": "a/b?c"}),
    ] {
        let provider = at(&peer, "/{resource}/v1", AuthScheme::ApiKey, Quirks::default());
        world.sign_in_at(provider, SecretForm::ApiKey, &secret);
        let reply = world.chat(&ask()).await;
        assert_eq!((reply.status, peer.count()), (502, 0), "{reply:?}");
        assert!(!reply.body.contains("canary"));
    }
}

#[tokio::test]
async fn fields_are_spared_or_refused_as_the_provider_wants() {
    let peer = peer().await;
    let world = World::start(&[openai("a", &peer)]).await;
    let quirks =
        Quirks { drops: vec!["user".into()], refuses: vec!["logit_bias".into()], ..Quirks::default() };
    let secret = json!({"api_key": "k"});
    world.sign_in_at(at(&peer, "/v1", AuthScheme::Bearer, quirks), SecretForm::ApiKey, &secret);
    let with = |field: &str| ask().replacen('{', &format!("{{{field},"), 1);
    assert_eq!(world.chat(&with(r#""user":"u""#)).await.status, 200);
    assert_eq!(peer.last().body, ask().replace(MODEL, "chat-at-a"));
    let reply = world.chat(&with(r#""logit_bias":{"1":2}"#)).await;
    assert_eq!((reply.status, peer.count()), (400, 1), "{reply:?}");
    assert_eq!(reply.json()["error"]["param"], "logit_bias");
    world.assert_settled(None).await;
}
