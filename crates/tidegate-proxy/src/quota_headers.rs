//! What a provider says of a credential's quota in the head of its answers: of each limit how much there
//! is, how much is left of it, and when it is whole again.
//!
//! OpenAI's names (`x-ratelimit-remaining-requests`, times as `6m0s`; also Azure, Groq, Together and others):
//! its guide "Rate limits", section "Rate limits in headers". Anthropic's (`anthropic-ratelimit-requests-remaining`,
//! times in RFC 3339): its reference "Rate limits", section "Response headers".

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tidegate_policy::Quota;
use tidegate_types::Timestamp;
use tidegate_types::resource::DialectName;

/// Of one limit: how much is left, how much there is, when it is whole again.
type Names = [HeaderName; 3];

const OPENAI: [Names; 2] = [
    [
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
const ANTHROPIC: [Names; 4] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    ],
];

/// Less than this part of a limit is little.
const PLENTY: u64 = 5;
/// Where nobody says when a limit is whole again: most are by the minute.
const USUAL: Duration = Duration::from_secs(60);

/// What is left of a credential's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing is said of it.
    Silent,
    /// Enough for all of its share.
    Plenty,
    /// How much of its share it is to get, by its scarcest limit, and for how long.
    Little(Quota, Duration),
}

/// What the head of an answer says of it.
pub(crate) fn left(headers: &HeaderMap, dialect: DialectName, now: impl Fn() -> Timestamp) -> Left {
    let limits: &[Names] = match dialect {
        DialectName::AnthropicMessages => &ANTHROPIC,
        _ => &OPENAI,
    };
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let of_limit = |[remaining, limit, reset]: &Names| {
        let remaining: u64 = text(remaining)?.parse().ok()?;
        let limit = text(limit).and_then(|text| text.parse().ok());
        let wait = text(reset).and_then(|text| until(text, &now));
        Some((share(remaining, limit), wait.unwrap_or(USUAL)))
    };
    let scarcest =
        limits.iter().filter_map(of_limit).min_by_key(|(quota, wait)| (*quota, std::cmp::Reverse(*wait)));
    match scarcest {
        None => Left::Silent,
        Some((Quota::FULL, _)) => Left::Plenty,
        Some((quota, wait)) => Left::Little(quota, wait),
    }
}

/// All of it down to a fifth of the limit, then as much less as less is left.
fn share(remaining: u64, limit: Option<u64>) -> Quota {
    if remaining == 0 {
        return Quota::SPENT;
    }
    let Some(limit) = limit.filter(|limit| remaining < *limit / PLENTY) else { return Quota::FULL };
    let tenths = remaining.saturating_mul(10 * PLENTY).div_ceil(limit);
    Quota::of_tenths(u8::try_from(tenths).unwrap_or(u8::MAX)).max(Quota::of_tenths(1))
}

/// A span (`250ms`, `1.5s`, `6m0s`, `1h2m`), seconds, or a date.
fn until(text: &str, now: &impl Fn() -> Timestamp) -> Option<Duration> {
    if let Ok(date) = text.parse::<Timestamp>() {
        return Some(Duration::from_millis(u64::try_from(date.millis_since(now())).unwrap_or(0)));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?);
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn read(dialect: DialectName, headers: &[(&'static str, &str)]) -> Left {
        let entry = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let headers: HeaderMap = headers.iter().map(entry).collect();
        left(&headers, dialect, || NOW)
    }

    fn little(tenths: u8, ms: u64) -> Left {
        Left::Little(Quota::of_tenths(tenths), Duration::from_millis(ms))
    }

    #[test]
    fn spans_are_read_in_all_their_forms() {
        for (text, ms) in [
            ("0ms", Some(0)),
            ("12ms", Some(12)),
            ("1s", Some(1_000)),
            ("1.5s", Some(1_500)),
            ("6m0s", Some(360_000)),
            ("2m59.56s", Some(179_560)),
            ("1h2m", Some(3_720_000)),
            ("7", Some(7_000)),
            (&NOW.plus_millis(30_000).to_string(), Some(30_000)),
            (&NOW.plus_millis(-30_000).to_string(), Some(0)),
            ("", Some(0)),
            ("soon", None),
            ("5x", None),
            ("1", Some(1_000)),
            ("m", None),
            ("-3", None),
            ("1e400", None),
            ("9.9.9s", None),
        ] {
            assert_eq!(until(text, &|| NOW).map(|wait| wait.as_millis()), ms, "{text}");
        }
    }

    #[test]
    fn the_scarcest_limit_decides() {
        let openai = |remaining: &str, tokens: &str| {
            read(
                DialectName::OpenaiChat,
                &[
                    ("x-ratelimit-limit-requests", "100"),
                    ("x-ratelimit-remaining-requests", remaining),
                    ("x-ratelimit-reset-requests", "6s"),
                    ("x-ratelimit-limit-tokens", "1000"),
                    ("x-ratelimit-remaining-tokens", tokens),
                    ("x-ratelimit-reset-tokens", "1m0s"),
                ],
            )
        };
        assert_eq!(openai("99", "999"), Left::Plenty);
        assert_eq!(openai("20", "200"), Left::Plenty);
        assert_eq!(openai("19", "200"), Left::Plenty);
        assert_eq!(openai("10", "200"), little(5, 6_000));
        assert_eq!(openai("1", "999"), little(1, 6_000));
        assert_eq!(openai("99", "1"), little(1, 60_000));
        assert_eq!(openai("10", "0"), little(0, 60_000));
        assert_eq!(openai("0", "0"), little(0, 60_000), "the one that lasts longer");
        assert_eq!(openai("-1", "x"), Left::Silent);
    }

    #[test]
    fn anthropics_names_are_its_own_and_nothing_left_counts_without_a_limit() {
        let reset = NOW.plus_millis(45_000).to_string();
        let headers = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", &*reset),
        ];
        assert_eq!(read(DialectName::AnthropicMessages, &headers), little(0, 45_000));
        assert_eq!(read(DialectName::OpenaiChat, &headers), Left::Silent);
        let bare = [("x-ratelimit-remaining-requests", "0")];
        assert_eq!(read(DialectName::OpenaiChat, &bare), little(0, 60_000));
        assert_eq!(read(DialectName::OpenaiChat, &[("x-ratelimit-remaining-requests", "1")]), Left::Plenty);
    }
}
