//! One post to a collector, and what its answer means.
//!
//! By the OTLP specification (1.7, «OTLP/HTTP response»): 2xx may refuse a part; 429, 502, 503 and 504 ask
//! for another try; other statuses say that trying again is of no use. We try again after 401, 403, 404
//! and other 5xx as well: somebody will put the exporter right.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_body_util::{BodyExt as _, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tidegate_types::OrganizationId;
use tidegate_upstream::{SendError, Upstreams, origin_and_tail};

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 * 1024;

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The collector took the spans but for these.
    Taken { refused_spans: u64 },
    /// Another try may succeed.
    Later { status: Option<u16>, error: &'static str, retry_after: Option<i64> },
    /// No other try will.
    Never { status: u16 },
}

/// Posts an encoded request.
pub(crate) async fn post(
    upstreams: &Upstreams,
    owner: OrganizationId,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
    time_out: Duration,
) -> Answer {
    match tokio::time::timeout(time_out, exchange(upstreams, owner, url, headers, body)).await {
        Ok(answer) => answer,
        Err(_) => later("timeout"),
    }
}

const fn later(error: &'static str) -> Answer {
    Answer::Later { status: None, error, retry_after: None }
}

async fn exchange(
    upstreams: &Upstreams,
    owner: OrganizationId,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let Some((base, tail)) = origin_and_tail(url) else { return later("url") };
    let Ok(endpoint) = upstreams.endpoint(&base) else { return later("url") };
    let Some(path) = endpoint.path(&tail) else { return later("url") };
    let response = match upstreams.post(&endpoint, owner, path, headers, body).await {
        Ok(response) => response,
        Err(error) => return later(word(error)),
    };
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status().as_u16(), retry_after.and_then(|text| text.parse().ok()));
    let read = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
    let error = match status {
        200..=299 => {
            let body = read.map(|body| body.to_bytes()).unwrap_or_default();
            return Answer::Taken { refused_spans: refused(body) };
        }
        300..=399 => "redirect",
        401 | 403 | 404 | 408 | 429 | 500..=599 => "status",
        _ => return Answer::Never { status },
    };
    Answer::Later { status: Some(status), error, retry_after }
}

/// Spans that the collector says it did not take. Collectors that answer in JSON tell us nothing.
fn refused(body: Bytes) -> u64 {
    let answer = ExportTraceServiceResponse::decode(body).ok();
    let part = answer.and_then(|answer| answer.partial_success);
    part.and_then(|part| u64::try_from(part.rejected_spans).ok()).unwrap_or(0)
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
