//! Requests from and to the other dialects.

use proptest::prelude::*;
use tidegate_dialect::outbound::{Edits, request};
use tidegate_dialect::registry::{Carriage, fields};
use tidegate_dialect::{Dialect, read};

use super::{RESPONSES, json, text};
use crate::support::{ANTHROPIC, OPENAI, edits, file, lines, read as read_body, sent};

#[test]
fn a_rich_request_as_openai_chat_gets_it() {
    insta::assert_snapshot!(lines(&sent(RESPONSES, OPENAI, file("responses/full.json")).unwrap()));
}

#[test]
fn a_rich_request_as_anthropic_gets_it() {
    // OpenAI's chat takes instructions anywhere, Anthropic only before an answer.
    insta::assert_snapshot!(lines(&sent(RESPONSES, ANTHROPIC, file("responses/full.json")).unwrap()));
}

#[test]
fn a_rich_openai_chat_request_as_responses_gets_it() {
    let body = text("openai/full.json").replace(r#""stop": ["#, r#""stop_": ["#);
    let body = without(&body, "stop_");
    insta::assert_snapshot!(lines(&sent(OPENAI, RESPONSES, body).unwrap()));
}

#[test]
fn a_rich_anthropic_request_as_responses_gets_it() {
    let body = without(&text("anthropic/full.json"), "stop_sequences");
    insta::assert_snapshot!(lines(&sent(ANTHROPIC, RESPONSES, body).unwrap()));
}

/// The body without a top-level member; big numbers become other ones.
fn without(body: &str, key: &str) -> String {
    let mut body = json(&body.replace("1e400", "1e40").replace("12345678901234567890", "123456789"));
    body.as_object_mut().unwrap().remove(key);
    body.to_string()
}

#[test]
fn a_request_there_and_back_says_the_same() {
    for over in [OPENAI, ANTHROPIC] {
        // What the first round leaves out (cache markers, reasoning of others) stays so; the rest never changes.
        let round = |body: String| sent(over, RESPONSES, sent(RESPONSES, over, body).unwrap()).unwrap();
        let once = round(text("responses/full.json"));
        assert_eq!(round(once.clone()), once, "{over:?}");
        let (first, back) = (json(&without(&text("responses/full.json"), "")), json(&without(&once, "")));
        for key in ["max_output_tokens", "temperature", "top_p", "parallel_tool_calls", "stream"] {
            assert_eq!(first[key], back[key], "{key} over {over:?}");
        }
        let schema = |body: &serde_json::Value| body["text"]["format"]["schema"].clone();
        assert_eq!(schema(&first), schema(&back), "{over:?}");
        assert_eq!(back["reasoning"]["effort"], "high", "{over:?}");
    }
}

#[test]
fn reasoning_goes_back_to_its_maker_only() {
    let to = |target| sent(RESPONSES, target, file("responses/full.json")).unwrap();
    let anthropic = to(ANTHROPIC);
    assert!(anthropic.contains(r#""signature":"c2ln""#), "Anthropic's own, as it wrote it");
    assert!(anthropic.contains(r#"{"type":"redacted_thinking","data":"ZW5j"}"#));
    assert!(!anthropic.contains("gAAAAown") && !anthropic.contains("Own reasoning"));
    let passed = to(RESPONSES);
    assert!(passed.contains("gAAAAown") && !passed.contains("c2ln") && !passed.contains("ZW5j"));
    assert_eq!(json(&without(&passed, ""))["input"].as_array().unwrap().len(), 12, "two items less");
    // Through Anthropic's surface OpenAI's reasoning finds back to OpenAI.
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"t","signature":"openai-responses-v1:rs_7:gAAAA"},
        {"type":"thinking","thinking":"u","signature":"c2ln"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]}"#;
    let back = json(&sent(ANTHROPIC, RESPONSES, body).unwrap());
    let reasoning = serde_json::json!({"type": "reasoning", "id": "rs_7", "encrypted_content": "gAAAA",
        "summary": [{"type": "summary_text", "text": "t"}]});
    assert_eq!(back["input"][1], reasoning);
    assert_eq!(back["input"].as_array().unwrap().len(), 4, "Anthropic's own is left out");
    assert_eq!(back["include"], serde_json::json!(["reasoning.encrypted_content"]));
}

fn refused(surface: Dialect, target: Dialect, member: &str) -> String {
    let list = if surface == RESPONSES { r#""input":"x""# } else { r#""messages":[],"max_tokens":9"# };
    let list = if member.starts_with(r#""input""#) { "" } else { list };
    let body = format!(r#"{{"model":"m",{list}{}{member}}}"#, if list.is_empty() { "" } else { "," });
    match sent(surface, target, body) {
        Err(error) => format!("{member}\n    {error}"),
        Ok(sent) => panic!("{member} was sent as {sent}"),
    }
}

#[test]
fn what_other_dialects_cannot_carry_is_refused_by_name() {
    let item = |item: &str| format!(r#""input":[{{"role":"user","content":"x"}},{item}]"#);
    let part = |part: &str| item(&format!(r#"{{"role":"user","content":[{part}]}}"#));
    let members = [
        r#""background":true"#.to_owned(),
        r#""conversation":"conv_1""#.to_owned(),
        r#""previous_response_id":"resp_1""#.to_owned(),
        r#""prompt":{"id":"pmpt_1"}"#.to_owned(),
        r#""store":true"#.to_owned(),
        r#""service_tier":"priority""#.to_owned(),
        r#""truncation":"auto""#.to_owned(),
        r#""max_tool_calls":3"#.to_owned(),
        r#""reasoning":{"effort":"low","mode":"pro"}"#.to_owned(),
        r#""text":{"format":{"type":"grammar"}}"#.to_owned(),
        r#""tools":[{"type":"web_search"}]"#.to_owned(),
        r#""tools":[{"type":"custom","name":"c"}]"#.to_owned(),
        r#""tools":[{"type":"function","name":"f","parameters":{},"defer_loading":true}]"#.to_owned(),
        r#""tool_choice":{"type":"web_search_preview"}"#.to_owned(),
        r#""tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp","server_label":"s"}]}"#
            .to_owned(),
        r#""brand_new":1"#.to_owned(),
        item(r#"{"type":"item_reference","id":"msg_1"}"#),
        item(r#"{"id":"msg_1"}"#),
        item(r#"{"type":"web_search_call","id":"ws_1","status":"completed"}"#),
        item(r#"{"type":"custom_tool_call","call_id":"c","name":"n","input":"i"}"#),
        item(r#"{"type":"function_call","call_id":"c","name":"n","arguments":"[1]"}"#),
        item(r#"{"type":"function_call","call_id":"c","name":"n","arguments":"{}","namespace":"x"}"#),
        item(r#"{"type":"function_call_output","output":"x"}"#),
        item(r#"{"role":"critic","content":"x"}"#),
        item(r#"{"role":"user","content":"x","brand_new":1}"#),
        part(r#"{"type":"input_image","file_id":"file_1"}"#),
        part(r#"{"type":"input_image","image_url":"data:x"}"#),
        part(r#"{"type":"input_file","file_id":"file_1"}"#),
        part(r#"{"type":"input_audio","input_audio":{}}"#),
        part(r#"{"type":"input_text","text":"x","brand_new":1}"#),
    ];
    for target in [OPENAI, ANTHROPIC] {
        let all: Vec<String> = members.iter().map(|member| refused(RESPONSES, target, member)).collect();
        insta::assert_snapshot!("what_other_dialects_cannot_carry", all.join("\n"));
    }
}

#[test]
fn what_responses_cannot_carry_is_refused_by_name() {
    let image = r#"[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://x"}}]"#;
    let shown = [
        refused(OPENAI, RESPONSES, r#""stop":["x"]"#),
        refused(OPENAI, RESPONSES, r#""top_k":3"#),
        refused(OPENAI, RESPONSES, r#""frequency_penalty":0.5"#),
        refused(ANTHROPIC, RESPONSES, r#""stop_sequences":["x"]"#),
        refused(ANTHROPIC, RESPONSES, r#""top_k":3"#),
        sent(
            OPENAI,
            RESPONSES,
            format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":{image}}}]}}"#),
        )
        .unwrap_err()
        .to_string(),
    ];
    insta::assert_snapshot!(shown.join("\n"));
    for harmless in [r#""frequency_penalty":0"#, r#""presence_penalty":0.0"#, r#""stop":[]"#] {
        assert!(sent(OPENAI, RESPONSES, format!(r#"{{"model":"m","messages":[],{harmless}}}"#)).is_ok());
    }
}

#[test]
fn what_the_registry_says_of_a_field_is_what_happens() {
    let names: Vec<&str> = fields(RESPONSES).iter().map(|field| field.name).collect();
    assert!(names.is_sorted());
    for (target, field) in
        [OPENAI, ANTHROPIC].iter().flat_map(|target| fields(RESPONSES).iter().map(move |f| (*target, f)))
    {
        let value = match field.name {
            "models" => "[]",
            "metadata" => r#"{"a":"b"}"#,
            "caching" => r#""auto""#,
            "cache_ttl" => r#""5m""#,
            "cache_anchor_items" | "max_tool_calls" | "top_logprobs" => "2",
            "store" | "background" => "true",
            _ => r#"{"x":1}"#,
        };
        let value = if field.name == "providerOptions" || field.name == "provider" { "{}" } else { value };
        let body = |value: &str| {
            if field.name == "input" || field.name == "model" {
                r#"{"model":"m","input":"x"}"#.to_owned()
            } else {
                format!(r#"{{"model":"m","input":"x","{}":{value}}}"#, field.name)
            }
        };
        match field.carriage {
            Carriage::Dropped(_) => {
                let sent = sent(RESPONSES, target, body(value)).unwrap();
                assert!(!sent.contains(&format!("\"{}\"", field.name)), "{}", field.name);
            }
            Carriage::Refused(_) => {
                let error = sent(RESPONSES, target, body(value)).unwrap_err();
                assert!(error.path().unwrap().starts_with(field.name), "{}: {error}", field.name);
            }
            Carriage::Carried(_) => {}
        }
        for harmless in field.harmless {
            let value = std::str::from_utf8(harmless).unwrap();
            assert!(sent(RESPONSES, target, body(value)).is_ok(), "{} {value}", field.name);
        }
    }
}

#[test]
fn functions_are_strict_unless_they_say_otherwise_and_never_where_they_cannot_be() {
    let body = text("responses/full.json");
    let tools = |target| json(&without(&sent(RESPONSES, target, body.clone()).unwrap(), ""))["tools"].clone();
    let chat = tools(OPENAI);
    let strict: Vec<_> =
        chat.as_array().unwrap().iter().map(|tool| tool["function"]["strict"].clone()).collect();
    assert_eq!(strict, [serde_json::json!(true), serde_json::Value::Null, serde_json::json!(true)]);
    // The other way silence would mean strict.
    let sent = sent(
        OPENAI,
        RESPONSES,
        r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
    );
    assert_eq!(json(&sent.unwrap())["tools"][0]["strict"], false);
}

#[test]
fn a_translated_call_is_never_stored_and_asks_for_reasoning_only_where_there_is_some() {
    let sent = |member: &str| {
        json(&sent(OPENAI, RESPONSES, format!(r#"{{"model":"m","messages":[]{member}}}"#)).unwrap())
    };
    let plain = sent("");
    assert_eq!(plain["store"], false);
    assert!(plain.get("include").is_none() && plain.get("reasoning").is_none());
    let thinking = sent(r#","reasoning_effort":"low""#);
    assert_eq!(thinking["reasoning"]["effort"], "low");
    assert_eq!(thinking["include"][0], "reasoning.encrypted_content");
}

#[test]
fn the_granted_limit_and_the_default_are_kept() {
    let granted = Edits { output_limit: Some(100), ..edits("m") };
    let call = read_body(RESPONSES, r#"{"model":"m","input":"x","max_output_tokens":500}"#);
    for (target, key) in
        [(OPENAI, "max_completion_tokens"), (ANTHROPIC, "max_tokens"), (RESPONSES, "max_output_tokens")]
    {
        let sent = request(&call, target, &granted).unwrap();
        assert_eq!(json(std::str::from_utf8(&sent).unwrap())[key], 100, "{target:?}");
    }
}

#[test]
fn bodies_of_real_clients_pass_and_translate() {
    for body in text("captures/responses.jsonl").lines() {
        let call = read_body(RESPONSES, body.to_owned());
        assert_eq!(call.findings, [], "{body}");
        assert_eq!(call.stream, json(body)["stream"] == true);
        for target in [RESPONSES, OPENAI, ANTHROPIC] {
            let sent = json(&sent(RESPONSES, target, body.to_owned()).unwrap());
            assert_eq!(sent["model"], "upstream-model");
            assert!(sent.get("caching").is_none());
        }
    }
}

proptest! {
    #[test]
    fn mutated_bodies_never_panic(at in any::<prop::sample::Index>(), with in prop::sample::select(vec![
        "", "\"", "{", "[", "null", "7", "\"type\":", "\"function_call\"", "\"reasoning\"", "[]", "{}", "\"input_text\"",
    ]), cut in 0_usize..12) {
        let body = text("responses/full.json");
        let start = body.floor_char_boundary(at.index(body.len()));
        let end = body.floor_char_boundary((start + cut).min(body.len()));
        let body = [&body[..start], with, &body[end.max(start)..]].concat();
        if let Ok(call) = read::call(RESPONSES, read::Outside::default(), body.into()) {
            for target in [RESPONSES, OPENAI, ANTHROPIC] {
                let _ = request(&call, target, &edits("m"));
            }
        }
    }
}
