//! Log probabilities: between both dialects of OpenAI and Gemini, whole and streamed; refused by name elsewhere.

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_dialect::answer::complete;
use tidegate_dialect::read::{self, Outside};
use tidegate_dialect::{Dialect, RequestError, outbound};

use crate::support::{OPENAI, edits, facts, run};

const RESPONSES: Dialect = Dialect::OpenaiResponses;
const GEMINI: Dialect = Dialect::Gemini;
const ALL: [Dialect; 3] = [OPENAI, RESPONSES, GEMINI];

fn asking(dialect: Dialect) -> Value {
    let said = json!([{"role": "user", "content": "hi"}]);
    match dialect {
        OPENAI => json!({"model": "m", "messages": said, "logprobs": true, "top_logprobs": 2}),
        RESPONSES => json!({"model": "m", "input": "hi", "top_logprobs": 2,
            "include": ["message.output_text.logprobs"]}),
        _ => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"responseLogprobs": true, "logprobs": 2}}),
    }
}

fn sent(surface: Dialect, target: Dialect, body: &Value) -> Result<Value, RequestError> {
    let outside = match surface {
        GEMINI => Outside { model: Some("m"), stream: Some(false), ..Outside::default() },
        _ => Outside::default(),
    };
    let call = read::call(surface, outside, body.to_string().into())?;
    Ok(serde_json::from_slice(&outbound::request(&call, target, &edits("m"))?).unwrap())
}

/// What a request says of log probabilities.
fn asked(target: Dialect, body: &Value) -> Value {
    match target {
        OPENAI => json!([body["logprobs"], body["top_logprobs"]]),
        RESPONSES => {
            json!([body["include"] == json!(["message.output_text.logprobs"]), body["top_logprobs"]])
        }
        _ => json!([body["generationConfig"]["responseLogprobs"], body["generationConfig"]["logprobs"]]),
    }
}

#[test]
fn they_are_asked_for_in_each_others_words() {
    for surface in ALL {
        for target in ALL.into_iter().filter(|target| *target != surface) {
            let body = sent(surface, target, &asking(surface)).unwrap();
            assert_eq!(asked(target, &body), json!([true, 2]), "{surface:?} to {target:?}: {body}");
        }
    }
    let only_named = json!({"model": "m", "input": "hi", "include": ["message.output_text.logprobs"]});
    let body = sent(RESPONSES, OPENAI, &only_named).unwrap();
    assert_eq!((&body["logprobs"], body.get("top_logprobs")), (&json!(true), None));
    let nothing = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "logprobs": false});
    assert_eq!(sent(OPENAI, RESPONSES, &nothing).unwrap().get("include"), None);
}

#[test]
fn where_there_are_none_they_are_refused_by_name() {
    let name = |surface| match surface {
        OPENAI => "logprobs",
        RESPONSES => "top_logprobs",
        _ => "generationConfig.responseLogprobs",
    };
    for surface in ALL {
        for target in [Dialect::AnthropicMessages, Dialect::BedrockConverse, Dialect::CohereChat] {
            match sent(surface, target, &asking(surface)) {
                Err(RequestError::Untranslatable { field, .. }) => assert_eq!(field, name(surface)),
                other => panic!("{surface:?} to {target:?}: {other:?}"),
            }
        }
    }
}

/// A token as OpenAI writes it.
fn entry(token: &str, logprob: f64, other: &str) -> Value {
    let one =
        |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let mut entry = one(token, logprob);
    entry["top_logprobs"] = json!([one(token, logprob), one(other, -2.5)]);
    entry
}

fn entries() -> [Value; 2] {
    [entry("Hé", -0.25, "Yo"), entry(" you", -1.5, " all")]
}

/// The same as Gemini writes it.
fn result(of: &[Value]) -> Value {
    let one = |entry: &Value| json!({"token": entry["token"], "logProbability": entry["logprob"]});
    let top = |entry: &Value| json!({"candidates": entry["top_logprobs"].as_array().unwrap().iter().map(one).collect::<Vec<_>>()});
    json!({"chosenCandidates": of.iter().map(one).collect::<Vec<_>>(), "topCandidates": of.iter().map(top).collect::<Vec<_>>()})
}

fn answer(dialect: Dialect) -> Value {
    let told = entries();
    match dialect {
        OPENAI => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": "Hé you"}, "finish_reason": "stop",
            "logprobs": {"content": told, "refusal": null}}]})
        }
        RESPONSES => json!({"id": "r", "object": "response", "status": "completed", "model": "m", "output": [
            {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "Hé you", "annotations": [], "logprobs": told}]}]}),
        _ => {
            json!({"modelVersion": "m", "candidates": [{"content": {"role": "model", "parts": [{"text": "Hé you"}]},
            "finishReason": "STOP", "logprobsResult": result(&told)}]})
        }
    }
}

/// Log probabilities in an answer, as OpenAI writes them; Gemini's as they are.
fn told(surface: Dialect, body: &Value) -> Value {
    match surface {
        OPENAI => body["choices"][0]["logprobs"]["content"].clone(),
        RESPONSES => body["output"][0]["content"][0]["logprobs"].clone(),
        _ => body["candidates"][0]["logprobsResult"].clone(),
    }
}

fn expected(surface: Dialect, of: &[Value]) -> Value {
    if surface == GEMINI { result(of) } else { json!(of) }
}

#[test]
fn whole_answers_carry_them_with_every_token() {
    for surface in ALL {
        for target in ALL.into_iter().filter(|target| *target != surface) {
            let body = Bytes::from(answer(target).to_string());
            let bytes = complete(surface, target, &body, &facts(true)).unwrap().bytes;
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(
                told(surface, &body),
                expected(surface, &entries()),
                "{target:?} to {surface:?}: {body}"
            );
        }
    }
}

fn stream(target: Dialect) -> Bytes {
    let [first, second] = entries();
    let chat = |delta: Value, logprobs: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]})
    };
    let response = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "output_index": 0, "item_id": "m1", "content_index": 0});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let gemini = |text: &str, of: &[Value], finish: Value| {
        json!({"modelVersion": "m", "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": finish, "logprobsResult": result(of)}]})
    };
    let events = match target {
        OPENAI => vec![
            chat(json!({"role": "assistant", "content": ""}), Value::Null, Value::Null),
            chat(json!({"content": "Hé"}), json!({"content": [first]}), Value::Null),
            chat(json!({"content": " you"}), json!({"content": [second]}), Value::Null),
            chat(json!({}), Value::Null, json!("stop")),
        ],
        RESPONSES => vec![
            json!({"type": "response.created", "response": {"model": "m", "status": "in_progress", "output": []}}),
            response(
                "response.output_item.added",
                json!({"item": {"type": "message", "id": "m1", "content": []}}),
            ),
            response("response.output_text.delta", json!({"delta": "Hé", "logprobs": [first]})),
            response("response.output_text.delta", json!({"delta": " you", "logprobs": [second]})),
            response("response.output_item.done", json!({"item": answer(RESPONSES)["output"][0]})),
            json!({"type": "response.completed", "response": answer(RESPONSES)}),
        ],
        _ => vec![gemini("Hé", &[first], Value::Null), gemini(" you", &[second], json!("STOP"))],
    };
    events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>().into()
}

#[test]
fn streams_carry_them_beside_the_text_that_they_belong_to() {
    for surface in ALL {
        for target in ALL.into_iter().filter(|target| *target != surface) {
            let ran = run(surface, target, true, &[stream(target)]);
            let events: Vec<Value> = ran
                .out
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .filter(|data| *data != "[DONE]")
                .map(|data| serde_json::from_str(data).unwrap())
                .collect();
            let way = format!("{target:?} to {surface:?}: {}", ran.out);
            let pieces: Vec<(Value, Value)> = events
                .iter()
                .filter_map(|event| match surface {
                    OPENAI => {
                        let choice = event["choices"].get(0)?;
                        let text = choice["delta"]["content"].as_str().filter(|text| !text.is_empty())?;
                        Some((json!(text), choice["logprobs"]["content"].clone()))
                    }
                    RESPONSES => (event["type"] == "response.output_text.delta")
                        .then(|| (event["delta"].clone(), event["logprobs"].clone())),
                    _ => {
                        let text = &event["candidates"][0]["content"]["parts"][0]["text"];
                        (text != "").then(|| (text.clone(), event["candidates"][0]["logprobsResult"].clone()))
                    }
                })
                .collect();
            let [first, second] = entries();
            let of = |entry: Value| expected(surface, &[entry]);
            assert_eq!(pieces, [(json!("Hé"), of(first)), (json!(" you"), of(second))], "{way}");
            if surface == RESPONSES {
                let last = events.last().unwrap();
                assert_eq!(told(RESPONSES, &last["response"]), json!(entries()), "{way}");
            }
        }
    }
}
