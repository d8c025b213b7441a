//! Whole answers.

use tidegate_dialect::AnswerFault;
use tidegate_dialect::answer::{AnswerFacts, complete};

use super::{RESPONSES, json, text};
use crate::support::{ANTHROPIC, OPENAI, facts, file, lines};

#[test]
fn whole_answers_translate_both_ways() {
    for (surface, target, name) in [
        (OPENAI, RESPONSES, "responses/answer.json"),
        (ANTHROPIC, RESPONSES, "responses/answer.json"),
        (RESPONSES, OPENAI, "openai/answer.json"),
        (RESPONSES, ANTHROPIC, "anthropic/answer.json"),
    ] {
        let answer = complete(surface, target, &file(name), &facts(false)).unwrap();
        let shown = String::from_utf8(answer.bytes.to_vec()).unwrap();
        let name = format!("{target:?}_to_{surface:?}_answer");
        insta::assert_snapshot!(name, format!("{}\n{:?}", lines(&shown), answer.usage));
    }
    let same = complete(RESPONSES, RESPONSES, &file("responses/answer.json"), &facts(false)).unwrap();
    assert_eq!(same.bytes, file("responses/answer.json"));
    let usage = same.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens),
        (100, 60, 40, 15)
    );
    let shown = "Let me look.Twice.I look it up.capital{\"country\":\"France\"}now{}".len() as u64;
    assert_eq!(same.visible_bytes, shown + 2 * 16);
}

#[test]
fn an_answer_there_and_back_has_the_same_items_and_counts() {
    for over in [ANTHROPIC, OPENAI] {
        let there = complete(over, RESPONSES, &file("responses/answer.json"), &facts(false)).unwrap();
        let back = complete(RESPONSES, over, &there.bytes, &facts(false)).unwrap();
        let (first, back) =
            (json(&text("responses/answer.json")), json(std::str::from_utf8(&back.bytes).unwrap()));
        let kinds = |answer: &serde_json::Value| -> Vec<serde_json::Value> {
            answer["output"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect()
        };
        assert_eq!(kinds(&first), kinds(&back), "{over:?}");
        let sealed = |answer: &serde_json::Value| answer["output"][0]["encrypted_content"].clone();
        assert_eq!(sealed(&first), sealed(&back), "{over:?}");
        for key in ["input_tokens", "output_tokens", "total_tokens"] {
            assert_eq!(first["usage"][key], back["usage"][key], "{key} over {over:?}");
        }
        assert_eq!(first["output"][2]["arguments"], back["output"][2]["arguments"]);
    }
}

#[test]
fn ends_keep_their_meaning() {
    let answer = |surface, status: &str, details: &str, output: &str| {
        let body = format!(
            r#"{{"id":"r","object":"response","model":"m","status":"{status}","incomplete_details":{details},"output":[{output}]}}"#
        );
        complete(surface, RESPONSES, &body.into(), &facts(false))
            .map(|answer| String::from_utf8(answer.bytes.to_vec()).unwrap())
    };
    let message = r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"x"}]}"#;
    let refusal = r#"{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}"#;
    let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
    let cases = [
        ("completed", "null", message, "end_turn", "stop"),
        ("completed", "null", call, "tool_use", "tool_calls"),
        ("completed", "null", refusal, "refusal", "content_filter"),
        ("incomplete", r#"{"reason":"max_output_tokens"}"#, message, "max_tokens", "length"),
        ("incomplete", r#"{"reason":"content_filter"}"#, message, "refusal", "content_filter"),
    ];
    for (status, details, output, anthropic, openai) in cases {
        let shown = answer(ANTHROPIC, status, details, output).unwrap();
        assert!(shown.contains(&format!(r#""stop_reason":"{anthropic}""#)), "{shown}");
        let shown = answer(OPENAI, status, details, output).unwrap();
        assert!(shown.contains(&format!(r#""finish_reason":"{openai}""#)), "{shown}");
    }
    let faults = [
        answer(OPENAI, "incomplete", r#"{"reason":"steered"}"#, message),
        answer(OPENAI, "incomplete", "null", message),
        answer(OPENAI, "failed", "null", ""),
        answer(OPENAI, "queued", "null", ""),
        answer(OPENAI, "completed", "null", r#"{"type":"web_search_call"}"#),
        answer(
            OPENAI,
            "completed",
            "null",
            r#"{"type":"function_call","call_id":"c","name":"f","arguments":"[]"}"#,
        ),
    ];
    assert!(faults.iter().all(Result::is_err), "{faults:?}");
    let error = br#"{"error":{"message":"m"}}"#.to_vec();
    let none = complete(RESPONSES, RESPONSES, &error.into(), &facts(false)).map(|_| ());
    assert_eq!(none, Err(AnswerFault::Malformed("no output")));
}

#[test]
fn searches_are_counted() {
    let body = r#"{"status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":2},"tool_usage":{"web_search":{"num_requests":3}}}"#;
    let usage = complete(RESPONSES, RESPONSES, &body.into(), &facts(false)).unwrap().usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.searches), (1, 2, 3));
    for odd in [r#"{"input_tokens":-1,"output_tokens":2}"#, r#"{"input_tokens":1}"#, "null", "7"] {
        let body = format!(r#"{{"status":"completed","output":[],"usage":{odd}}}"#);
        assert_eq!(complete(RESPONSES, RESPONSES, &body.into(), &facts(false)).unwrap().usage, None);
    }
}

#[test]
fn translated_answers_repeat_what_the_request_set() {
    let tools = r#"[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true}]"#;
    let body = format!(
        r#"{{"model":"m","input":"x","instructions":"be brief","tools":{tools},"tool_choice":"required","temperature":0.50,"text":{{"verbosity":"low"}},"metadata":{{"a":"b"}},"top_p":null}}"#
    );
    let call = tidegate_dialect::read::call(RESPONSES, Default::default(), body.into()).unwrap();
    let facts = AnswerFacts { asked: call.asked(), ..facts(false) };
    let answer = complete(RESPONSES, OPENAI, &file("openai/answer.json"), &facts).unwrap();
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    for member in [
        format!(r#""tools":{tools},"#),
        r#""instructions":"be brief","#.to_owned(),
        r#""tool_choice":"required","#.to_owned(),
        r#""temperature":0.50,"#.to_owned(),
        r#""metadata":{"a":"b"}"#.to_owned(),
        r#""text":{"format":{"type":"text"}},"#.to_owned(),
        r#""top_p":null,"#.to_owned(),
    ] {
        assert!(text.contains(&member), "{member} in {text}");
    }
    assert!(!format!("{facts:?}").contains("brief"));
}
