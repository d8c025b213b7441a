//! Answers and refusals as HTTP responses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use tidegate_dialect::stream::stream_content_type;
use tidegate_types::usage::CallOutcome;

use crate::account::{Account, Arrival};
use crate::body::AnswerBody;
use crate::cache;
use crate::connection::Underway;
use crate::face::Manner;
use crate::failover::{Answer, Content};
use crate::gateway::Gateway;
use crate::headers::{self, JSON, NO_CACHE, put_by, put_cost, put_durations, put_id, put_limits, put_rates};
use crate::job;
use crate::known_limits::KnownLimits;
use crate::refusal::{Refusal, Refused, Voice, render};
use crate::relay::Relay;

/// The answer of a provider.
pub(crate) fn answered(
    gateway: &Arc<Gateway>,
    account: &Arc<Account>,
    answer: Answer,
    underway: Underway,
) -> Response<AnswerBody> {
    let streams = !matches!(answer.content, Content::Whole(_));
    if gateway.is_crowded() {
        underway.gather();
    }
    let (body, content_type) = match answer.content {
        Content::Whole(payload) => {
            account.note_outcome(200, CallOutcome::Answered);
            let content_type = headers::content_type(&payload.content_type).unwrap_or(JSON);
            (AnswerBody::whole(payload.bytes, underway), content_type)
        }
        Content::Job(beginning, view) => {
            let content_type = HeaderValue::from_static("text/event-stream");
            (AnswerBody::fed(job::watch(gateway, account, view, beginning), underway), content_type)
        }
        Content::Stream(live) => {
            let content_type = HeaderValue::from_static(stream_content_type(account.dialect()));
            (AnswerBody::relay(Box::new(Relay::new(live)), underway), content_type)
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(12);
    headers.insert(header::CONTENT_TYPE, content_type);
    if streams {
        headers.insert(header::CACHE_CONTROL, NO_CACHE);
    }
    put_id(headers, account.dialect(), account.arrival.call_id);
    let (rates, known) = account.rates();
    put_rates(headers, account.dialect(), &rates, || gateway.now());
    put_limits(headers, account.dialect(), known);
    if account.cost_in_header && !streams {
        put_cost(headers, account.spent().cost);
    }
    put_times(headers, account, !streams);
    put_by(headers, &answer.by);
    cache::put(headers, answer.cache);
    response
}

/// A refusal of a call.
pub(crate) fn refused(
    gateway: &Gateway,
    account: &Arc<Account>,
    refusal: &Refusal,
    underway: Underway,
) -> Response<AnswerBody> {
    account.note_refusal(refusal);
    let mut response = render(refusal, account.voice(), account.arrival.call_id, gateway.now());
    let (rates, known) = account.rates();
    if refusal.rates.is_none() {
        put_rates(response.headers_mut(), account.dialect(), &rates, || gateway.now());
    }
    put_limits(response.headers_mut(), account.dialect(), known);
    put_times(response.headers_mut(), account, false);
    response.map(|bytes| AnswerBody::whole(bytes, underway))
}

/// How long it took, where clients look for it. The overhead of a stream is not known before its end.
fn put_times(headers: &mut HeaderMap, account: &Account, whole: bool) {
    if account.manner == Manner::Mlflow {
        let took = account.arrival.clock.elapsed();
        let waited = Duration::from_millis(account.spent().waited_ms);
        let overhead = whole.then(|| took.saturating_sub(waited));
        put_durations(headers, took, overhead);
    }
}

/// An answer of the gateway itself. `known`: the limits of whoever asked, none of strangers.
pub(crate) fn small(
    gateway: &Gateway,
    arrival: Arrival,
    voice: Voice,
    underway: Underway,
    found: Result<Response<Bytes>, Refused>,
    known: KnownLimits,
) -> Response<AnswerBody> {
    let mut response = match found {
        Ok(mut response) => {
            put_id(response.headers_mut(), voice.dialect, arrival.call_id);
            response
        }
        Err(refusal) => render(&refusal, voice, arrival.call_id, gateway.now()),
    };
    put_limits(response.headers_mut(), voice.dialect, known);
    gateway.meters.answered(None, response.status().as_u16(), arrival.clock.elapsed());
    response.map(|bytes| AnswerBody::whole(bytes, underway))
}
