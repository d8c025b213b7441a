//! Heads of requests that are too large, refused in the caller's dialect while hyper would still read them.

use http::request::Parts;
use tidegate_types::usage::RefusalCause;

use crate::refusal::{Refusal, Refused};

/// Largest head that is served, bytes: names and values with 32 more for each header, as RFC 9113 counts a list of
/// headers, and the target. Half of what hyper reads, whose own refusal has no body.
const LARGEST: usize = 32 * 1024;

/// Whether a head is larger.
pub(crate) fn is_one(head: &Parts) -> bool {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    target + headers.sum::<usize>() > LARGEST
}

/// What is told then.
pub(crate) fn refusal() -> Refused {
    let message = format!("the request's path and headers are larger than {LARGEST} bytes");
    Refusal::new(RefusalCause::TooLarge, message).status(431).code("request_headers_too_large").closing()
}
