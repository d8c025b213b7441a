//! Access tokens of a Google service account: a signed assertion is exchanged for one, which is
//! kept until five minutes before it expires and renewed ahead of that.
//!
//! Source: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>.
//! The address is the process's own, never the key file's: a tenant's `token_uri` is not called.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tidegate_types::{OrganizationId, Timestamp};
use tokio::sync::Mutex;
use url::Url;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::auth::{BadSecret, Means};

/// Where Google gives access tokens.
pub const GOOGLE_TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// A token is not used in its last five minutes, and renewed in the five before them.
const MARGIN_MS: i64 = 300_000;
/// Between two attempts to renew a token that can still be used.
const PAUSE_MS: i64 = 30_000;
/// For one exchange.
const LONGEST: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 64 * 1024;

/// Why there is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The private key cannot sign.
    #[error("the service account's key cannot sign")]
    Key,
    /// The token service was not reached, or gave no answer in time.
    #[error("the token service could not be reached")]
    Unreachable,
    /// It refused.
    #[error("the token service refused the service account with status {0}")]
    Refused(u16),
    /// Its answer is no token.
    #[error("the token service's answer cannot be read")]
    Garbled,
}

/// A service account with its current token. No Debug.
pub(crate) struct ServiceAccount {
    client_email: Box<str>,
    key: EncodingKey,
    header: Header,
    held: RwLock<Option<Held>>,
    /// Taken by whoever exchanges.
    flight: Mutex<Flight>,
    /// Exchanges that ended.
    rounds: AtomicU64,
}

#[derive(Default)]
struct Flight {
    /// How the last exchange failed; `None` when it did not.
    failure: Option<TokenError>,
    /// No renewal ahead of time before this.
    renew_after: Timestamp,
}

#[derive(Clone)]
struct Held {
    bearer: HeaderValue,
    /// Renewed from this time on.
    fresh_until: Timestamp,
    /// Not used from this time on.
    usable_until: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

impl ServiceAccount {
    pub(crate) fn new(
        client_email: &str,
        private_key: &str,
        private_key_id: Option<&str>,
    ) -> Result<Self, BadSecret> {
        let key = EncodingKey::from_rsa_pem(private_key.as_bytes()).map_err(|_| BadSecret)?;
        let mut header = Header::new(Algorithm::RS256);
        header.kid = private_key_id.map(str::to_owned);
        Ok(Self {
            client_email: client_email.into(),
            key,
            header,
            held: RwLock::default(),
            flight: Mutex::default(),
            rounds: AtomicU64::new(0),
        })
    }

    /// `Bearer` and an access token. However many ask for one, there is one exchange at a time;
    /// those that waited for it share its end, good or bad.
    pub(crate) async fn token(&self, means: &Means<'_>) -> Result<HeaderValue, TokenError> {
        let held = self.usable(means.now);
        match held {
            Some(held) if means.now < held.fresh_until => Ok(held.bearer),
            Some(held) => Ok(Box::pin(self.renewed(means)).await.unwrap_or(held.bearer)),
            None => Box::pin(self.first(means)).await,
        }
    }

    fn usable(&self, now: Timestamp) -> Option<Held> {
        self.held.read().clone().filter(|held| now < held.usable_until)
    }

    /// A token from an exchange, one's own or that of somebody who came before.
    async fn first(&self, means: &Means<'_>) -> Result<HeaderValue, TokenError> {
        let round = self.rounds.load(Ordering::Acquire);
        let mut flight = self.flight.lock().await;
        if let Some(held) = self.usable(means.now) {
            return Ok(held.bearer);
        }
        match flight.failure {
            Some(failure) if self.rounds.load(Ordering::Acquire) != round => Err(failure),
            _ => self.exchange(&mut flight, means).await,
        }
    }

    /// A new token while the old one can still be used: by one caller, the others go on.
    async fn renewed(&self, means: &Means<'_>) -> Option<HeaderValue> {
        let mut flight = self.flight.try_lock().ok()?;
        let held = self.usable(means.now)?;
        if means.now < held.fresh_until || means.now < flight.renew_after {
            return Some(held.bearer);
        }
        self.exchange(&mut flight, means).await.ok()
    }

    async fn exchange(&self, flight: &mut Flight, means: &Means<'_>) -> Result<HeaderValue, TokenError> {
        flight.renew_after = means.now.plus_millis(PAUSE_MS);
        let granted = match tokio::time::timeout(LONGEST, self.ask(means)).await {
            Ok(granted) => granted.and_then(|granted| Held::new(&granted, means.now)),
            Err(_) => Err(TokenError::Unreachable),
        };
        flight.failure = granted.as_ref().err().copied();
        self.rounds.fetch_add(1, Ordering::AcqRel);
        let held = granted?;
        *self.held.write() = Some(held.clone());
        Ok(held.bearer)
    }

    async fn ask(&self, means: &Means<'_>) -> Result<Granted, TokenError> {
        let url = means.google_token_url;
        let iat = means.now.as_seconds();
        let claims = Claims { iss: &self.client_email, scope: SCOPE, aud: url, iat, exp: iat + 3_600 };
        let assertion =
            jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| TokenError::Key)?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &assertion)
            .finish();
        let (base, path) = split(url).ok_or(TokenError::Unreachable)?;
        let endpoint = means.upstreams.endpoint(&base).map_err(|_| TokenError::Unreachable)?;
        let path = endpoint.path(&path).ok_or(TokenError::Unreachable)?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, FORM)]);
        let response = means
            .upstreams
            .post(&endpoint, OrganizationId::SYSTEM, path, headers, Bytes::from(form))
            .await
            .map_err(|_| TokenError::Unreachable)?;
        if response.status() != http::StatusCode::OK {
            return Err(TokenError::Refused(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|_| TokenError::Garbled)?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| TokenError::Garbled)
    }
}

impl Held {
    fn new(granted: &Granted, now: Timestamp) -> Result<Self, TokenError> {
        let mut bearer = HeaderValue::try_from(["Bearer ", &granted.access_token].concat())
            .map_err(|_| TokenError::Garbled)?;
        bearer.set_sensitive(true);
        if granted.access_token.is_empty() || granted.expires_in <= 0 {
            return Err(TokenError::Garbled);
        }
        let life = granted.expires_in.saturating_mul(1_000);
        let margin = MARGIN_MS.min(life / 4);
        let usable_until = now.plus_millis(life - margin);
        Ok(Self { bearer, fresh_until: usable_until.plus_millis(-margin), usable_until })
    }
}

/// Scheme and authority; path.
fn split(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    Some((url.origin().ascii_serialization(), url.path().to_owned()))
}
