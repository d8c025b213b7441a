//! One post to a collector, and what its answer means.
//!
//! By the OTLP specification (1.7, «OTLP/HTTP response»): 2xx may refuse a part; 429, 502, 503 and 504 ask
//! for another try; other statuses say that trying again is of no use. We try again after 401, 403, 404
//! and other 5xx as well: somebody will put the exporter right.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tidegate_types::OrganizationId;
use tidegate_upstream::{Delivered, Upstreams};

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
    let delivered = match upstreams.deliver(owner, url, headers, body, time_out).await {
        Ok(delivered) => delivered,
        Err(error) => return Answer::Later { status: None, error, retry_after: None },
    };
    let Delivered { status, retry_after, body } = delivered;
    let error = match status {
        200..=299 => return Answer::Taken { refused_spans: refused(body) },
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
