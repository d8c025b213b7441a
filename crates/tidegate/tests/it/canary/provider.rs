//! A provider that repeats what it is told: in answers, streams and errors, of every kind of model.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::canary;

/// Bodies of requests, as they came.
pub(super) type Asked = Arc<Mutex<Vec<Vec<u8>>>>;

pub(super) async fn echo() -> (String, Asked) {
    let asked = Asked::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

async fn answer(State(asked): State<Asked>, uri: Uri, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    asked.lock().unwrap().push(body.to_vec());
    if let Some(status) = ["400", "401", "429", "500"].iter().find(|s| text.contains(&format!("fail-{s}"))) {
        let message = format!("{} could not do: {text}", canary("error"));
        let error = json!({"error": {"message": message, "type": "invalid_request_error", "param": canary("error"), "code": null}});
        let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
        return (status, JSON, error.to_string()).into_response();
    }
    if text.contains("hang ") {
        std::future::pending::<()>().await;
    }
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18});
    let whole = match uri.path() {
        "/v1/embeddings" => json!({"object": "list", "model": canary("answer"), "usage": usage,
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]}),
        "/v1/images/generations" => {
            json!({"created": 1, "data": [{"b64_json": STANDARD_NO_PAD.encode(canary("answer")), "revised_prompt": text}]})
        }
        "/v1/audio/transcriptions" => {
            json!({"text": canary("answer"), "duration": 3.0, "usage": {"type": "duration", "seconds": 3}})
        }
        "/v1/audio/speech" => {
            return ([(header::CONTENT_TYPE, "audio/mpeg")], canary("answer")).into_response();
        }
        _ => return chat(&text, &serde_json::from_slice(&body).unwrap_or_default(), &usage),
    };
    (JSON, whole.to_string()).into_response()
}

fn chat(text: &str, request: &Value, usage: &Value) -> Response {
    if request["stream"] == true {
        let chunk = |text: &str| {
            let choice = json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]);
            format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "choices": choice}))
        };
        let mut body = chunk(&canary("chunk"));
        if text.contains("linger ") {
            let first = futures_util::stream::once(std::future::ready(Ok::<_, std::io::Error>(body)));
            let body = Body::from_stream(first.chain(futures_util::stream::pending()));
            return ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
        }
        if !text.contains("break-off") {
            let end = json!({"id": "c", "object": "chat.completion.chunk", "usage": usage,
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            body = format!("{body}data: {end}\n\ndata: [DONE]\n\n");
        }
        return ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
    }
    let message =
        json!({"role": "assistant", "content": canary("answer"), "reasoning_content": canary("chunk")});
    let choice = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    let whole = json!({"id": "c", "object": "chat.completion", "choices": choice, "usage": usage});
    (JSON, whole.to_string()).into_response()
}
