//! ETags: a resource's version, and the precondition on writes.

use axum::extract::FromRequestParts;
use http::header::IF_MATCH;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::problem::Problem;

/// The strong ETag of a version, as a header.
pub(crate) fn header(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// `If-Match`, when the client sent one.
#[derive(Debug, Clone, Default)]
pub(crate) struct IfMatch(Option<String>);

impl IfMatch {
    /// Refuses with 412 unless the resource is still as the client knows it.
    pub(crate) fn check(&self, current: i64) -> Result<(), Problem> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        let current = format!("\"{current}\"");
        let holds = wanted.split(',').map(str::trim).any(|tag| tag == "*" || tag == current);
        if holds { Ok(()) } else { Err(changed_since()) }
    }
}

/// 412: somebody else was faster.
pub(crate) fn changed_since() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "The object was changed since you read it. Read it again.",
    )
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.headers.get(IF_MATCH).map(HeaderValue::to_str) {
            None => Ok(Self(None)),
            Some(Ok(text)) => Ok(Self(Some(text.to_owned()))),
            Some(Err(_)) => Err(Problem::field("if-match", "is not a list of ETags")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_version_or_a_star_matches() {
        let sent = |text: &str| IfMatch(Some(text.to_owned()));
        assert!(IfMatch(None).check(3).is_ok());
        assert!(sent("\"1\", \"3\"").check(3).is_ok());
        assert!(sent("*").check(3).is_ok());
        assert!(sent("\"2\"").check(3).is_err());
        // Weak tags do not match: If-Match compares strongly (RFC 9110, 13.1.1).
        assert!(sent("W/\"3\"").check(3).is_err());
    }
}
