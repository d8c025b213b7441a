//! Searches of the web that providers run: refused where they have no price, charged as they are billed.

use serde_json::{Value, json};

use crate::stage::{Stage, strict};
use crate::world::MODEL;

/// A request with a provider's own search, to a model by its family: its path, its body, whether it streams.
fn ask(model: &str, stream: bool) -> (String, Value) {
    let said = json!([{"role": "user", "content": "Which tides are there today?"}]);
    let parts = json!([{"text": "Which tides are there today?"}]);
    match model.split_once('/').unwrap() {
        ("google", bare) => {
            let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let body =
                json!({"contents": [{"role": "user", "parts": parts}], "tools": [{"google_search": {}}]});
            (format!("/v1beta/models/google%2F{bare}:{method}"), body)
        }
        ("amazon", bare) => {
            let method = if stream { "converse-stream" } else { "converse" };
            let body = json!({"messages": [{"role": "user", "content": parts}],
                "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}});
            (format!("/model/amazon%2F{bare}/{method}"), body)
        }
        ("anthropic", _) => {
            let tool = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 5});
            let body = json!({"model": model, "messages": said, "max_tokens": 200, "stream": stream, "tools": [tool]});
            ("/v1/messages".to_owned(), body)
        }
        (_, "seek-responses") => {
            let body =
                json!({"model": model, "input": said, "stream": stream, "tools": [{"type": "web_search"}]});
            ("/v1/responses".to_owned(), body)
        }
        _ => {
            let body = json!({"model": model, "messages": said, "stream": stream, "web_search_options": {}});
            ("/v1/chat/completions".to_owned(), body)
        }
    }
}

#[tokio::test]
async fn every_search_is_charged_as_it_is_billed() {
    let stage = Stage::start().await;
    let models = [
        ("openai/seek", 1),
        ("openai/seek-responses", 2),
        ("anthropic/seek", 2),
        ("google/seek", 2),
        ("google/seek-2", 1),
        ("amazon/seek", 2),
    ];
    for (at, (model, searches)) in models.into_iter().enumerate() {
        for (again, stream) in [false, true].into_iter().enumerate() {
            let (path, body) = ask(model, stream);
            let answer = stage.post(&path).json(&body).send().await.unwrap();
            let status = answer.status().as_u16();
            let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
            assert_eq!(status, 200, "{model}: {text}");
            stage.world.recorded(2 * at + again + 1).await;
            let last = stage.world.finals().last().unwrap().clone();
            assert_eq!(last.usage.searches, searches, "{model} stream={stream}: {text}");
        }
    }
    stage.assert_books_match(12).await;
}

#[tokio::test]
async fn a_search_without_a_price_is_refused_on_every_surface() {
    let stage = Stage::start().await;
    let bare = MODEL.replace('/', "%2F");
    let of = |like: &str| ask(like, false).1;
    let with_model = |mut body: Value| {
        body["model"] = json!(MODEL);
        body
    };
    for (path, body) in [
        ("/v1/chat/completions".to_owned(), with_model(of("openai/seek"))),
        ("/v1/responses".to_owned(), with_model(of("openai/seek-responses"))),
        ("/v1/messages".to_owned(), with_model(of("anthropic/seek"))),
        (format!("/v1beta/models/{bare}:generateContent"), of("google/seek")),
        (format!("/model/{bare}/converse"), of("amazon/seek")),
    ] {
        let (status, answer) = stage.ask(&path, &body).await;
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(answer.to_string().contains("no price"), "{path}: {answer}");
    }
    for (spec, id) in
        [(2, "openai.web_search_preview"), (3, "anthropic.web_search_20250305"), (4, "google.google_search")]
    {
        let kind = if spec == 2 { "provider-defined" } else { "provider" };
        let body = json!({"prompt": [{"role": "user", "content": [{"type": "text", "text": "tides?"}]}],
            "tools": [{"type": kind, "id": id, "name": "search", "args": {}}]});
        let (status, answer) = stage.ask_sdk("language", spec, MODEL, &body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("no price"), "{answer}");
    }
    assert_eq!(stage.world.finals().len(), 0, "nobody was asked");
}

#[tokio::test]
async fn a_strict_budget_refuses_searches_whose_number_nobody_knows() {
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    for model in ["openai/seek", "openai/seek-responses", "anthropic/seek", "google/seek", "amazon/seek"] {
        let (path, body) = ask(model, false);
        let (status, answer) = stage.ask(&path, &body).await;
        assert_eq!(status, 400, "{model}: {answer}");
    }
}
