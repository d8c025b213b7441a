//! A call of something else than a language model: checked, answered, put on the bill.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response, header};
use http_body_util::Either;
use serde_json::Value;

use crate::ask::Invalid;
use crate::bedrock;
use crate::delivery::{Charge, Delivery, ResetFlag};
use crate::dialect::Dialect;
use crate::reply::{Answer, Hangup, add_headers, plain_answer, presented_key};
use crate::script::Call;
use crate::state::{Received, State};
use crate::tasks::{self, House};

/// A call of something else than a language model.
pub(crate) async fn task_call(
    state: &Arc<State>,
    (path, address): (&str, &str),
    headers: &HeaderMap,
    body: &[u8],
    reset: ResetFlag,
) -> Result<Answer, Hangup> {
    let Some((house, answered)) = tasks::find(path) else { return Err(Hangup) };
    let call_id = headers.get("x-client-request-id").and_then(|id| id.to_str().ok());
    let call_id = call_id.map_or_else(|| format!("sim-{}", state.next_call()), str::to_owned);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    state.remember(Received {
        call_id: call_id.clone(),
        provider: house.provider(),
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect(),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
    });
    if let Err(invalid) = sign_in(state, house, address, headers, body) {
        return Ok(refusal(house, &invalid));
    }
    let received =
        tasks::Received { path, content_type: header("content-type"), body, number: state.next_call() };
    let made = match answered(&received) {
        Ok(made) => made,
        Err(invalid) => return Ok(refusal(house, &invalid)),
    };
    let call = Call {
        provider: house.provider(),
        model: &made.model,
        last_text: &made.last_text,
        stream: false,
        key: presented_key(headers),
    };
    let faults = state.decide(&call);
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    if let Some(status) = faults.status {
        let message = format!("Scripted error {status}.");
        let invalid = Invalid { status, message, param: None, code: None };
        let mut answer = refusal(house, &invalid);
        add_headers(&mut answer, &faults);
        return Ok(answer);
    }
    if let Some(job) = made.job {
        state.begin_job(job);
    }
    let counted = (house == House::Bedrock).then_some(made.counts.input);
    let charge = Charge {
        state: state.clone(),
        call_id,
        provider: house.provider(),
        model: made.model,
        counts: made.counts,
        bill_after_abort: faults.bill_after_abort,
        writes: 1,
        sent: 0,
        completed: false,
    };
    let delivery = Delivery::new(vec![made.body], &faults, Vec::new(), reset, charge);
    let length = (!delivery.is_broken()).then(|| delivery.length());
    let mut answer = Response::new(Either::Right(delivery));
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(made.content_type));
    if let Some(length) = length {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    if let Some(tokens) = counted {
        answer.headers_mut().insert("x-amzn-bedrock-input-token-count", tokens.into());
    }
    add_headers(&mut answer, &faults);
    Ok(answer)
}

/// The answer to a request that is not taken.
fn refusal(house: House, invalid: &Invalid) -> Answer {
    match house {
        House::Bedrock => Dialect::Bedrock.refusal(invalid),
        _ => plain_answer(invalid.status, house.error_body(invalid)),
    }
}

fn sign_in(
    state: &State,
    house: House,
    address: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Invalid> {
    let key = match house {
        House::Bedrock => return bedrock::sign_in(address, headers, body, |key| state.accepts(key)),
        House::Gemini => {
            let key = headers.get("x-goog-api-key").and_then(|value| value.to_str().ok());
            // Vertex AI takes tokens of an account, too.
            key.unwrap_or_else(|| {
                if address.contains("/publishers/google/") { presented_key(headers) } else { "" }
            })
        }
        House::Openai | House::Cohere => presented_key(headers),
    };
    if state.accepts(key) {
        return Ok(());
    }
    let message = "Incorrect API key provided.".to_owned();
    Err(Invalid { status: 401, message, param: None, code: Some("invalid_api_key") })
}
