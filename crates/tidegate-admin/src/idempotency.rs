//! Idempotency keys on POST: the same key, caller and body get the same answer for 24 hours.
//!
//! Key and answer are stored in the transaction of the change that they guard. Answers are
//! encrypted under the organization's data key, because some show a secret once.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tidegate_secrets::envelope::{self, Aad};
use tidegate_store::Change;
use tidegate_store::idempotency::{self, Claim};

use crate::actor::Caller;
use crate::body;
use crate::etag;
use crate::problem::Problem;
use crate::state::App;
use crate::write::Halt;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// A POST: who sends it, what it says, and the key under which its answer is kept.
#[derive(Debug)]
pub(crate) struct Posted<T> {
    pub(crate) caller: Caller,
    pub(crate) body: T,
    pub(crate) once: Option<Once>,
}

/// A POST to an object named in the path. The caller is checked before the id is looked at.
#[derive(Debug)]
pub(crate) struct PostedTo<I, T> {
    pub(crate) id: I,
    pub(crate) posted: Posted<T>,
}

impl<I: FromStr + Send, T: DeserializeOwned> FromRequest<App> for PostedTo<I, T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let path = body::Path::<I>::from_request_parts(&mut parts, app).await;
        let posted = Posted::from_request(Request::from_parts(parts, body), app).await;
        match (path, posted) {
            (Ok(body::Path(id)), Ok(posted)) => Ok(Self { id, posted }),
            (Err(_), Err(problem)) if matches!(problem.status.as_u16(), 401 | 403) => Err(problem),
            (Err(problem), _) | (_, Err(problem)) => Err(problem),
        }
    }
}

/// An idempotency key, and the hash of who asked for what.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    key: String,
    fingerprint: [u8; 32],
}

impl<T: DeserializeOwned> FromRequest<App> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let once = Once::named(&parts, &caller)?;
        // What acts on an object without saying anything may leave the body out.
        let empty = parts.headers.get(header::CONTENT_TYPE).is_none();
        if !empty {
            body::expect_json(&parts.headers)?;
        }
        let text = body::read_bytes(Request::from_parts(parts, body), app).await?;
        let once = once.map(|once| once.of(&text));
        let body = match (empty, text.is_empty()) {
            (true, true) => body::read(b"{}")?,
            (true, false) => return Err(body::not_json()),
            (false, _) => body::read(&text)?,
        };
        Ok(Self { caller, body, once })
    }
}

/// Hash of a request, still without its body.
struct Named {
    key: String,
    hash: Sha256,
}

impl Once {
    fn named(parts: &Parts, caller: &Caller) -> Result<Option<Named>, Problem> {
        let Some(value) = parts.headers.get(KEY) else { return Ok(None) };
        let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
        let key = key.ok_or_else(|| {
            Problem::field("idempotency-key", "must be 1 to 255 printable ASCII characters")
        })?;
        let mut hash = Sha256::new();
        let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        for part in [caller.actor().who().to_string().as_str(), target] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Some(Named { key: key.to_owned(), hash }))
    }

    /// Claims the key inside the change. A second request with it waits here for the first.
    pub(crate) async fn claim(&self, app: &App, change: &mut Change) -> Result<(), Halt> {
        let expires_at = change.now().plus_millis(KEPT_MS);
        match idempotency::claim(change, &self.key, &self.fingerprint, expires_at).await? {
            Claim::Fresh => Ok(()),
            Claim::Mismatch => Err(Problem::unprocessable(
                "idempotency_key_reused",
                "This idempotency key was used for another request.",
            )
            .into()),
            Claim::Replay { status, body } => {
                let key = app.vault.data_key(change).await?;
                let opened = envelope::open(&key.key, &self.place(change), &body);
                let opened = opened.map_err(|_| Problem::internal())?;
                Err(Halt::Replayed(replay(status, &opened)))
            }
        }
    }

    /// Keeps the answer, before the commit.
    pub(crate) async fn keep<T: Serialize>(
        &self,
        app: &App,
        change: &mut Change,
        status: StatusCode,
        version: Option<i64>,
        view: &T,
    ) -> Result<(), Problem> {
        let key = app.vault.data_key(change).await?;
        let kept = serde_json::to_vec(&(version, view)).map_err(|_| Problem::internal())?;
        let sealed = envelope::seal(&key.key, &self.place(change), &kept).map_err(|_| Problem::internal())?;
        Ok(idempotency::answer(change, &self.key, status.as_u16(), &sealed).await?)
    }

    fn place(&self, change: &Change) -> Aad {
        Aad::new("idempotency").with(change.organization_id().to_u128().to_be_bytes()).with(&self.key)
    }
}

impl Named {
    fn of(mut self, body: &[u8]) -> Once {
        self.hash.update(body);
        Once { key: self.key, fingerprint: self.hash.finalize().into() }
    }
}

/// The answer that was given before.
fn replay(status: u16, kept: &[u8]) -> Response {
    let parsed: Result<(Option<i64>, Box<serde_json::value::RawValue>), _> = serde_json::from_slice(kept);
    let Ok((version, view)) = parsed else { return Problem::internal().into_response() };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, view.get().to_owned()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(version) = version {
        headers.insert(header::ETAG, etag::header(version));
    }
    response
}
