//! Usage as Groq's streams tell it, and where Groq's client looks for it. Source: the types of the package
//! `groq` 1.7.0 and pydantic-ai 2.62.0, which reads tokens there and the cost beside it.

use serde_json::Value;
use tidegate_dialect::answer::{AnswerFacts, Costing, Note, NotePlace};
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_dialect::{Dialect, stream::Facts};
use tidegate_types::NanoUsd;

use crate::support::{ANTHROPIC, OPENAI, facts, file};

fn noted(asked_usage: bool, place: NotePlace) -> AnswerFacts {
    let note = Note {
        generation_id: "gen_1".into(),
        costing: Costing::new(|usage| NanoUsd::new(i64::try_from(usage.input_tokens).unwrap())),
        provider: "acme".to_owned(),
        place,
        routing: None,
    };
    AnswerFacts { note: Some(note), ..facts(asked_usage) }
}

/// Chunks as a client gets them.
fn chunks(target: Dialect, facts: &AnswerFacts, name: &str) -> (Vec<Value>, Facts) {
    let mut stream = AnswerStream::new(OPENAI, target, facts);
    let mut out = Vec::new();
    stream.push(&file(name), &mut out);
    assert!(!stream.holding(), "nothing waits for a usage that has been told");
    assert_eq!(stream.end(&mut out), End::Complete);
    let out = String::from_utf8(out.concat()).unwrap();
    let events = out.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    (events.map(|data| serde_json::from_str(data).unwrap()).collect(), stream.facts().clone())
}

#[test]
fn usage_that_only_groq_tells_so_is_counted_and_goes_where_all_clients_look() {
    for asked in [true, false] {
        let facts = noted(asked, NotePlace::ProviderMetadata);
        let (chunks, seen) = chunks(OPENAI, &facts, "openai/stream_groq.sse");
        let usage = seen.usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.requests), (100, 40, 1));
        assert_eq!(chunks[2]["x_groq"]["usage"]["completion_tokens"], 40, "it stays where it was");
        // Who asked for it gets the chunk that was asked for, behind all others.
        assert_eq!(chunks.len(), if asked { 4 } else { 3 });
        let last = chunks.last().unwrap();
        assert_eq!(last["choices"].as_array().unwrap().is_empty(), asked);
        assert_eq!((&last["id"], &last["usage"]["completion_tokens"]), (&chunks[0]["id"], &Value::from(40)));
        assert_eq!(last["usage"]["cost"].to_string(), "1e-7", "{last}");
    }
    let other = noted(true, NotePlace::ProviderMetadata);
    let mut stream = AnswerStream::new(ANTHROPIC, OPENAI, &other);
    let mut out = Vec::new();
    stream.push(&file("openai/stream_groq.sse"), &mut out);
    assert_eq!(stream.end(&mut out), End::Complete);
    let out = String::from_utf8(out.concat()).unwrap();
    assert!(out.contains(r#""output_tokens":40"#), "{out}");
}

#[test]
fn usage_that_is_told_twice_is_told_once() {
    let mut stream = AnswerStream::new(OPENAI, OPENAI, &noted(true, NotePlace::ProviderMetadata));
    let body = String::from_utf8(file("openai/stream_groq.sse").to_vec()).unwrap();
    let own = r#"data: {"id":"chatcmpl-g","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140}}"#;
    let body = body.replace("data: [DONE]", &format!("{own}\n\ndata: [DONE]"));
    let mut out = Vec::new();
    stream.push(&body.into(), &mut out);
    assert_eq!(stream.end(&mut out), End::Complete);
    let out = String::from_utf8(out.concat()).unwrap();
    assert_eq!(out.matches(r#""choices":[],"#).count(), 1, "{out}");
}

#[test]
fn groqs_client_finds_tokens_and_cost_in_one_chunk_whoever_answers() {
    for (target, name, tokens) in [
        (OPENAI, "openai/stream_groq.sse", 40),
        (OPENAI, "openai/stream_text.sse", 40),
        (ANTHROPIC, "anthropic/stream_text.sse", 0),
    ] {
        let (chunks, seen) = chunks(target, &noted(false, NotePlace::Groq), name);
        let told: Vec<&Value> = chunks.iter().filter(|chunk| !chunk["x_groq"]["usage"].is_null()).collect();
        let [chunk] = told[..] else { panic!("{name}: {chunks:?}") };
        let output = seen.usage.unwrap().output_tokens;
        assert!(tokens == 0 || tokens == output);
        assert_eq!(chunk["x_groq"]["usage"]["completion_tokens"], output, "{chunk}");
        assert!(chunk["usage"]["logfire_ai_gateway"]["cost"].is_string(), "{chunk}");
        assert!(chunk["choices"][0]["finish_reason"].is_string(), "loops read the first choice unguarded");
        assert!(chunk["choices"][0]["delta"].get("provider_metadata").is_none());
    }
}
