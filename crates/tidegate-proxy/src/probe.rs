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
    if gateway.ready.load(Ordering::Relaxed) && !gateway.stopping.is_cancelled() {
        return live();
    }
    let mut response = Response::new(Bytes::from_static(b"not ready\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Nothing is at this path.
pub(crate) fn unknown() -> Refused {
    Refusal::new(RefusalCause::BadRequest, "there is nothing at this path")
        .status(404)
        .code("not_found")
        .closing()
}

/// Another method is meant at this path.
pub(crate) fn wrong_method(allowed: &'static str) -> Refused {
    let mut refused =
        Refusal::new(RefusalCause::BadRequest, format!("this path takes {allowed} only")).status(405);
    refused.allow = Some(allowed);
    refused.close = true;
    refused
}
