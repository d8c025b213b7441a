//! A call of a language model: checked, answered in its dialect, put on the bill.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, Response, header};
use http_body_util::Either;
use serde_json::Value;

use crate::ask::{Ask, Invalid};
use crate::complete::complete;
use crate::delivery::{Charge, Delivery, ResetFlag};
use crate::dialect::Dialect;
use crate::reply::{Answer, Hangup, add_headers, plain_answer, presented_key};
use crate::script::{Call, Ending, Faults};
use crate::state::{Received, State};
use crate::{anthropic, bedrock, cohere, gemini, openai, responses};

pub(crate) async fn model_call(
    state: &Arc<State>,
    dialect: Dialect,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
    reset: ResetFlag,
) -> Result<Answer, Hangup> {
    let number = state.next_call();
    let parsed: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let call_id = headers.get("x-client-request-id").and_then(|id| id.to_str().ok());
    let call_id = call_id.map_or_else(|| format!("sim-{number}"), str::to_owned);
    state.remember(Received {
        call_id: call_id.clone(),
        provider: dialect.provider(),
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect(),
        body: parsed.clone(),
    });
    if let Err(invalid) = sign_in(state, dialect, path, headers, body) {
        return Ok(dialect.refusal(&invalid));
    }
    if dialect == Dialect::Anthropic && !headers.contains_key("anthropic-version") {
        let invalid = Invalid::new("anthropic-version: header is required", "anthropic-version");
        return Ok(plain_answer(invalid.status, dialect.error_body(&invalid)));
    }
    let ask = match dialect.read(path, &parsed) {
        Ok(ask) => ask,
        Err(invalid) => return Ok(dialect.refusal(&invalid)),
    };
    let call = Call {
        provider: dialect.provider(),
        model: &ask.model,
        last_text: &ask.last_text,
        stream: ask.stream,
        key: presented_key(headers),
    };
    let faults = state.decide(&call);
    if let Some(status) = faults.status {
        tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
        return Ok(scripted_error(dialect, status, &faults));
    }
    if dialect == Dialect::Anthropic && anthropic::counts(path) {
        return Ok(plain_answer(200, anthropic::counted(&complete(&ask, &faults, |_| false))));
    }
    if dialect == Dialect::Gemini && gemini::counts(path) {
        return Ok(plain_answer(200, gemini::counted(&complete(&ask, &faults, |_| false))));
    }
    deliver(state, dialect, &ask, &faults, call_id, number, reset).await
}

fn sign_in(
    state: &State,
    dialect: Dialect,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Invalid> {
    if dialect == Dialect::Bedrock {
        return bedrock::sign_in(path, headers, body, |key| state.accepts(key));
    }
    if dialect == Dialect::Gemini {
        return gemini::sign_in(path, headers, |key| state.accepts(key));
    }
    if state.accepts(presented_key(headers)) {
        return Ok(());
    }
    let message = "Incorrect API key provided.".to_owned();
    Err(Invalid { status: 401, message, param: None, code: Some("invalid_api_key") })
}

fn scripted_error(dialect: Dialect, status: u16, faults: &Faults) -> Answer {
    let message = format!("Scripted error {status}.");
    let invalid = Invalid { status, message, param: None, code: None };
    let mut answer = dialect.refusal(&invalid);
    add_headers(&mut answer, faults);
    answer
}

async fn deliver(
    state: &Arc<State>,
    dialect: Dialect,
    ask: &Ask,
    faults: &Faults,
    call_id: String,
    number: u64,
    reset: ResetFlag,
) -> Result<Answer, Hangup> {
    let completion = complete(ask, faults, |prefix| state.cache(prefix));
    let writes = match (dialect, ask.stream) {
        (Dialect::Openai, false) => vec![openai::plain(ask, &completion, faults, number)],
        (Dialect::Openai, true) => openai::stream(ask, &completion, faults, number),
        (Dialect::Responses, false) => vec![responses::plain(ask, &completion, faults, number)],
        (Dialect::Responses, true) => responses::stream(ask, &completion, faults, number),
        (Dialect::Anthropic, false) => vec![anthropic::plain(ask, &completion, faults, number)],
        (Dialect::Anthropic, true) => anthropic::stream(ask, &completion, faults, number),
        (Dialect::Gemini, false) => vec![gemini::plain(ask, &completion, faults, number)],
        (Dialect::Gemini, true) => gemini::stream(ask, &completion, faults, number),
        (Dialect::Bedrock, false) => vec![bedrock::plain(ask, &completion, faults, number)],
        (Dialect::Bedrock, true) => bedrock::stream(ask, &completion, faults, number),
        (Dialect::Cohere, false) => vec![cohere::plain(ask, &completion, faults, number)],
        (Dialect::Cohere, true) => cohere::stream(ask, &completion, faults, number),
    };
    let charge = Charge {
        state: state.clone(),
        call_id,
        provider: dialect.provider(),
        model: ask.model.clone(),
        counts: completion.counts,
        bill_after_abort: faults.bill_after_abort,
        writes: writes.len(),
        sent: 0,
        completed: false,
    };
    // From here on the work is done and billed, whether the caller waits for it or not.
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    let delivery = Delivery::new(writes, faults, dialect.error_event(), reset.clone(), charge);
    if faults.cut_after_bytes == Some(0) {
        if faults.ending == Ending::Stall {
            std::future::pending::<()>().await;
        }
        reset.store(faults.ending == Ending::Reset, Ordering::Release);
        return Err(Hangup);
    }
    let length = (!ask.stream && !delivery.is_broken()).then(|| delivery.length());
    let mut answer = Response::new(Either::Right(delivery));
    let kind = match (dialect, ask.stream) {
        (_, false) => "application/json",
        (Dialect::Bedrock, true) => "application/vnd.amazon.eventstream",
        (_, true) => "text/event-stream; charset=utf-8",
    };
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if let Some(length) = length {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    let name = if dialect == Dialect::Anthropic { "request-id" } else { "x-request-id" };
    if let Ok(value) = header::HeaderValue::from_str(&format!("req_sim_{number:016x}")) {
        answer.headers_mut().insert(name, value);
    }
    add_headers(&mut answer, faults);
    Ok(answer)
}
