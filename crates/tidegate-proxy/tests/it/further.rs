//! What OpenAI's surfaces have beside their usual operations: pictures that are edited, conversations that
//! are made shorter. Passed on within OpenAI's own dialects, refused elsewhere by name.

use serde_json::{Value, json};
use tidegate_types::BudgetId;

use crate::form::{File, form};
use crate::stage::{Stage, strict};

const PICTURE: File<'_> =
    File { field: "image[]", name: "a.png", media_type: "image/png", bytes: b"\x89PNG\r\n\x1a\n\0binary" };

impl Stage {
    async fn edit(&self, parts: &[(&str, &str)], pictures: usize) -> (u16, Value) {
        let (content_type, body) = form(parts, &vec![PICTURE; pictures]);
        let request = self.post("/v1/images/edits").header("content-type", content_type).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn pictures_are_edited_and_billed_with_the_pictures_that_they_are_made_from() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    let parts = [("model", "openai/paint"), ("prompt", "add a gate"), ("n", "2"), ("size", "1024x1024")];
    let (status, answer) = stage.edit(&parts, 2).await;
    assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(2)), "{answer}");
    assert!(answer["data"][0]["b64_json"].as_str().unwrap().starts_with("iVBOR"), "{answer}");
    assert!(answer["usage"]["cost"].as_f64().unwrap() > 0.0, "{answer}");
    let (status, answer) = stage.edit(&[("model", "openai/draw"), ("prompt", "add a gate")], 1).await;
    assert_eq!(status, 200, "{answer}");
    stage.assert_books_match(2).await;
    let usage = stage.world.finals()[0].usage;
    assert_eq!((usage.image_input_tokens, usage.images), (646, 2), "{usage:?}");
}

#[tokio::test]
async fn an_edit_that_cannot_be_is_refused_by_name() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    let good = [("model", "openai/paint"), ("prompt", "x")];
    for (more, pictures, param) in [
        (("n", "0"), 1, "n"),
        (("stream", "true"), 1, "stream"),
        (("partial_images", "2"), 1, "partial_images"),
        (("secret_sauce", "1"), 1, "secret_sauce"),
        (("prompt", "twice"), 1, "prompt"),
        (("user", "u"), 0, "image"),
    ] {
        let (status, answer) = stage.edit(&[good[0], good[1], more], pictures).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)), "{answer}");
    }
    let (status, answer) =
        stage.ask("/v1/images/edits", &json!({"model": "openai/paint", "prompt": "x"})).await;
    assert_eq!(status, 400, "a form is needed: {answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("multipart/form-data"), "{answer}");
    let (status, answer) = stage.ask("/v1/images/variations", &json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_supported")), "{answer}");
    assert!(stage.world.finals().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_conversation_is_made_shorter_where_the_provider_speaks_responses() {
    let stage = Stage::start().await;
    let input = json!([{"role": "user", "content": "hello tide"}, {"role": "assistant", "content": "hello"}]);
    let body =
        json!({"model": "openai/talk", "input": input, "instructions": "be brief", "prompt_cache_key": "k"});
    for (calls, limit) in [None, Some("1.00")].into_iter().enumerate() {
        if let Some(limit) = limit {
            strict(&stage, limit);
        }
        let (status, answer) = stage.ask("/v1/responses/compact", &body).await;
        assert_eq!((status, &answer["object"]), (200, &json!("response.compaction")), "{answer}");
        assert_eq!(answer["output"][1]["type"], "compaction", "{answer}");
        assert!(answer["usage"]["cost"].as_f64().unwrap() > 0.0, "{answer}");
        stage.assert_books_match(calls + 1).await;
    }
    assert!(stage.world.balance(BudgetId::from_u128(1)).await.spent.get() > 0);
    let mut elsewhere = body.clone();
    elsewhere["model"] = json!("google/talk");
    let (status, answer) = stage.ask("/v1/responses/compact", &elsewhere).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("input")), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("shorter"), "{answer}");
    strict(&stage, "0.001");
    let (status, answer) = stage.ask("/v1/responses/compact", &body).await;
    assert_eq!(status, 402, "it may be as long as the model writes: {answer}");
}

#[tokio::test]
async fn what_is_not_served_is_refused_at_once_by_name_in_the_callers_dialect() {
    let stage = Stage::start().await;
    for (path, told) in [
        ("/v1/batches", "batches"),
        ("/v1/files", "files"),
        ("/v1/realtime/client-secrets", "realtime"),
        ("/v1/videos", "/v4/ai/video-model"),
        ("/v4/ai/batch/start", "one by one"),
        ("/v4/ai/decision-model", "decision models"),
    ] {
        let (status, answer) = stage.ask(path, &json!({})).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(status == 404 && said.contains(told), "{path}: {status} {answer}");
    }
    let (status, answer) = stage.ask("/v1/messages/batches", &json!({"requests": []})).await;
    assert_eq!((status, &answer["type"]), (404, &json!("error")), "Anthropic's form: {answer}");
    for path in
        ["/v1/responses", "/v1/realtime?model=openai/talk", "/v4/ai/speech-model", "/v4/ai/realtime-model"]
    {
        let url = format!("http://{}{path}", stage.world.address);
        let request = stage.client.get(url).header("connection", "upgrade").header("upgrade", "websocket");
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let said = answer.text().await.unwrap();
        assert!(status == 404 && said.contains("WebSockets"), "{path}: {status} {said}");
    }
}
