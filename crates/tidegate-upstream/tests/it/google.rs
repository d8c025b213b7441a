//! Access tokens of Google service accounts, from a token service on loopback.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tidegate_types::Timestamp;
use tidegate_types::resource::{AuthScheme, SecretForm};
use tidegate_upstream::{Means, SignIn, SignInError, TokenError, Unsigned, Upstreams};

use crate::service::{Service, way_to};
use crate::sign_in::open;

struct World {
    service: Service,
    upstreams: Upstreams,
    account: Arc<SignIn>,
    public_pem: String,
}

impl World {
    async fn start(rule: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        let service = Service::start(rule).await;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let secret = json!({"client_email": "robot@p.iam.gserviceaccount.com", "private_key": key.serialize_pem(),
            "private_key_id": "k1", "project": "p", "location": "europe-west4", "token_uri": "http://169.254.169.254/"});
        Self {
            upstreams: way_to(&[&service]),
            account: Arc::new(open(SecretForm::GoogleServiceAccount, &secret)),
            public_pem: key.public_key_pem(),
            service,
        }
    }

    /// The `Authorization` of a request signed at this second.
    async fn authorization(&self, second: i64) -> Result<String, SignInError> {
        let url = format!("{}/token", self.service.url());
        let means = Means {
            upstreams: &self.upstreams,
            google_token_url: &url,
            now: Timestamp::from_seconds(second),
        };
        let endpoint = self.upstreams.endpoint("https://europe-west4-aiplatform.googleapis.com/v1").unwrap();
        let path = endpoint.path("/x").unwrap();
        let request = Unsigned { endpoint: &endpoint, path: &path, body: b"{}" };
        let mut headers = HeaderMap::new();
        self.account.apply(AuthScheme::GoogleServiceAccount, request, &mut headers, means).await?;
        assert!(!format!("{headers:?}{:?}", self.account).contains("token-"));
        assert_eq!(headers.len(), 1);
        Ok(headers["authorization"].to_str().unwrap().to_owned())
    }
}

fn token(number: usize) -> (u16, String) {
    let granted =
        json!({"access_token": format!("token-{number}"), "expires_in": 3599, "token_type": "Bearer"});
    (200, granted.to_string())
}

const START: i64 = 1_790_000_000;

#[tokio::test]
async fn fifty_calls_at_once_exchange_one_assertion() {
    let world = World::start(token).await;
    let all = futures_util::future::join_all((0..50).map(|_| world.authorization(START))).await;
    assert!(all.iter().all(|one| one.as_deref() == Ok("Bearer token-0")), "{all:?}");
    assert_eq!(world.service.count(), 1);
    let received = world.service.received.lock()[0].clone();
    assert_eq!((&*received.method, &*received.target), ("POST", "/token"));
    assert_eq!(received.header("content-type"), "application/x-www-form-urlencoded");
    let form: HashMap<String, String> = url::form_urlencoded::parse(&received.body).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let header = decode_header(&form["assertion"]).unwrap();
    assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::RS256, Some("k1")));
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_exp = false;
    rules.set_audience(&[format!("{}/token", world.service.url())]);
    let key = DecodingKey::from_rsa_pem(world.public_pem.as_bytes()).unwrap();
    let claims = decode::<Value>(&form["assertion"], &key, &rules).unwrap().claims;
    assert_eq!(claims["iss"], "robot@p.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(START), &json!(START + 3_600)));
}

#[tokio::test]
async fn a_token_is_renewed_by_one_call_before_its_last_five_minutes() {
    let world = World::start(token).await;
    for (second, expected) in [(0, "Bearer token-0"), (2_990, "Bearer token-0")] {
        assert_eq!(world.authorization(START + second).await.as_deref(), Ok(expected), "{second}");
    }
    // Ten minutes before the end: one renews it, the others go on with the old one.
    let all = futures_util::future::join_all((0..20).map(|_| world.authorization(START + 3_010))).await;
    let fresh = all.iter().filter(|one| one.as_deref() == Ok("Bearer token-1")).count();
    let old = all.iter().filter(|one| one.as_deref() == Ok("Bearer token-0")).count();
    assert_eq!((fresh, old, world.service.count()), (1, 19, 2));
    assert_eq!(world.authorization(START + 3_300).await.as_deref(), Ok("Bearer token-1"));
    // Nobody asked for long: it is expired, and waited for.
    assert_eq!(world.authorization(START + 90_000).await.as_deref(), Ok("Bearer token-2"));
    assert_eq!(world.service.count(), 3);
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_token_in_use_until_its_last_minutes() {
    let world = World::start(|number| if number == 0 { token(0) } else { (503, "{}".into()) }).await;
    for second in [0, 3_010, 3_020, 3_050, 3_290] {
        assert_eq!(world.authorization(START + second).await.as_deref(), Ok("Bearer token-0"), "{second}");
    }
    // Not at each call: half a minute lies between two attempts.
    assert_eq!(world.service.count(), 4);
    let refused = Err(SignInError::Token(TokenError::Refused(503)));
    assert_eq!(world.authorization(START + 3_300).await, refused);
}

#[tokio::test]
async fn those_who_wait_share_a_refusal_and_the_next_one_asks_again() {
    let world = World::start(
        |number| if number == 0 { (400, r#"{"error":"canary"}"#.into()) } else { token(number) },
    )
    .await;
    let all = futures_util::future::join_all((0..50).map(|_| world.authorization(START))).await;
    assert!(all.iter().all(|one| *one == Err(SignInError::Token(TokenError::Refused(400)))), "{all:?}");
    assert!(!format!("{:?} {}", all[0], all[0].clone().unwrap_err()).contains("canary"));
    assert_eq!(world.service.count(), 1);
    assert_eq!(world.authorization(START).await.as_deref(), Ok("Bearer token-1"));
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_leave_the_others_without_a_token() {
    let world = World::start(token).await;
    {
        let first = world.authorization(START);
        let short = std::time::Duration::from_millis(10);
        assert!(tokio::time::timeout(short, first).await.is_err());
    }
    assert!(world.authorization(START).await.is_ok());
}

#[tokio::test]
async fn what_is_no_token_is_none() {
    for (status, body, expected) in [
        (307, "{}", TokenError::Refused(307)),
        (200, "", TokenError::Garbled),
        (200, r#"{"access_token":"","expires_in":3599}"#, TokenError::Garbled),
        (200, r#"{"access_token":"a\r\nb","expires_in":3599}"#, TokenError::Garbled),
        (200, r#"{"access_token":"a","expires_in":-1}"#, TokenError::Garbled),
    ] {
        let world = World::start(move |_| (status, body.to_owned())).await;
        assert_eq!(world.authorization(START).await, Err(SignInError::Token(expected)), "{status} {body}");
        assert_eq!(world.service.count(), 1);
    }
    let huge = format!(r#"{{"access_token":"a","expires_in":3599,"x":"{}"}}"#, "x".repeat(100_000));
    let world = World::start(move |_| (200, huge.clone())).await;
    assert_eq!(world.authorization(START).await, Err(SignInError::Token(TokenError::Garbled)));
}
