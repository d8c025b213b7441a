//! Answers, streams and errors.

use bytes::Bytes;
use tidegate_dialect::Dialect;
use tidegate_dialect::answer::{AnswerFacts, Costing, Note, NotePlace, complete};
use tidegate_dialect::refusal::Failure;
use tidegate_dialect::stream::AnswerStream;
use tidegate_types::NanoUsd;
use tidegate_types::usage::RefusalCause;

use super::{AI_SDK, sent_to};
use crate::support::{ANTHROPIC, OPENAI, facts, file, lines};

fn noted(spec: u8) -> AnswerFacts {
    let note = Note {
        generation_id: "gen_1".into(),
        costing: Costing::new(|usage| NanoUsd::new(1000 * usage.output_tokens as i64)),
        provider: "acme".to_owned(),
        place: NotePlace::AiSdk,
        routing: Some(Bytes::from_static(br#"{"finalProvider":"openai"}"#)),
    };
    AnswerFacts { spec, note: Some(note), warnings: vec!["so it is".into()], ..facts(true) }
}

#[test]
fn whole_answers_of_every_version() {
    for (target, name) in [
        (OPENAI, "openai/answer.json"),
        (ANTHROPIC, "anthropic/answer.json"),
        (Dialect::Gemini, "gemini/answer.json"),
        (Dialect::OpenaiResponses, "responses/answer.json"),
    ] {
        let shown = [2, 3, 4].map(|spec| {
            let answer = complete(AI_SDK, target, &file(name), &noted(spec)).unwrap();
            let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            lines(&text)
        });
        assert_eq!(shown[1], shown[2]);
        insta::assert_snapshot!(name.replace('/', "_"), shown[..2].join("\n\n"));
    }
}

/// A whole answer as the client sends it back in the next turn.
fn echoed(target: Dialect, name: &str) -> String {
    let answer = complete(AI_SDK, target, &file(name), &noted(4)).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
    let parts = answer["content"].as_array().unwrap().iter().map(|part| {
        let mut part = part.clone();
        if let Some(metadata) = part.as_object_mut().unwrap().remove("providerMetadata") {
            part["providerOptions"] = metadata;
        }
        part
    });
    let content: Vec<_> = parts.collect();
    serde_json::json!({ "prompt": [{ "role": "assistant", "content": content }] }).to_string()
}

#[test]
fn signatures_come_back_to_who_made_them_and_to_nobody_else() {
    let cases = [
        (ANTHROPIC, "anthropic/answer.json", &["c2ln", "ZW5j"][..]),
        (Dialect::Gemini, "gemini/answer.json", &["Z2VtaW5pLXNpZw=="]),
        (Dialect::OpenaiResponses, "responses/answer.json", &["gAAAAsealed"]),
    ];
    for (maker, name, signatures) in cases {
        let body = echoed(maker, name);
        for target in [ANTHROPIC, Dialect::Gemini, Dialect::OpenaiResponses, OPENAI] {
            let sent = sent_to(target, "", false, body.clone()).unwrap();
            for signature in signatures {
                assert_eq!(sent.contains(signature), target == maker, "{maker:?} to {target:?}: {sent}");
            }
        }
    }
}

fn stream(spec: u8, target: Dialect, pieces: &[Bytes]) -> (String, String) {
    let mut stream = AnswerStream::new(AI_SDK, target, &noted(spec));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (String::from_utf8(out.concat()).unwrap(), format!("{:?} {end:?}", stream.facts()))
}

#[test]
fn streams_of_every_version() {
    for (target, name) in [
        (OPENAI, "openai/stream_tools.sse"),
        (OPENAI, "openai/stream_no_usage.sse"),
        (ANTHROPIC, "anthropic/stream_tools.sse"),
        (Dialect::Gemini, "gemini/stream_tools.sse"),
        (Dialect::Gemini, "gemini/stream_signed_text.sse"),
        (Dialect::OpenaiResponses, "responses/stream_tools.sse"),
    ] {
        let shown = [2, 3, 4].map(|spec| stream(spec, target, &[file(name)]).0);
        assert_eq!(shown[1], shown[2]);
        // Nothing but the finish differs between versions.
        let body = |text: &str| text.lines().filter(|line| !line.contains("\"finish\"")).collect::<String>();
        assert_eq!(body(&shown[0]), body(&shown[1]));
        insta::assert_snapshot!(name.replace('/', "_"), shown[..2].join("\n"));
    }
}

/// Every recorded stream, by its target.
fn recorded() -> Vec<(Dialect, String)> {
    let folders = [
        ("openai", OPENAI),
        ("anthropic", ANTHROPIC),
        ("responses", Dialect::OpenaiResponses),
        ("gemini", Dialect::Gemini),
        ("cohere", Dialect::CohereChat),
    ];
    let mut found = Vec::new();
    for (folder, target) in folders {
        let path = format!("{}/testdata/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with(".sse") {
                found.push((target, format!("{folder}/{name}")));
            }
        }
    }
    assert!(found.len() > 8);
    found
}

#[test]
fn every_stream_of_every_target_cut_at_every_byte_gives_the_same() {
    for (target, name) in recorded() {
        let input = file(&name);
        let whole = stream(4, target, std::slice::from_ref(&input));
        let bytes: Vec<Bytes> = (0..input.len()).map(|at| input.slice(at..=at)).collect();
        assert_eq!(stream(4, target, &bytes), whole, "{name} byte by byte");
        // Long ones not at every byte, but at bytes all over.
        for at in (0..=input.len()).step_by(1 + input.len() / 1000) {
            let cut = stream(4, target, &[input.slice(..at), input.slice(at..)]);
            assert_eq!(cut, whole, "{name} cut at {at}");
        }
    }
}

#[test]
fn a_stream_that_fails_says_so_and_then_finishes_without_a_mark_of_success() {
    for whole in [0, 1, 4] {
        let input = file("anthropic/stream_text.sse");
        let events: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let pieces: Vec<u8> = events.iter().take(whole * 3).copied().flatten().copied().collect();
        let mut stream = AnswerStream::new(AI_SDK, ANTHROPIC, &noted(4));
        let mut out = Vec::new();
        stream.push(&Bytes::from(pieces), &mut out);
        let failure = Failure {
            cause: RefusalCause::UpstreamFailed,
            status: None,
            message: "it broke off",
            code: None,
            param: None,
            model: None,
            call_id: "gen_1",
        };
        stream.fail(&failure, &mut out);
        let text = String::from_utf8(out.concat()).unwrap();
        assert!(text.starts_with("data: {\"type\":\"stream-start\""), "{text}");
        let error = text.find("\"type\":\"error\"").unwrap();
        let finish = text.find("\"finishReason\":{\"unified\":\"error\"}").unwrap();
        assert!(error < finish && !text.contains("[DONE]"), "{text}");
        assert!(text.contains("\"statusCode\":502,\"isRetryable\":true"));
        assert_eq!(text.matches("-start\",\"id\"").count(), text.matches("-end\",\"id\"").count());
    }
}

#[test]
fn errors_are_nested_and_name_the_model() {
    let failure = Failure {
        cause: RefusalCause::UnknownModel,
        status: None,
        message: "no such model",
        code: None,
        param: Some("model"),
        model: Some("x/y"),
        call_id: "gen_1",
    };
    let body = tidegate_dialect::refusal::body(AI_SDK, &failure);
    assert_eq!(body.status, 404);
    assert_eq!(
        String::from_utf8(body.bytes).unwrap(),
        r#"{"error":{"message":"no such model","type":"model_not_found","param":{"modelId":"x/y"},"code":"model_not_found"},"generationId":"gen_1"}"#
    );
}
