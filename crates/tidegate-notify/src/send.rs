//! One attempt: build, sign, post, and what the answer means.
//!
//! Success is a 2xx within the time. A redirect is not followed, and is a failure like any other.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tidegate_store::webhooks::Due;
use tidegate_types::Timestamp;
use tidegate_upstream::{Delivered, Upstreams};

use crate::sign;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

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
    match upstreams.deliver(due.organization_id, &due.url, headers, Bytes::from(body), time_out).await {
        Ok(Delivered { status, retry_after, .. }) => Answer::Status { status, retry_after },
        Err(word) => Answer::None(word),
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
