//! Each way of signing in, as a provider sees it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tidegate_types::resource::{AuthScheme, Place, PlaceError, SecretForm};
use tidegate_types::{OrganizationId, Secret, Timestamp};
use tidegate_upstream::{GOOGLE_TOKEN_URL, Means, SignIn, SignInError, Unsigned};

use crate::service::{Received, Service, way_to};

const SECRET_KEY: &str = "canary/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(crate) fn open(form: SecretForm, secret: &serde_json::Value) -> SignIn {
    SignIn::open(form, &Secret::new(secret.to_string())).unwrap()
}

fn aws() -> SignIn {
    let secret = json!({"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET_KEY, "session_token": "session-canary==", "region": "eu-west-1"});
    open(SecretForm::Aws, &secret)
}

fn now() -> Timestamp {
    "2026-11-21T10:20:30Z".parse().unwrap()
}

/// What reaches a provider when this credential signs in by this scheme.
async fn sent(sign_in: &SignIn, scheme: AuthScheme, tail: &str) -> Result<Received, SignInError> {
    let service = Service::start(|_| (200, "{}".into())).await;
    let upstreams = way_to(&[&service]);
    let endpoint = upstreams.endpoint(&service.url()).unwrap();
    let path = endpoint.path(tail).unwrap();
    let body = Bytes::from_static(br#"{"messages":[]}"#);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("user-agent", HeaderValue::from_static("tidegate"));
    headers.insert(HeaderName::from_static("x-client-request-id"), HeaderValue::from_static("a  b"));
    let means = Means { upstreams: &upstreams, google_token_url: GOOGLE_TOKEN_URL, now: now() };
    let unsigned = Unsigned { endpoint: &endpoint, path: &path, body: &body };
    sign_in.apply(scheme, unsigned, &mut headers, means).await?;
    assert!(!format!("{sign_in:?}{headers:?}{means:?}{unsigned:?}").contains("canary"));
    upstreams.post(&endpoint, OrganizationId::SYSTEM, path, headers, body).await.unwrap();
    let received = service.received.lock().remove(0);
    Ok(received)
}

#[tokio::test]
async fn an_api_key_stands_where_each_provider_looks_for_it() {
    let key = open(SecretForm::ApiKey, &json!({"api_key": "sk-canary"}));
    for (scheme, name, value) in [
        (AuthScheme::Bearer, "authorization", "Bearer sk-canary"),
        (AuthScheme::XApiKey, "x-api-key", "sk-canary"),
        (AuthScheme::ApiKey, "api-key", "sk-canary"),
        (AuthScheme::GoogleApiKey, "x-goog-api-key", "sk-canary"),
        (AuthScheme::GoogleServiceAccount, "x-goog-api-key", "sk-canary"),
        (AuthScheme::AwsSigV4, "authorization", "Bearer sk-canary"),
    ] {
        let received = sent(&key, scheme, "/x").await.unwrap();
        assert_eq!(received.header(name), value, "{scheme:?}");
        let shown = format!("{received:?}");
        assert_eq!(shown.matches("sk-canary").count(), 1, "{scheme:?}");
        assert_eq!(received.header("anthropic-version").is_empty(), scheme != AuthScheme::XApiKey);
    }
    let received = sent(&key, AuthScheme::None, "/x").await.unwrap();
    assert!(!format!("{received:?}").contains("canary"));
}

#[tokio::test]
async fn a_form_that_does_not_fit_signs_nothing() {
    for scheme in
        [AuthScheme::Bearer, AuthScheme::XApiKey, AuthScheme::ApiKey, AuthScheme::GoogleServiceAccount]
    {
        assert_eq!(sent(&aws(), scheme, "/x").await.unwrap_err(), SignInError::Form, "{scheme:?}");
    }
}

#[test]
fn a_secret_that_is_not_of_its_form_opens_nothing() {
    for (form, secret) in [
        (SecretForm::ApiKey, "canary".to_owned()),
        (SecretForm::ApiKey, json!({}).to_string()),
        (SecretForm::ApiKey, json!({"api_key": ""}).to_string()),
        (SecretForm::ApiKey, json!({"api_key": "canary\r\nx: y"}).to_string()),
        (SecretForm::Aws, json!({"access_key_id": "a", "secret_access_key": "canary"}).to_string()),
        (
            SecretForm::GoogleServiceAccount,
            json!({"client_email": "a@b", "private_key": "canary"}).to_string(),
        ),
    ] {
        let error = SignIn::open(form, &Secret::new(secret)).unwrap_err();
        assert!(!format!("{error}{error:?}").contains("canary"));
    }
}

#[test]
fn base_urls_are_filled_from_the_credentials_fields() {
    let azure = open(SecretForm::ApiKey, &json!({"api_key": "k", "resource": "acme"}));
    let template = "https://{resource}.openai.azure.com/openai/v1";
    assert_eq!(azure.base_url(template).unwrap(), "https://acme.openai.azure.com/openai/v1");
    assert_eq!(azure.base_url("https://a.b/{region}"), Err(PlaceError::Missing(Place::Region)));
    let evil = open(SecretForm::ApiKey, &json!({"api_key": "k", "resource": "evil.example/"}));
    assert_eq!(evil.base_url(template), Err(PlaceError::Malformed(Place::Resource)));
    let url = aws().base_url("https://bedrock-runtime.{region}.amazonaws.com").unwrap().into_owned();
    assert_eq!(url, "https://bedrock-runtime.eu-west-1.amazonaws.com");
}

#[tokio::test]
async fn aws_would_accept_the_signature_of_what_arrives() {
    for tail in [
        "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse",
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprofile%2Fx/converse-stream?b=2&a=%2F+1&c",
    ] {
        let mut received = sent(&aws(), AuthScheme::AwsSigV4, tail).await.unwrap();
        assert!(accepts(&received), "{received:?}");
        assert_eq!(received.header("x-amz-security-token"), "session-canary==");
        assert_eq!(received.header("x-amz-date"), "20261121T102030Z");
        assert!(!format!("{received:?}").contains(SECRET_KEY));
        // The judge judges: one changed byte anywhere is refused.
        received.body[2] ^= 1;
        assert!(!accepts(&received));
        received.body[2] ^= 1;
        received.target.push('x');
        assert!(!accepts(&received));
    }
}

/// A second implementation, from the service's side: it takes the signed headers by the names in
/// `Authorization`, and the hash of the body that came.
fn accepts(received: &Received) -> bool {
    let authorization = received.header("authorization");
    let part = |name: &str| {
        authorization.split(name).nth(1).unwrap().trim_start_matches('=').split(", ").next().unwrap()
    };
    let (credential, signed) = (part("Credential"), part("SignedHeaders"));
    let (id, scope) = credential.split_once('/').unwrap();
    assert_eq!(id, "AKIDEXAMPLE");
    let [date, region, service, end] = scope.split('/').collect::<Vec<_>>()[..] else { panic!("{scope}") };
    assert_eq!((region, service, end), ("eu-west-1", "bedrock", "aws4_request"));
    for needed in ["host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "content-type"] {
        assert!(signed.split(';').any(|name| name == needed), "{needed} is not signed");
    }
    let (path, query) = received.target.split_once('?').unwrap_or((&received.target, ""));
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.replace('+', "%2B") } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let mut lines = vec![received.method.clone(), escape_again(path), pairs.join("&")];
    for name in signed.split(';') {
        let value: Vec<_> = received.header(name).split(' ').filter(|word| !word.is_empty()).collect();
        lines.push(format!("{name}:{}", value.join(" ")));
    }
    let hash = sha256(&received.body);
    if received.header("x-amz-content-sha256") != hash {
        return false;
    }
    lines.extend([String::new(), signed.to_owned(), hash]);
    let time = received.header("x-amz-date");
    let text = ["AWS4-HMAC-SHA256", time, scope, &sha256(lines.join("\n").as_bytes())].join("\n");
    let key = [date, region, service, end]
        .iter()
        .fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| hmac(&key, part));
    hex::encode(hmac(&key, &text)) == part("Signature")
}

fn escape_again(path: &str) -> String {
    path.replace('%', "%25")
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
