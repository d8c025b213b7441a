//! Requests into other dialects.

use proptest::prelude::*;
use tidegate_dialect::outbound::request;
use tidegate_dialect::read::FindingKind;

use super::{call, refused, sent_to, with};
use crate::support::{ANTHROPIC, OPENAI, edits, file, lines};

fn captures(version: u8) -> Vec<serde_json::Value> {
    let lines = file(&format!("captures/aisdk_v{version}.jsonl")).to_vec();
    String::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_three_versions_send_means_the_same() {
    let decoded = |version: u8| -> Vec<String> {
        let one = |line: &serde_json::Value| {
            let (spec, stream) = (line["spec"].as_u64().unwrap(), line["stream"].as_bool().unwrap());
            let call = call(spec as u8, stream, line["body"].to_string()).unwrap();
            assert_eq!(call.finding(&[FindingKind::Unregistered]), None);
            assert_eq!((call.spec, call.stream), (spec as u8, stream));
            let to = |target| match request(&call, target, &edits("m")) {
                Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Err(error) => error.to_string(),
            };
            format!("{}\n{}\n", to(OPENAI), to(ANTHROPIC))
        };
        captures(version).iter().map(one).collect()
    };
    let newest = decoded(7);
    assert_eq!(decoded(5), newest);
    assert_eq!(decoded(6), newest);
    insta::assert_snapshot!(newest.get(..10).unwrap().join("\n"));
}

#[test]
fn a_full_request_as_openai_and_anthropic_get_it() {
    for (name, target, provider) in [("openai", OPENAI, "openai"), ("anthropic", ANTHROPIC, "anthropic")] {
        let sent = sent_to(target, provider, true, file("ai_sdk/full.json")).unwrap();
        assert!(!sent.contains("SECRET-HEADER") && !sent.contains("gen_0"));
        insta::assert_snapshot!(name, lines(&sent));
    }
}

#[test]
fn a_full_request_gives_its_facts() {
    let call = call(4, true, file("ai_sdk/full.json")).unwrap();
    assert!(!format!("{call:?}").contains("SECRET-HEADER"));
    assert_eq!(call.model, "openai/gpt-mock");
    assert_eq!((call.output_limit, call.reasoning_budget), (Some(500), Some(300)));
    assert!(call.needs.tools && call.needs.vision && call.needs.reasoning && call.needs.structured_output);
    assert_eq!((call.input.images, call.input.messages), (3, 5));
    assert_eq!(call.input.unboundable.as_deref(), Some("prompt[1].content[4]"));
    assert_eq!(call.gateway.only, ["anthropic", "openai"]);
    assert_eq!(call.labels.user.as_ref().map(tidegate_dialect::Content::expose), Some("u1"));
    assert_eq!(call.gateway.warnings(), ["`providerOptions.gateway.new` is not known and has no effect"]);
}

#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    let prompt = |message: &str| format!(r#"{{"prompt":[{message}]}}"#);
    let user = |part: &str| prompt(&format!(r#"{{"role":"user","content":[{part}]}}"#));
    let assistant = |part: &str| prompt(&format!(r#"{{"role":"assistant","content":[{part}]}}"#));
    let tool = |part: &str| prompt(&format!(r#"{{"role":"tool","content":[{part}]}}"#));
    let result = |output: &str| {
        tool(&format!(r#"{{"type":"tool-result","toolCallId":"c","toolName":"t","output":{output}}}"#))
    };
    let bodies = [
        with(r#""topK":5"#),
        with(r#""responseFormat":{"type":"yaml"}"#),
        with(r#""tools":[{"type":"provider","id":"gateway.perplexity_search","name":"s","args":{}}]"#),
        with(r#""toolChoice":{"type":"any"}"#),
        with(r#""reasoning":"much""#),
        with(r#""maxOutputTokens":1.5"#),
        with(r#""brandNew":1"#),
        with(r#""providerOptions":{"openai":{"store":true}}"#),
        with(r#""providerOptions":{"openai":{"previousResponseId":"r"}}"#),
        user(
            r#"{"type":"file","mediaType":"application/pdf","data":{"type":"reference","reference":{"openai":"f"}}}"#,
        ),
        user(r#"{"type":"file","mediaType":"application/pdf","data":"https://example.com/a.pdf"}"#),
        user(r#"{"type":"file","mediaType":"image/png","data":{"0":300}}"#),
        user(r#"{"type":"file","mediaType":"image/png","data":"data:image/png,plain"}"#),
        user(r#"{"type":"text","text":"x","providerOptions":{"openai":{"someNew":1}}}"#),
        user(r#"{"type":"text","text":"x","brandNew":1}"#),
        assistant(
            r#"{"type":"tool-call","toolCallId":"c","toolName":"t","input":{},"providerExecuted":true}"#,
        ),
        assistant(r#"{"type":"tool-call","toolCallId":"c","toolName":"t","input":[1]}"#),
        assistant(r#"{"type":"custom","kind":"openai.x"}"#),
        assistant(
            r#"{"type":"reasoning-file","mediaType":"image/png","data":{"type":"data","data":"AQID"}}"#,
        ),
        tool(r#"{"type":"tool-approval-response","approvalId":"a","approved":true}"#),
        result(r#"{"type":"content","value":[{"type":"file-id","fileId":"f"}]}"#),
        result(r#"{"type":"content","value":[{"type":"custom"}]}"#),
        result(r#"{"type":"other"}"#),
        prompt(r#"{"role":"developer","content":"x"}"#),
    ];
    let shown = bodies.iter().map(|body| format!("{body}\n    {}", refused(OPENAI, "openai", body)));
    insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_output_of_a_tool_has_its_counterpart() {
    let outputs = [
        r#"{"type":"text","value":"t"}"#,
        r#"{"type":"json","value":null}"#,
        r#"{"type":"json","value":{"a":1e400}}"#,
        r#"{"type":"error-json","value":{"code":1}}"#,
        r#"{"type":"execution-denied"}"#,
        r#"{"type":"content","value":[{"type":"text","text":"t"},{"type":"media","mediaType":"image/png","data":"AQID"}]}"#,
        r#"{"type":"content","value":[{"type":"image-url","url":"https://example.com/a"},{"type":"file-data","mediaType":"application/pdf","data":"AQID","filename":"a.pdf"}]}"#,
        r#"{"type":"content","value":[{"type":"file","mediaType":"image","data":{"type":"data","data":"/9j/"}}]}"#,
    ];
    let one = |output: &&str| {
        let body = format!(
            r#"{{"prompt":[{{"role":"tool","content":[{{"type":"tool-result","toolCallId":"c","toolName":"t","output":{output}}}]}}]}}"#
        );
        sent_to(ANTHROPIC, "anthropic", false, body).unwrap()
    };
    insta::assert_snapshot!(outputs.iter().map(one).collect::<Vec<_>>().join("\n"));
}

/// Pieces of which bodies can be built, good or bad.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    let leaf = prop::sample::select(vec![
        json!(null),
        json!(1),
        json!(-1),
        json!(true),
        json!(""),
        json!("text"),
        json!("user"),
        json!("assistant"),
        json!("tool"),
        json!("system"),
        json!("file"),
        json!("tool-call"),
        json!("tool-result"),
        json!("reasoning"),
        json!("content"),
        json!("json"),
        json!("data:image/png;base64,AQID"),
        json!("data:"),
        json!("https://x"),
        json!("image/*"),
        json!("data"),
        json!("url"),
        json!("enabled"),
        json!("gateway"),
        json!({"type": "text", "text": "t"}),
    ]);
    let key = prop::sample::select(vec![
        "type",
        "role",
        "content",
        "text",
        "data",
        "mediaType",
        "output",
        "value",
        "input",
        "toolCallId",
        "toolName",
        "providerOptions",
        "anthropic",
        "openai",
        "google",
        "gateway",
        "cacheControl",
        "signature",
        "thinking",
        "thinkingConfig",
        "budgetTokens",
        "reasoningEffort",
        "url",
        "0",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                serde_json::Value::Object(
                    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(
        prompt in prop::collection::vec(value(), 0..4), options in value(), tools in value(), format in value(),
    ) {
        let body = serde_json::json!({
            "prompt": prompt, "providerOptions": options, "tools": tools, "responseFormat": format,
        });
        if let Ok(call) = call(4, true, body.to_string()) {
            for target in [OPENAI, ANTHROPIC] {
                if let Ok(sent) = request(&call, target, &edits("m")) {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok());
                }
            }
        }
    }
}

#[test]
fn a_schema_is_strict_where_it_can_be_and_closed_where_it_must_be() {
    let inner = r#"{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]EXTRA}"#;
    let format = |extra: &str| {
        let inner = inner.replace("EXTRA", extra);
        with(&format!(
            r#""responseFormat":{{"type":"json","schema":{{"type":"object","properties":{{"a":{{"anyOf":[{inner},{{"type":"null"}}]}}}},"required":["a"],"additionalProperties":false}}}}"#
        ))
    };
    let closed = r#","additionalProperties":false"#;
    let strict =
        |extra: &str| sent_to(OPENAI, "openai", false, format(extra)).unwrap().contains(r#""strict":true"#);
    assert!(strict(closed) && !strict("") && !strict(r#","additionalProperties":true"#));
    let anthropic = |extra: &str| sent_to(ANTHROPIC, "anthropic", false, format(extra)).unwrap();
    assert_eq!(anthropic(""), anthropic(closed));
    assert!(anthropic(r#","additionalProperties":true"#).contains(r#""additionalProperties":true"#));
}

#[test]
fn files_go_where_their_type_is_taken_and_are_refused_elsewhere() {
    let with_file = |media_type: &str, data: &str| {
        format!(
            r#"{{"prompt":[{{"role":"user","content":[{{"type":"file","mediaType":"{media_type}","data":"{data}"}}]}}]}}"#
        )
    };
    let anthropic = |media_type, data| sent_to(ANTHROPIC, "anthropic", false, with_file(media_type, data));
    let text = anthropic("text/plain; charset=utf-8", "w6khIQ==").unwrap();
    assert!(text.contains(r#""source":{"type":"text","media_type":"text/plain","data":"é!!"}"#), "{text}");
    assert!(anthropic("application/pdf", "JVBERi0=").unwrap().contains(r#""type":"base64""#));
    for (media_type, data) in [("audio/wav", "AQID"), ("application/zip", "AQID"), ("text/plain", "/w==")] {
        let error = anthropic(media_type, data).unwrap_err();
        assert_eq!(error.path(), Some("prompt[0].content (file)"), "{media_type}");
    }
    let openai = |media_type| sent_to(OPENAI, "openai", false, with_file(media_type, "AQID"));
    assert!(openai("audio/mpeg").unwrap().contains(r#""input_audio":{"data":"AQID","format":"mp3"}"#));
    assert!(openai("application/pdf").unwrap().contains(r#""file_data":"data:application/pdf;base64,AQID""#));
    for media_type in ["video/mp4", "audio/flac"] {
        assert_eq!(openai(media_type).unwrap_err().path(), Some("prompt[0].content (file)"));
    }
}
