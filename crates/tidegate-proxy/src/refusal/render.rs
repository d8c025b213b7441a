//! A refusal as an answer in the caller's dialect.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tidegate_dialect::refusal::{self, Failure};
use tidegate_types::usage::RefusalCause;
use tidegate_types::{CallId, Timestamp};

use super::{Refusal, Voice};
use crate::face::Manner;
use crate::headers::{JSON, SHOULD_RETRY, TRUE, put_id, put_rates};

/// Writes the answer: the body in the dialect's own form (or the provider's, passed on),
/// the call's id, rate limits, `retry-after`.
pub(crate) fn render(refusal: &Refusal, voice: Voice, call_id: CallId, now: Timestamp) -> Response<Bytes> {
    let id = call_id.to_string();
    let (status, bytes) = match &refusal.passed_on {
        Some(bytes) => (refusal.http_status(), bytes.clone()),
        None => {
            let failure = failure(refusal, &id);
            let body = refusal::body(voice.dialect, &failure);
            match voice.manner {
                Manner::Mlflow => (body.status, detail(&failure)),
                _ => (body.status, beside(body.bytes, refusal.routing.as_deref())),
            }
        }
    };
    let mut response = Response::new(bytes);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    if let Some((name, value)) = refusal::header(voice.dialect, status) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    put_id(headers, voice.dialect, call_id);
    if let Some(rates) = &refusal.rates {
        put_rates(headers, voice.dialect, rates, || now);
    }
    if let Some(ms) = refusal.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
        headers.insert(SHOULD_RETRY, TRUE);
    }
    if let Some(allow) = refusal.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if refusal.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == 401 && refusal.passed_on.is_none() {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The body with the routing beside its error.
fn beside(mut body: Vec<u8>, routing: Option<&[u8]>) -> Bytes {
    if let Some(routing) = routing
        && body.last() == Some(&b'}')
    {
        body.pop();
        body.extend_from_slice(br#","providerMetadata":{"gateway":{"routing":"#);
        body.extend_from_slice(routing);
        body.extend_from_slice(b"}}}");
    }
    body.into()
}

/// MLflow's form, which is FastAPI's: a sentence, for unknown models with its code beside it.
fn detail(failure: &Failure<'_>) -> Bytes {
    let document = match failure.cause {
        RefusalCause::UnknownModel => {
            json!({"detail": {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": failure.message}})
        }
        _ => json!({"detail": failure.message}),
    };
    document.to_string().into()
}

/// The refusal in the words of the dialect crate.
pub(crate) fn failure<'a>(refusal: &'a Refusal, id: &'a str) -> Failure<'a> {
    Failure {
        cause: refusal.cause,
        status: refusal.status,
        message: &refusal.message,
        code: refusal.code,
        param: refusal.param.as_deref(),
        model: refusal.model.as_deref(),
        call_id: id,
    }
}
