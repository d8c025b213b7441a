//! Log probabilities end to end: asked for in one dialect, answered in another. And Groq's usage.

use serde_json::{Value, json};
use tidegate_simulator::{Faults, Matcher, Rule, Script};

use crate::stage::Stage;

fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// The first part of a response's message.
fn message(response: &Value) -> &Value {
    let items = response["output"].as_array().unwrap();
    &items.iter().find(|item| item["type"] == "message").unwrap()["content"][0]
}

fn tokens(list: &Value) -> String {
    list.as_array().into_iter().flatten().map(|entry| entry["token"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn log_probabilities_come_from_whichever_dialect_has_them() {
    let stage = Stage::start().await;
    let said = json!([{"role": "user", "content": "say 5 words"}]);
    for model in ["openai/seek", "openai/seek-responses", "google/seek"] {
        let mut body = json!({"model": model, "messages": said, "logprobs": true, "top_logprobs": 2});
        let (status, answer) = stage.ask("/v1/chat/completions", &body).await;
        assert_eq!(status, 200, "{model}: {answer}");
        let list = &answer["choices"][0]["logprobs"]["content"];
        assert_eq!(tokens(list), answer["choices"][0]["message"]["content"].as_str().unwrap(), "{answer}");
        assert!(
            list.as_array().unwrap().iter().all(|entry| entry["top_logprobs"].as_array().unwrap().len() == 2)
        );
        body["stream"] = json!(true);
        let answer =
            stage.post("/v1/chat/completions").json(&body).send().await.unwrap().text().await.unwrap();
        let (mut text, mut told) = (String::new(), String::new());
        for event in events(&answer) {
            let choice = &event["choices"][0];
            text += choice["delta"]["content"].as_str().unwrap_or_default();
            told += &tokens(&choice["logprobs"]["content"]);
        }
        assert!(!text.is_empty() && text == told, "{model}: {answer}");
    }
    for model in ["openai/seek", "openai/seek-chat", "google/seek"] {
        let mut body = json!({"model": model, "input": "say 5 words", "top_logprobs": 2,
            "include": ["message.output_text.logprobs"]});
        let (status, answer) = stage.ask("/v1/responses", &body).await;
        assert_eq!(status, 200, "{model}: {answer}");
        let part = message(&answer);
        assert_eq!(tokens(&part["logprobs"]), part["text"].as_str().unwrap(), "{answer}");
        body["stream"] = json!(true);
        let answer = stage.post("/v1/responses").json(&body).send().await.unwrap().text().await.unwrap();
        let of_deltas: String = events(&answer).iter().map(|event| tokens(&event["logprobs"])).collect();
        let last = message(&events(&answer).pop().unwrap()["response"]).clone();
        let text = last["text"].as_str().unwrap().to_owned();
        assert_eq!(tokens(&last["logprobs"]), text, "{model}");
        // Once by the deltas, once by the end of the part.
        assert_eq!(of_deltas, text.repeat(2), "{model}: {answer}");
    }
    stage.assert_books_match(12).await;
    let body = json!({"model": "anthropic/seek", "messages": said, "logprobs": true});
    let (status, answer) = stage.ask("/v1/chat/completions", &body).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("logprobs")), "{answer}");
}

#[tokio::test]
async fn usage_that_is_told_as_groq_does_is_charged_and_told_where_clients_look() {
    let stage = Stage::start().await;
    let rule = Rule {
        when: Matcher { stream: Some(true), ..Matcher::default() },
        times: None,
        then: Faults { usage_in_x_groq: true, ..Faults::default() },
    };
    let script = format!("{}/script", stage.simulator.url());
    let put = stage.client.post(script).json(&Script { rules: vec![rule] }).send().await.unwrap();
    assert_eq!(put.status().as_u16(), 200);
    let body = json!({"model": "openai/seek", "stream": true, "messages": [{"role": "user", "content": "say 5 words"}]});
    let stream = |path: &'static str| {
        let sent = stage.post(path).json(&body).send();
        async move { events(&sent.await.unwrap().text().await.unwrap()) }
    };
    let plain = stream("/v1/chat/completions").await;
    let last = plain.last().unwrap();
    assert_eq!(last["usage"]["completion_tokens"], last["x_groq"]["usage"]["completion_tokens"], "{last}");
    assert!(last["usage"]["cost"].as_f64().unwrap() > 0.0, "{last}");
    let groq = stream("/proxy/sim-openai/openai/v1/chat/completions").await;
    let last = groq.last().unwrap();
    assert!(last["x_groq"]["usage"]["completion_tokens"].as_u64().unwrap() >= 5, "{last}");
    assert!(last["usage"]["logfire_ai_gateway"]["cost"].is_string(), "{last}");
    stage.assert_books_match(2).await;
}
