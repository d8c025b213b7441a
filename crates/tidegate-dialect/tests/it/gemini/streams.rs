//! Streams of Gemini, passed through and translated, however they are cut.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_dialect::{Dialect, read};

use super::GEMINI;
use crate::support::{ANTHROPIC, OPENAI, Ran, facts, file, run};

const STREAMS: [&str; 8] = [
    "gemini/stream_text.sse",
    "gemini/stream_tools.sse",
    "gemini/stream_signed_text.sse",
    "gemini/stream_limit.sse",
    "gemini/stream_blocked.sse",
    "gemini/stream_error.sse",
    "gemini/stream_cut.sse",
    "gemini/stream_late_usage.sse",
];

#[test]
fn streams_translate_both_ways() {
    for (surface, target, name) in [
        (OPENAI, GEMINI, "gemini/stream_text.sse"),
        (OPENAI, GEMINI, "gemini/stream_tools.sse"),
        (ANTHROPIC, GEMINI, "gemini/stream_tools.sse"),
        (ANTHROPIC, GEMINI, "gemini/stream_signed_text.sse"),
        (ANTHROPIC, GEMINI, "gemini/stream_blocked.sse"),
        (OPENAI, GEMINI, "gemini/stream_limit.sse"),
        (OPENAI, GEMINI, "gemini/stream_late_usage.sse"),
        (GEMINI, OPENAI, "openai/stream_tools.sse"),
        (GEMINI, ANTHROPIC, "anthropic/stream_tools.sse"),
    ] {
        let ran = run(surface, target, true, &[file(name)]);
        assert_eq!(ran.end, End::Complete, "{name}");
        let title = format!("{}_to_{surface:?}", name.replace('/', "_"));
        insta::assert_snapshot!(title, format!("{}{:?}", ran.out.replace('\r', ""), ran.facts));
    }
}

#[test]
fn a_stream_that_is_passed_on_is_watched_and_not_touched() {
    for name in STREAMS {
        let ran = run(GEMINI, GEMINI, true, &[file(name)]);
        assert_eq!(ran.out.as_bytes(), file(name), "{name}");
        let expected = match name {
            "gemini/stream_error.sse" => End::Faulty,
            "gemini/stream_cut.sse" => End::Truncated,
            _ => End::Complete,
        };
        assert_eq!(ran.end, expected, "{name}");
        // The counts are the same as those that a translation reads.
        if expected == End::Complete {
            assert_eq!(ran.facts.usage, run(OPENAI, GEMINI, true, &[file(name)]).facts.usage, "{name}");
            assert!(ran.facts.usage.is_some(), "{name}");
        }
    }
    let error = run(GEMINI, GEMINI, true, &[file("gemini/stream_error.sse")]).facts.reported.unwrap();
    assert_eq!((error.kind.as_deref(), error.code.as_deref()), (Some("UNAVAILABLE"), Some("503")));
}

#[test]
fn the_stream_for_a_gemini_client_has_nothing_but_data() {
    for (target, name) in
        [(ANTHROPIC, "anthropic/stream_text.sse"), (ANTHROPIC, "anthropic/stream_tools.sse")]
    {
        let ran = run(GEMINI, target, true, &[file(name)]);
        for line in ran.out.split("\r\n").filter(|line| !line.is_empty()) {
            let json: serde_json::Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
            assert!(json["candidates"][0]["content"]["parts"][0].is_object(), "{line}");
        }
    }
}

fn shown(ran: &Ran) -> (String, String) {
    (ran.out.clone(), format!("{:?} {:?}", ran.facts, ran.end))
}

#[test]
fn every_stream_cut_at_every_byte_gives_the_same() {
    for name in STREAMS {
        let input = file(name);
        for surface in [GEMINI, OPENAI, ANTHROPIC] {
            let whole = shown(&run(surface, GEMINI, false, std::slice::from_ref(&input)));
            for at in 0..=input.len() {
                let cut = [input.slice(..at), input.slice(at..)];
                assert_eq!(shown(&run(surface, GEMINI, false, &cut)), whole, "{name} cut at {at}");
            }
            let bytes: Vec<Bytes> = (0..input.len()).map(|at| input.slice(at..=at)).collect();
            assert_eq!(shown(&run(surface, GEMINI, false, &bytes)), whole, "{name} byte by byte");
        }
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "data: ", "\n", "\r\n\r\n", "\n\n", ": ping\n\n",
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"é","thought":true,"thoughtSignature":"c2ln"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c"}]}}]}"#,
            r#"{"candidates":[{"content":{},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}"#,
            r#"{"candidates":[{"index":7,"content":{"parts":[{}]}}]}"#,
            r#"{"promptFeedback":{"blockReason":"X"}}"#,
            r#"{"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}"#,
            r#"{"error":{"code":500,"message":"m"}}"#,
            r#"{"candidates":[{"finishReason":"OTHER"}]}"#,
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ]
}

fn raw(surface: Dialect, pieces: &[Bytes]) -> (Vec<u8>, String) {
    let mut stream = AnswerStream::new(surface, GEMINI, &facts(true));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (out.concat(), format!("{:?} {end:?}", stream.facts()))
}

/// Names that mean something somewhere in a body.
const NAMES: &[&str] = &[
    "contents",
    "parts",
    "role",
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "inline_data",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "functionCall",
    "functionResponse",
    "name",
    "args",
    "response",
    "id",
    "tools",
    "functionDeclarations",
    "parameters",
    "parameters_json_schema",
    "type",
    "properties",
    "items",
    "anyOf",
    "nullable",
    "enum",
    "minItems",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "allowedFunctionNames",
    "generationConfig",
    "generation_config",
    "maxOutputTokens",
    "max_output_tokens",
    "thinkingConfig",
    "thinkingBudget",
    "stopSequences",
    "responseSchema",
    "responseMimeType",
    "systemInstruction",
    "safetySettings",
    "labels",
    "x",
];

/// Bodies from which good and bad requests can be built.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "user",
            "model",
            "STRING",
            "OBJECT",
            "image/png",
            "text",
            "ANY",
            "AAAA",
            "é"
        ])
        .prop_map(Value::from),
        Just(json!({"text": "x"})),
    ];
    let keys = prop::sample::select(NAMES);
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..5).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn any_stream_under_any_split_gives_the_same_and_never_panics(
        pieces in prop::collection::vec(piece(), 0..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let input = Bytes::from(pieces.concat());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let parts: Vec<Bytes> = cuts.windows(2).map(|pair| input.slice(pair[0]..pair[1])).collect();
        for surface in [GEMINI, OPENAI, ANTHROPIC] {
            prop_assert_eq!(raw(surface, &parts), raw(surface, std::slice::from_ref(&input)));
        }
    }

    #[test]
    fn any_body_is_read_edited_and_translated_without_panic_and_what_leaves_is_json(
        contents in value(), config in value(), tools in value(), system in value(), snake in any::<bool>(),
    ) {
        let config_name = if snake { "generation_config" } else { "generationConfig" };
        let body = serde_json::json!({"contents": contents, config_name: config, "tools": tools, "systemInstruction": system});
        for body in [body.to_string(), contents.to_string()] {
            let outside = read::Outside { model: Some("m"), stream: Some(true), ..read::Outside::default() };
            let Ok(call) = read::call(GEMINI, outside, body.into()) else { continue };
            for target in [GEMINI, OPENAI, ANTHROPIC] {
                let edits = tidegate_dialect::outbound::Edits { output_limit: Some(7), ..crate::support::edits("m") };
                if let Ok(sent) = tidegate_dialect::outbound::request(&call, target, &edits) {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok());
                }
            }
        }
    }
}
