//! Connections and endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::ResetFlag;
use crate::dialect::Dialect;
use crate::job_call::job_call;
use crate::model_call::model_call;
use crate::reply::{Answer, Hangup, json_answer, plain_answer};
use crate::script::Script;
use crate::state::State;
use crate::task_call::task_call;
use crate::{bedrock, gemini, openai, tasks};

const MAX_BODY: usize = 64 << 20;

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
        (Method::POST, "/prices") => match serde_json::from_slice(&body) {
            Ok(prices) => {
                state.set_prices(prices);
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
        (Method::POST, path) if tasks::find(path).is_some() => {
            let address = head.uri.path_and_query().map_or(path, |address| address.as_str());
            task_call(state, (path, address), &head.headers, &body, reset).await
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
        (method, path) if tasks::video::query(&method, path, &body).is_some() => {
            let query = tasks::video::query(&method, path, &body).ok_or(Hangup)?;
            Ok(job_call(state, &query, &head.headers))
        }
        _ => Ok(plain_answer(404, json!({"error": {"message": "not found"}}).to_string().into_bytes())),
    }
}
