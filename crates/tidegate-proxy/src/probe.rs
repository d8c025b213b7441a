//! Probes, and what is told to requests for nothing.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Response, StatusCode};
use tidegate_types::usage::RefusalCause;

use crate::gateway::Gateway;
use crate::refusal::{Refusal, Refused};

/// The process lives.
pub(crate) fn live() -> Response<Bytes> {
    Response::new(Bytes::from_static(b"ok\n"))
}

/// Whether the node serves.
pub(crate) fn ready(gateway: &Gateway) -> Response<Bytes> {
    if gateway.ready.load(Ordering::Relaxed) && !gateway.closes.load(Ordering::Relaxed) {
        return live();
    }
    let mut response = Response::new(Bytes::from_static(b"not ready\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Nothing is at this path. Most often a base URL has `/v1` too often or not at all.
pub(crate) fn unknown() -> Refused {
    let message = "there is no such endpoint; served are /v1/chat/completions, /v1/messages, /v1/models and \
                   /v1/key (base URL of OpenAI clients: with /v1, of Anthropic clients: without)";
    Refusal::new(RefusalCause::BadRequest, message).status(404).code("not_found").closing()
}

/// Another method is meant at this path.
pub(crate) fn wrong_method(allowed: &'static str) -> Refused {
    let mut refused =
        Refusal::new(RefusalCause::BadRequest, format!("this path takes {allowed} only")).status(405);
    refused.allow = Some(allowed);
    refused.close = true;
    refused
}
