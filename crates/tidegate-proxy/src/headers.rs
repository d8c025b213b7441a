//! Headers of our answers: the call's id, the state of the rate limits.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_limits::{BucketState, Rates};
use tidegate_types::resource::DialectName;
use tidegate_types::{CallId, NanoUsd, Timestamp};

use crate::failover::By;
use crate::known_limits::KnownLimits;
use crate::routing::paid_by;

const TIDEGATE_ID: HeaderName = HeaderName::from_static("x-tidegate-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const LOGFIRE_COST: HeaderName = HeaderName::from_static("logfire-ai-gateway-cost");
const MLFLOW_DURATION: HeaderName = HeaderName::from_static("x-mlflow-gateway-duration-ms");
const MLFLOW_OVERHEAD: HeaderName = HeaderName::from_static("x-mlflow-gateway-overhead-duration-ms");
const PROVIDER: HeaderName = HeaderName::from_static("x-tidegate-provider");
const CREDENTIAL: HeaderName = HeaderName::from_static("x-tidegate-credential");
const TIER: HeaderName = HeaderName::from_static("x-tidegate-zdr");
const SIMULATED: HeaderName = HeaderName::from_static("x-tidegate-simulated");
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
pub(crate) const TRUE: HeaderValue = HeaderValue::from_static("true");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// A body's type. Nearly all are JSON, whose value is there already.
pub(crate) fn content_type(text: &str) -> Option<HeaderValue> {
    if text == "application/json" { Some(JSON) } else { HeaderValue::from_str(text).ok() }
}

/// The header names of one kind of bucket: limit, remaining, reset.
type Names = [HeaderName; 3];

const OPENAI_REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const OPENAI_TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const ANTHROPIC_REQUESTS: Names = [
    HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    HeaderName::from_static("anthropic-ratelimit-requests-reset"),
];
const ANTHROPIC_TOKENS: Names = [
    HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
    HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
];

/// Names the call in the headers that the dialect's clients look at.
pub(crate) fn put_id(headers: &mut HeaderMap, dialect: DialectName, call_id: CallId) {
    let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(call_id.to_string())) else { return };
    headers.insert(TIDEGATE_ID, id.clone());
    headers.insert(
        match dialect {
            DialectName::AnthropicMessages => REQUEST_ID,
            _ => X_REQUEST_ID,
        },
        id,
    );
}

/// Tells pydantic-ai what a call cost, where the body has no place for it.
pub(crate) fn put_cost(headers: &mut HeaderMap, cost: NanoUsd) {
    if let Ok(value) = HeaderValue::try_from(format!("{cost}USD")) {
        headers.insert(LOGFIRE_COST, value);
    }
}

/// Tells MLflow's clients how long the call took until now, and what of it was not the provider's.
pub(crate) fn put_durations(headers: &mut HeaderMap, whole: Duration, overhead: Option<Duration>) {
    let named = [(MLFLOW_DURATION, Some(whole)), (MLFLOW_OVERHEAD, overhead)];
    for (name, duration) in named {
        let text = duration.map(|duration| format!("{:.3}", duration.as_secs_f64() * 1_000.0));
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Says who answered, whose credential paid (as `routing` words it), which data handling was demanded, and
/// whether it was a simulated provider.
pub(crate) fn put_by(headers: &mut HeaderMap, by: &By) {
    if let Ok(slug) = HeaderValue::from_str(by.provider.slug.as_str()) {
        headers.insert(PROVIDER, slug);
    }
    headers.insert(CREDENTIAL, HeaderValue::from_static(paid_by(by.credential)));
    headers.insert(TIER, HeaderValue::from_static(by.tier.as_str()));
    if by.provider.simulated {
        headers.insert(SIMULATED, TRUE);
    }
}

/// The names for requests and for tokens.
const fn names(dialect: DialectName) -> (Names, Names) {
    match dialect {
        DialectName::AnthropicMessages => (ANTHROPIC_REQUESTS, ANTHROPIC_TOKENS),
        _ => (OPENAI_REQUESTS, OPENAI_TOKENS),
    }
}

/// The limits that no bucket's state stands for: what is left of them was not asked, and is not told.
pub(crate) fn put_limits(headers: &mut HeaderMap, dialect: DialectName, known: KnownLimits) {
    let (requests, tokens) = names(dialect);
    for ([name, ..], limit) in [(requests, known.requests), (tokens, known.tokens)] {
        if let Some(limit) = limit
            && !headers.contains_key(&name)
        {
            headers.insert(name, HeaderValue::from(limit));
        }
    }
}

/// The tightest buckets, in the dialect's words.
pub(crate) fn put_rates(
    headers: &mut HeaderMap,
    dialect: DialectName,
    rates: &Rates,
    now: impl Fn() -> Timestamp,
) {
    let mut room = BytesMut::with_capacity(128);
    let (requests, tokens) = names(dialect);
    for (names, state) in [(requests, rates.requests), (tokens, rates.tokens)] {
        if let Some(state) = state {
            put_bucket(headers, names, dialect, state, &now, &mut room);
        }
    }
}

fn put_bucket(
    headers: &mut HeaderMap,
    names: Names,
    dialect: DialectName,
    state: BucketState,
    now: &impl Fn() -> Timestamp,
    room: &mut BytesMut,
) {
    let [limit, remaining, reset] = names;
    put(headers, limit, room, |room| number(room, state.limit.into()));
    put(headers, remaining, room, |room| number(room, state.remaining.into()));
    put(headers, reset, room, |room| match dialect {
        DialectName::AnthropicMessages => {
            let ms = i64::try_from(state.reset_ms).unwrap_or(i64::MAX);
            let at = Timestamp::from_seconds(now().plus_millis(ms.saturating_add(999)).as_seconds());
            // Room grows on demand: writing has no reason to fail.
            let _ = write!(room, "{at}");
        }
        _ => span(room, state.reset_ms),
    });
}

/// Adds a header whose value is a part of `room`: one allocation for all of them.
fn put(headers: &mut HeaderMap, name: HeaderName, room: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    write(room);
    if let Ok(value) = HeaderValue::from_maybe_shared(room.split().freeze()) {
        headers.insert(name, value);
    }
}

fn number(room: &mut BytesMut, number: u64) {
    room.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A span of time as OpenAI writes it: `250ms`, `1.5s`, `6m0s`.
fn span(room: &mut BytesMut, ms: u64) {
    let (minutes, seconds) = (ms / 60_000, ms % 60_000 / 1_000);
    if ms < 1_000 {
        number(room, ms);
        return room.extend_from_slice(b"ms");
    }
    if minutes > 0 {
        number(room, minutes);
        room.extend_from_slice(b"m");
    }
    number(room, seconds);
    if minutes == 0 && !ms.is_multiple_of(1_000) {
        // Three places: 1005 ms are 1.005 s.
        let mut digits = itoa::Buffer::new();
        let [b'1', places @ ..] = digits.format(1_000 + ms % 1_000).as_bytes() else { return };
        room.extend_from_slice(b".");
        room.extend_from_slice(places);
    }
    room.extend_from_slice(b"s");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_openai_writes_them() {
        for (ms, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_500, "1.500s"),
            (59_005, "59.005s"),
            (61_500, "1m1s"),
            (360_000, "6m0s"),
        ] {
            let mut room = BytesMut::new();
            span(&mut room, ms);
            assert_eq!(room, text, "{ms}");
        }
    }

    #[test]
    fn each_dialect_has_its_own_names() {
        let state = BucketState { limit: 60, remaining: 59, reset_ms: 1_000 };
        let rates = Rates { requests: Some(state), tokens: None };
        let mut headers = HeaderMap::new();
        put_rates(&mut headers, DialectName::OpenaiChat, &rates, Timestamp::default);
        put_rates(&mut headers, DialectName::AnthropicMessages, &rates, Timestamp::default);
        let mut shown: Vec<_> =
            headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "anthropic-ratelimit-requests-limit: 60",
                "anthropic-ratelimit-requests-remaining: 59",
                "anthropic-ratelimit-requests-reset: 1970-01-01T00:00:01Z",
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-remaining-requests: 59",
                "x-ratelimit-reset-requests: 1s",
            ]
        );
    }
}
