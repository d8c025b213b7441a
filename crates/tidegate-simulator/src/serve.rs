//! Connections and endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ask::{Ask, Invalid};
use crate::complete::complete;
use crate::delivery::{Charge, Delivery, ResetFlag, whole};
use crate::script::{Call, Ending, Faults, Script};
use crate::state::{Received, State};
use crate::{anthropic, bedrock, cohere, gemini, openai, responses, tasks};

type Answer = Response<Either<Full<Bytes>, Delivery>>;

const MAX_BODY: usize = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Openai,
    Responses,
    Anthropic,
    Gemini,
    Bedrock,
    Cohere,
}

impl Dialect {
    const fn provider(self) -> &'static str {
        match self {
            Self::Openai | Self::Responses => "sim-openai",
            Self::Anthropic => "sim-anthropic",
            Self::Gemini => "sim-gemini",
            Self::Bedrock => "sim-bedrock",
            Self::Cohere => "sim-cohere",
        }
    }

    fn read(self, address: &str, body: &Value) -> Result<Ask, Invalid> {
        match self {
            Self::Openai => openai::read(body),
            Self::Responses => responses::read(body),
            Self::Anthropic if anthropic::counts(address) => anthropic::read_to_count(body),
            Self::Anthropic => anthropic::read(body),
            Self::Gemini => gemini::read(address, body),
            Self::Bedrock => bedrock::read(address, body),
            Self::Cohere => cohere::read(body),
        }
    }

    fn error_body(self, invalid: &Invalid) -> Vec<u8> {
        match self {
            Self::Openai | Self::Responses => openai::error_body(invalid),
            Self::Anthropic => anthropic::error_body(invalid),
            Self::Gemini => gemini::error_body(invalid),
            Self::Bedrock => bedrock::error_body(invalid),
            Self::Cohere => cohere::error_body(invalid),
        }
    }

    fn error_event(self) -> Vec<u8> {
        match self {
            Self::Openai => openai::error_event(),
            Self::Responses => responses::error_event(),
            Self::Anthropic => anthropic::error_event(),
            Self::Gemini => gemini::error_event(),
            Self::Bedrock => bedrock::error_event(),
            Self::Cohere => cohere::error_event(),
        }
    }
}

impl Dialect {
    /// The answer to a request that is not taken.
    fn refusal(self, invalid: &Invalid) -> Answer {
        let mut answer = plain_answer(invalid.status, self.error_body(invalid));
        if self == Self::Bedrock {
            let kind = header::HeaderValue::from_static(bedrock::error_type(invalid));
            answer.headers_mut().insert("x-amzn-errortype", kind);
        }
        answer
    }
}

/// Accepts connections until told to stop.
pub(crate) async fn accept(
    listener: TcpListener,
    state: Arc<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (state, stop) = (state.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(stream, state) => {}
            }
        });
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    // Without this, small chunks wait 40 ms for the other side's acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let reset: ResetFlag = Arc::new(AtomicBool::new(false));
    let flag = reset.clone();
    let service = service_fn(move |request| {
        let (state, flag) = (state.clone(), flag.clone());
        async move { answer(&state, request, flag).await }
    });
    let mut io = TokioIo::new(stream);
    // A broken-off connection is an error here, and wanted.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(&mut io, service).await;
    if reset.load(Ordering::Acquire) {
        let _ = io.inner().set_zero_linger();
    }
}

/// The connection ends before the head of an answer.
#[derive(Debug, thiserror::Error)]
#[error("broken off by script")]
struct Hangup;

async fn answer(state: &Arc<State>, request: Request<Incoming>, reset: ResetFlag) -> Result<Answer, Hangup> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else { return Err(Hangup) };
    let body = body.to_bytes();
    let path = head.uri.path().trim_end_matches('/');
    match (head.method.clone(), path) {
        (Method::GET, "/bill") => Ok(json_answer(&json!(state.bill()))),
        (Method::GET, "/journal") => Ok(json_answer(&json!(state.journal()))),
        (Method::POST, "/reset") => {
            state.reset();
            Ok(json_answer(&json!({"ok": true})))
        }
        (Method::POST, "/script") => match serde_json::from_slice::<Script>(&body) {
            Ok(script) => {
                state.set_script(script);
                Ok(json_answer(&json!({"ok": true})))
            }
            Err(error) => Ok(plain_answer(400, json!({"error": error.to_string()}).to_string().into_bytes())),
        },
        (Method::GET, "/openai/v1/models") => Ok(plain_answer(200, openai::models(&state.models()))),
        (Method::POST, "/openai/v1/chat/completions") => {
            model_call(state, Dialect::Openai, path, &head.headers, &body, reset).await
        }
        (Method::POST, "/openai/v1/responses") => {
            model_call(state, Dialect::Responses, path, &head.headers, &body, reset).await
        }
        (Method::POST, "/anthropic/v1/messages" | "/anthropic/v1/messages/count_tokens") => {
            model_call(state, Dialect::Anthropic, path, &head.headers, &body, reset).await
        }
        (Method::POST, path) if gemini::Route::read(path).is_some() => {
            let address = head.uri.path_and_query().map_or(path, |address| address.as_str());
            model_call(state, Dialect::Gemini, address, &head.headers, &body, reset).await
        }
        (Method::POST, path) if bedrock::route(path).is_some() => {
            let address = head.uri.path_and_query().map_or(path, |address| address.as_str());
            model_call(state, Dialect::Bedrock, address, &head.headers, &body, reset).await
        }
        (Method::POST, "/cohere/v2/chat") => {
            model_call(state, Dialect::Cohere, path, &head.headers, &body, reset).await
        }
        (Method::POST, path) if tasks::find(path).is_some() => {
            task_call(state, path, &head.headers, &body, reset).await
        }
        _ => Ok(plain_answer(404, json!({"error": {"message": "not found"}}).to_string().into_bytes())),
    }
}

/// A call of something else than a language model.
async fn task_call(
    state: &Arc<State>,
    path: &str,
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
    let key = if house == tasks::House::Gemini { header("x-goog-api-key") } else { presented_key(headers) };
    if !state.accepts(key) {
        let message = "Incorrect API key provided.".to_owned();
        let invalid = Invalid { status: 401, message, param: None, code: Some("invalid_api_key") };
        return Ok(plain_answer(401, house.error_body(&invalid)));
    }
    let received = tasks::Received { path, content_type: header("content-type"), body };
    let made = match answered(&received) {
        Ok(made) => made,
        Err(invalid) => return Ok(plain_answer(invalid.status, house.error_body(&invalid))),
    };
    let call =
        Call { provider: house.provider(), model: &made.model, last_text: &made.last_text, stream: false };
    let faults = state.decide(&call);
    tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    if let Some(status) = faults.status {
        let message = format!("Scripted error {status}.");
        let invalid = Invalid { status, message, param: None, code: None };
        let mut answer = plain_answer(status, house.error_body(&invalid));
        add_headers(&mut answer, &faults);
        return Ok(answer);
    }
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
    add_headers(&mut answer, &faults);
    Ok(answer)
}

fn json_answer(value: &Value) -> Answer {
    plain_answer(200, value.to_string().into_bytes())
}

fn plain_answer(status: u16, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Either::Left(whole(body)));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn presented_key(headers: &HeaderMap) -> &str {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let plain = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    bearer.and_then(|value| value.strip_prefix("Bearer ")).or(plain).unwrap_or("")
}

async fn model_call(
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

fn add_headers(answer: &mut Answer, faults: &Faults) {
    for (name, value) in &faults.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            answer.headers_mut().insert(name, value);
        }
    }
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
