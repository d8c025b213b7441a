//! Which of a caller's headers reach a provider: a short list, all else stays here.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tidegate_types::resource::DialectName;

pub(crate) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// The version that a caller who named none is given.
pub(crate) const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// The headers of a request to a provider that speaks `dialect`: content type, our own
/// agent, and of `caller`'s headers those that the dialect knows and that only matter when
/// caller and provider speak the same one. Sign-in is added by [`crate::SignIn::apply`].
#[must_use]
pub fn forwarded(caller: &HeaderMap, dialect: DialectName, same_dialect: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::USER_AGENT, AGENT);
    // An idempotency key stays here: tenants that share a credential could meet in it.
    if same_dialect && dialect == DialectName::AnthropicMessages {
        copy(caller, &mut headers, &ANTHROPIC_VERSION);
        copy(caller, &mut headers, &ANTHROPIC_BETA);
    }
    if dialect == DialectName::AnthropicMessages {
        headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_ANTHROPIC_VERSION);
    }
    headers
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, name: &HeaderName) {
    // Dates and feature names only: `2023-06-01`, `output-128k-2025-02-19,token-efficient-tools`.
    let plain = |value: &&HeaderValue| {
        value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_., ".contains(b))
            && value.len() <= 1024
    };
    for value in from.get_all(name).iter().filter(plain) {
        to.append(name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_headers_pass() {
        let mut caller = HeaderMap::new();
        for name in [
            "authorization",
            "x-api-key",
            "x-goog-api-key",
            "cookie",
            "x-stainless-lang",
            "ai-gateway-api-key",
            "x-forwarded-for",
            "anthropic-version",
            "anthropic-beta",
            "openai-organization",
            "te",
            "connection",
        ] {
            caller.insert(HeaderName::from_static(name), HeaderValue::from_static("canary"));
        }
        let names = |dialect, same| {
            let mut names: Vec<_> =
                forwarded(&caller, dialect, same).keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(DialectName::OpenaiChat, true), ["content-type", "user-agent"]);
        assert_eq!(
            names(DialectName::AnthropicMessages, true),
            ["anthropic-beta", "anthropic-version", "content-type", "user-agent"]
        );
        assert_eq!(
            names(DialectName::AnthropicMessages, false),
            ["anthropic-version", "content-type", "user-agent"]
        );
        assert_eq!(
            forwarded(&caller, DialectName::AnthropicMessages, false)[ANTHROPIC_VERSION],
            "2023-06-01"
        );
    }
}
