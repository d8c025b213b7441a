//! One attempt: build, sign, post, and what the answer means.
//!
//! Success is a 2xx within the time. A redirect is not followed, and is a failure like any other.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;
use tidegate_store::webhooks::Due;
use tidegate_types::Timestamp;
use tidegate_upstream::{SendError, Upstreams, origin_and_tail};

use crate::sign;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Bytes of an answer that are read, so that the connection can be kept.
const MOST_ANSWER: usize = 64 * 1024;

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The receiver answered.
    Status { status: u16, retry_after: Option<i64> },
    /// It did not; a word of a closed list.
    None(&'static str),
}

/// Posts a delivery.
pub(crate) async fn post(
    upstreams: &Upstreams,
    due: &Due,
    keys: &[Vec<u8>],
    now: Timestamp,
    time_out: Duration,
) -> Answer {
    let body = json!({ "type": due.kind, "timestamp": due.at, "data": due.data }).to_string();
    let Some(headers) = headers(due, keys, now, body.as_bytes()) else { return Answer::None("secret") };
    match tokio::time::timeout(time_out, exchange(upstreams, due, headers, Bytes::from(body))).await {
        Ok(answer) => answer,
        Err(_) => Answer::None("timeout"),
    }
}

fn headers(due: &Due, keys: &[Vec<u8>], now: Timestamp, body: &[u8]) -> Option<HeaderMap> {
    let (id, seconds) = (due.notice_id.to_string(), now.as_millis().div_euclid(1000));
    let signatures: Vec<String> = keys.iter().map(|key| sign::signature(key, &id, seconds, body)).collect();
    if signatures.is_empty() {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert(ID, HeaderValue::from_str(&id).ok()?);
    headers.insert(TIMESTAMP, HeaderValue::from(seconds));
    headers.insert(SIGNATURE, HeaderValue::from_str(&signatures.join(" ")).ok()?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("tidegate"));
    Some(headers)
}

async fn exchange(upstreams: &Upstreams, due: &Due, headers: HeaderMap, body: Bytes) -> Answer {
    let Some((base, tail)) = origin_and_tail(&due.url) else { return Answer::None("url") };
    let Ok(endpoint) = upstreams.endpoint(&base) else { return Answer::None("url") };
    let Some(path) = endpoint.path(&tail) else { return Answer::None("url") };
    let response = match upstreams.post(&endpoint, due.organization_id, path, headers, body).await {
        Ok(response) => response,
        Err(error) => return Answer::None(word(error)),
    };
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status().as_u16(), retry_after.and_then(|text| text.parse().ok()));
    // What it says is nobody's business; read so that the connection is free again.
    let _ = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
    Answer::Status { status, retry_after }
}

const fn word(error: SendError) -> &'static str {
    match error {
        SendError::Forbidden => "forbidden_address",
        SendError::Dns => "dns",
        SendError::Connect | SendError::ConnectTimeout | SendError::Unwritten => "connect",
        SendError::Tls => "tls",
        SendError::Broken => "broken",
        SendError::Garbled => "garbled",
    }
}
