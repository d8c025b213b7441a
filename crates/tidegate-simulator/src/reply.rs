//! Small answers, and what of a request's head everybody needs.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{Either, Full};
use serde_json::Value;

use crate::delivery::{Delivery, whole};
use crate::script::Faults;

pub(crate) type Answer = Response<Either<Full<Bytes>, Delivery>>;

/// The connection ends before the head of an answer.
#[derive(Debug, thiserror::Error)]
#[error("broken off by script")]
pub(crate) struct Hangup;

pub(crate) fn json_answer(value: &Value) -> Answer {
    plain_answer(200, value.to_string().into_bytes())
}

pub(crate) fn plain_answer(status: u16, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Either::Left(whole(body)));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

pub(crate) fn presented_key(headers: &HeaderMap) -> &str {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let plain = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    bearer.and_then(|value| value.strip_prefix("Bearer ")).or(plain).unwrap_or("")
}

pub(crate) fn add_headers(answer: &mut Answer, faults: &Faults) {
    for (name, value) in &faults.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            answer.headers_mut().insert(name, value);
        }
    }
}
