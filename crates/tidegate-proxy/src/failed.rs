//! An attempt that failed: may another one follow, and what is the caller told if none does.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header, response};
use tidegate_dialect::refusal::{self, UpstreamError};
use tidegate_dialect::{AnswerFault, Dialect, RequestError};
use tidegate_types::Timestamp;
use tidegate_types::usage::RefusalCause;
use tidegate_upstream::{SendError, SignInError};

use crate::edges::JournalFull;
use crate::refusal::{Refusal, Refused};

/// Why an attempt gave no answer. It is settled already.
pub(crate) enum Failed {
    /// Nothing reached the provider.
    NotSent(SendError),
    /// The connection broke after sending.
    Broken(SendError),
    /// No first event in time.
    TimedOut,
    /// A complete error answer.
    Status(Box<ErrorAnswer>),
    /// An error as the first event of a stream.
    Reported(UpstreamError),
    /// Not an answer.
    Fault(AnswerFault),
    /// The candidate's dialect cannot carry the request.
    Untranslatable(RequestError),
    /// The credential cannot be opened on this node.
    NoSecret,
    /// The request could not be signed.
    SignIn(SignInError),
    /// The provider's base URL is not one, lacks a field of the credential, or has no such operation.
    NoEndpoint,
    /// What was known of how the provider handles data has expired since the call was planned.
    NotVouched,
    /// The intent could not be written.
    Journal,
    /// The budget counters that hold its money were given up before it was sent.
    Burnt,
    /// The gateway stops.
    Stopping,
}

/// A provider's error answer.
pub(crate) struct ErrorAnswer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// In the dialect of the provider.
    body: Bytes,
    dialect: Dialect,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) | Self::Broken(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("no first event in time"),
            Self::Status(answer) => write!(f, "status {}", answer.status),
            Self::Reported(_) => f.write_str("an error as first event"),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Untranslatable(error) => write!(f, "{error}"),
            Self::NoSecret => f.write_str("the credential cannot be opened"),
            Self::SignIn(error) => write!(f, "{error}"),
            Self::NoEndpoint => f.write_str("the base URL cannot be called"),
            Self::NotVouched => f.write_str("the facts of its data handling or place have expired"),
            Self::Journal => f.write_str("the journal is full"),
            Self::Burnt => f.write_str("the budget counters start anew"),
            Self::Stopping => f.write_str("the node stops"),
        }
    }
}

impl From<JournalFull> for Failed {
    fn from(_: JournalFull) -> Self {
        Self::Journal
    }
}

/// Where a further attempt may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nowhere: the request itself is at fault, or nothing can be served.
    Nowhere,
    /// To a candidate of another model only: this one cannot take the request.
    OtherModel,
    /// To another candidate only.
    Another,
    /// To another candidate, or to the same again.
    Any,
}

impl Failed {
    /// A complete error answer.
    pub(crate) fn status(head: &response::Parts, body: Bytes, dialect: Dialect) -> Self {
        let retry_after = retry_after(&head.headers);
        Self::Status(Box::new(ErrorAnswer { status: head.status.as_u16(), retry_after, body, dialect }))
    }

    pub(crate) fn next(&self) -> Next {
        match self {
            Self::NotSent(SendError::Forbidden) | Self::NoSecret | Self::SignIn(_) | Self::NoEndpoint => {
                Next::Another
            }
            Self::NotVouched
            | Self::Untranslatable(_)
            | Self::Broken(_)
            | Self::TimedOut
            | Self::Fault(_) => Next::Another,
            Self::NotSent(_) | Self::Reported(_) => Next::Any,
            Self::Status(answer) => match answer.status {
                401 | 402 | 403 | 429 | 300..=399 => Next::Another,
                408 | 409 | 500..=599 => Next::Any,
                _ => Next::OtherModel,
            },
            Self::Journal | Self::Burnt | Self::Stopping => Next::Nowhere,
        }
    }

    /// Whether it is the provider's fault, whoever calls it. Time-outs are, unless a route made
    /// them short (`own_time`); what is said of a credential is not.
    pub(crate) fn is_providers_fault(&self, own_time: bool) -> bool {
        match self {
            Self::NotSent(error) => !matches!(error, SendError::Forbidden),
            Self::Broken(_) | Self::Reported(_) | Self::Fault(_) => true,
            Self::TimedOut => !own_time,
            Self::Status(answer) => matches!(answer.status, 408 | 500..=599),
            _ => false,
        }
    }

    /// Whether the provider itself said so: then it holds for every node.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self, Self::Status(_))
    }

    /// Whether anything came of the provider; where nothing did, it may be this node's network.
    pub(crate) fn is_heard(&self) -> bool {
        !matches!(self, Self::NotSent(_) | Self::TimedOut)
    }

    /// For how long the candidate should be left alone.
    pub(crate) fn cool_down(&self) -> Option<Duration> {
        match self {
            Self::NotSent(_) => Some(Duration::from_secs(2)),
            Self::TimedOut => Some(Duration::from_secs(5)),
            Self::NoSecret | Self::NoEndpoint => Some(Duration::from_secs(10)),
            Self::SignIn(error) if error.is_passing() => Some(Duration::from_secs(2)),
            Self::SignIn(_) => Some(Duration::from_secs(30)),
            Self::Status(answer) => match answer.status {
                401..=403 => Some(Duration::from_secs(30)),
                429 => Some(answer.retry_after.unwrap_or(Duration::from_secs(5))),
                _ => answer.retry_after,
            },
            _ => None,
        }
    }

    /// What the caller is told when no further attempt follows.
    pub(crate) fn into_refusal(self, surface: Dialect) -> Refused {
        let upstream = |message| Refusal::new(RefusalCause::UpstreamFailed, message);
        match self {
            Self::NotSent(SendError::Forbidden) => {
                upstream("the provider's address may not be called").status(502)
            }
            Self::NotSent(_) => upstream("the provider could not be reached").status(502),
            Self::Broken(_) => {
                upstream("the provider's connection broke before a complete answer").status(502)
            }
            Self::TimedOut => Refusal::new(RefusalCause::Timeout, "the provider did not answer in time"),
            Self::Fault(_) => upstream("the provider's answer cannot be read").status(502),
            Self::Reported(error) => reported(&error),
            Self::Status(answer) => passed_on(*answer, surface),
            Self::Untranslatable(error) => error.into(),
            Self::NoSecret => {
                let message = "the provider's credential cannot be opened on this node";
                Refusal::new(RefusalCause::Unavailable, message).retry_after(2_000)
            }
            Self::SignIn(error) if error.is_passing() => {
                upstream("the provider's sign-in service gave no access token").status(502)
            }
            Self::SignIn(_) => upstream("the provider refused the credential that it was given").status(502),
            Self::NoEndpoint => upstream("the provider's base URL cannot be called").status(502),
            Self::NotVouched => {
                let message = "what is known of how or where the provider handles data has expired meanwhile";
                Refusal::new(RefusalCause::NoProvider, message)
            }
            Self::Journal => JournalFull.into(),
            Self::Burnt => Refusal::away(),
            Self::Stopping => stopping(),
        }
    }
}

/// The gateway stops before the answer is there.
pub(crate) fn stopping() -> Refused {
    Refusal::new(RefusalCause::Unavailable, "this node is stopping; try again")
        .code("stopping")
        .retry_after(1_000)
}

fn reported(error: &UpstreamError) -> Refused {
    let overloaded = error.kind.as_deref().is_some_and(|kind| kind.contains("overloaded"));
    let message = match error.message.expose() {
        "" => "the provider reported an error".to_owned(),
        text => text.to_owned(),
    };
    Refusal::new(RefusalCause::UpstreamFailed, message).status(if overloaded { 503 } else { 502 })
}

/// The provider's error. Its words about our sign-in are not the caller's business.
fn passed_on(answer: ErrorAnswer, surface: Dialect) -> Refused {
    let refused = |message: String| Refusal::new(RefusalCause::UpstreamFailed, message);
    let status = match answer.status {
        401..=403 => {
            return refused("the provider refused the credential that it was given".to_owned()).status(502);
        }
        status @ 400..=599 => status,
        _ => return refused("the provider's answer is not one that can be passed on".to_owned()).status(502),
    };
    let error = refusal::read(&answer.body);
    let message = match error.message.expose() {
        "" => format!("the provider answered with status {status}"),
        text => text.to_owned(),
    };
    let mut refusal = refused(message).status(status);
    refusal.retry_after_ms =
        answer.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let readable = !error.message.is_empty() || error.kind.is_some();
    refusal.passed_on = (answer.dialect == surface && readable).then_some(answer.body);
    refusal
}

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(ms) = text(&RETRY_AFTER_MS).and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(ms));
    }
    let after = text(&header::RETRY_AFTER)?;
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date is compared with the provider's own clock.
    let date = |text: &str| {
        jiff::fmt::rfc2822::parse(text).ok().map(|at| Timestamp::from_millis(at.timestamp().as_millisecond()))
    };
    let wait = date(after)?.millis_since(date(text(&header::DATE)?)?);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wait(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers =
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            wait(&[("retry-after-ms", "250"), ("retry-after", "7")]),
            Some(Duration::from_millis(250))
        );
        let dates =
            [("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), ("date", "Wed, 21 Oct 2026 07:28:00 GMT")];
        assert_eq!(wait(&dates), Some(Duration::from_secs(30)));
        for odd in ["", "-1", "soon", "1e9", "99999999999999999999999"] {
            assert_eq!(wait(&[("retry-after", odd)]), None, "{odd}");
        }
    }
}
