//! Streams: passed, translated, cut and broken.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::refusal::Failure;
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_dialect::{AnswerFault, Dialect};
use tidegate_types::usage::{RefusalCause, Usage};

use super::{RESPONSES, json, text};
use crate::support::{ANTHROPIC, OPENAI, Ran, facts, file, run};

const STREAMS: [&str; 7] = ["text", "tools", "incomplete", "failed", "error", "whole_items", "web_search"];

fn stream(name: &str) -> Bytes {
    file(&format!("responses/stream_{name}.sse"))
}

fn data(out: &str) -> Vec<serde_json::Value> {
    out.lines().filter_map(|line| line.strip_prefix("data: ")).map(json).collect()
}

fn shown(ran: &Ran) -> (String, String) {
    (ran.out.clone(), format!("{:?} {:?}", ran.facts, ran.end))
}

#[test]
fn a_stream_passes_byte_for_byte_with_its_counts() {
    for name in ["text", "tools", "incomplete", "whole_items", "web_search"] {
        let ran = run(RESPONSES, RESPONSES, true, &[stream(name)]);
        assert_eq!(ran.out.as_bytes(), stream(name), "{name}");
        assert_eq!(ran.end, End::Complete, "{name}");
        assert!(ran.facts.started && ran.facts.ended, "{name}");
        let usage = ran.facts.usage.unwrap();
        let searches = if name == "web_search" { 2 } else { 0 };
        let expected = Usage {
            input_tokens: 100,
            output_tokens: 40,
            cached_input_tokens: 60,
            reasoning_tokens: 15,
            requests: 1,
            searches,
            ..Usage::default()
        };
        assert_eq!(usage, expected, "{name}");
    }
    let ran = run(RESPONSES, RESPONSES, true, &[stream("text")]);
    assert_eq!(ran.facts.visible_bytes, "Helélo 😀\n\"x\"".len() as u64);
    let ran = run(RESPONSES, RESPONSES, true, &[stream("tools")]);
    let said = r#"Let me look.Twice.I look it up.capital{"country":"France"}now{}"#.len() as u64;
    assert_eq!(ran.facts.visible_bytes, said + 2 * 16);
    let ran = run(RESPONSES, RESPONSES, true, &[stream("whole_items")]);
    assert_eq!(ran.facts.visible_bytes, "I cannot.".len() as u64);
}

#[test]
fn streams_translate_both_ways() {
    for (surface, target, name) in [
        (ANTHROPIC, RESPONSES, "responses/stream_tools.sse"),
        (OPENAI, RESPONSES, "responses/stream_tools.sse"),
        (OPENAI, RESPONSES, "responses/stream_whole_items.sse"),
        (ANTHROPIC, RESPONSES, "responses/stream_incomplete.sse"),
        (RESPONSES, OPENAI, "openai/stream_tools.sse"),
        (RESPONSES, OPENAI, "openai/stream_no_usage.sse"),
        (RESPONSES, ANTHROPIC, "anthropic/stream_tools.sse"),
        (RESPONSES, ANTHROPIC, "anthropic/stream_text.sse"),
    ] {
        let ran = run(surface, target, true, &[file(name)]);
        assert_eq!(ran.end, End::Complete, "{name}");
        let name = format!("{}_as_{surface:?}", name.replace('/', "_"));
        insta::assert_snapshot!(name, format!("{}{:?}", ran.out, ran.facts));
    }
}

#[test]
fn a_stream_there_and_back_says_the_same() {
    let there = run(ANTHROPIC, RESPONSES, true, &[stream("tools")]);
    let back = run(RESPONSES, ANTHROPIC, true, &[there.out.into()]);
    let (first, last) = (data(&text("responses/stream_tools.sse")), data(&back.out));
    let output = |events: &[serde_json::Value]| events.last().unwrap()["response"]["output"].clone();
    let strip = |mut items: serde_json::Value| {
        for item in items.as_array_mut().unwrap() {
            item.as_object_mut().unwrap().remove("id");
            item.as_object_mut().unwrap().remove("status");
        }
        items
    };
    let mut first = strip(output(&first));
    first[0]["summary"] = serde_json::json!([{"type": "summary_text", "text": "Let me look.\n\nTwice."}]);
    assert_eq!(first, strip(output(&last)), "reasoning is sealed for OpenAI as it was");
    assert_eq!(back.facts.usage, there.facts.usage);
}

/// What the reference demands of every stream.
fn assert_grammar(out: &str) {
    let events = data(out);
    assert_eq!(events[0]["type"], "response.created");
    let names: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let mut open: Option<u64> = None;
    let mut done = Vec::new();
    for (at, (event, name)) in events.iter().zip(&names).enumerate() {
        assert_eq!(event["sequence_number"], at);
        assert_eq!(event["type"], **name);
        match *name {
            "response.output_item.added" => {
                assert_eq!(open.replace(event["output_index"].as_u64().unwrap()), None);
            }
            "response.output_item.done" => {
                assert_eq!(open.take(), event["output_index"].as_u64());
                done.push(event["item"].clone());
            }
            "response.created" | "response.in_progress" | "response.completed" | "response.incomplete" => {}
            _ => assert_eq!(open, event["output_index"].as_u64(), "{event}"),
        }
    }
    let last = events.last().unwrap();
    assert_eq!(last["response"]["output"], serde_json::Value::Array(done));
    assert_eq!(open, None);
    assert!(!out.contains("[DONE]"));
}

#[test]
fn written_streams_follow_the_grammar() {
    for name in ["text", "tools"] {
        assert_grammar(
            &run(RESPONSES, ANTHROPIC, true, &[file(&format!("anthropic/stream_{name}.sse"))]).out,
        );
        assert_grammar(&run(RESPONSES, OPENAI, true, &[file(&format!("openai/stream_{name}.sse"))]).out);
    }
    assert_grammar(&text("responses/stream_tools.sse"));
}

fn assert_cut_anywhere(surface: Dialect, target: Dialect, name: &str) {
    let input = file(name);
    let whole = shown(&run(surface, target, true, std::slice::from_ref(&input)));
    for at in 0..=input.len() {
        let cut = [input.slice(..at), input.slice(at..)];
        assert_eq!(shown(&run(surface, target, true, &cut)), whole, "{name} cut at {at}");
    }
    let bytes: Vec<Bytes> = (0..input.len()).map(|at| input.slice(at..=at)).collect();
    assert_eq!(shown(&run(surface, target, true, &bytes)), whole, "{name} byte by byte");
}

#[test]
fn every_passed_stream_cut_at_every_byte_gives_the_same() {
    for name in STREAMS {
        assert_cut_anywhere(RESPONSES, RESPONSES, &format!("responses/stream_{name}.sse"));
    }
}

#[test]
fn every_stream_to_other_clients_cut_at_every_byte_gives_the_same() {
    for name in STREAMS {
        assert_cut_anywhere(ANTHROPIC, RESPONSES, &format!("responses/stream_{name}.sse"));
    }
    assert_cut_anywhere(OPENAI, RESPONSES, "responses/stream_whole_items.sse");
}

#[test]
fn every_stream_from_other_providers_cut_at_every_byte_gives_the_same() {
    assert_cut_anywhere(RESPONSES, OPENAI, "openai/stream_tools.sse");
    assert_cut_anywhere(RESPONSES, ANTHROPIC, "anthropic/stream_tools.sse");
}

#[test]
fn reported_errors_are_recognised() {
    let ran = run(RESPONSES, RESPONSES, true, &[stream("error")]);
    assert!(!ran.facts.started, "failover is still open");
    assert_eq!(ran.facts.fault, Some(AnswerFault::Reported));
    let reported = ran.facts.reported.unwrap();
    assert_eq!(
        (reported.code.as_deref(), reported.message.expose()),
        (Some("rate_limit_exceeded"), "Too many.")
    );
    for surface in [RESPONSES, OPENAI, ANTHROPIC] {
        let ran = run(surface, RESPONSES, true, &[stream("failed")]);
        assert!(ran.facts.started);
        assert_eq!(ran.end, End::Faulty);
        let reported = ran.facts.reported.unwrap();
        assert_eq!(
            (reported.code.as_deref(), reported.message.expose()),
            (Some("server_error"), "The model is broken.")
        );
    }
    // Both shapes that services use.
    for error in [
        r#"{"type":"error","sequence_number":2,"error":{"type":"server_error","code":"c","message":"m","param":null}}"#,
        r#"{"error":{"type":"server_error","code":"c","message":"m"}}"#,
    ] {
        for surface in [RESPONSES, OPENAI] {
            let ran = run(surface, RESPONSES, true, &[format!("data: {error}\n\n").into()]);
            let reported = ran.facts.reported.unwrap();
            assert_eq!(
                (reported.kind.as_deref(), reported.code.as_deref()),
                (Some("server_error"), Some("c"))
            );
        }
    }
}

#[test]
fn a_broken_stream_has_no_end() {
    let input = stream("tools");
    for surface in [RESPONSES, OPENAI, ANTHROPIC] {
        let ran = run(surface, RESPONSES, true, &[input.slice(..input.len() / 2)]);
        assert_eq!(ran.end, End::Truncated);
    }
    let other = file("anthropic/stream_text.sse");
    let ran = run(RESPONSES, ANTHROPIC, true, &[other.slice(..other.len() / 2)]);
    assert_eq!(ran.end, End::Truncated);
    assert!(!ran.out.contains("response.completed"));
}

#[test]
fn a_failed_stream_ends_with_an_error_that_every_sdk_sees() {
    let failure = Failure {
        cause: RefusalCause::UpstreamFailed,
        status: None,
        message: "the provider broke off",
        code: None,
        param: None,
        call_id: "gen_1",
        model: None,
    };
    let mut stream = AnswerStream::new(RESPONSES, ANTHROPIC, &facts(true));
    let mut out = Vec::new();
    let input = file("anthropic/stream_text.sse");
    stream.push(&input.slice(..input.len() / 2), &mut out);
    stream.fail(&failure, &mut out);
    let out = String::from_utf8(out.concat()).unwrap();
    let (_, last) = out.trim_end().rsplit_once("\n\n").unwrap();
    insta::assert_snapshot!(last);
}

#[test]
fn streams_that_make_no_sense_are_faults() {
    let item = |index: u64, item: &str| {
        format!(
            "data: {{\"type\":\"response.output_item.added\",\"output_index\":{index},\"item\":{item}}}\n\n"
        )
    };
    let call = r#"{"type":"function_call","call_id":"c","name":"f"}"#;
    let cases = [
        item(0, call) + &item(1, call),
        item(0, r#"{"type":"web_search_call"}"#),
        item(0, call)
            + "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"x\"}\n\n",
        "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"strange\"}}\n\n".to_owned(),
        "data: {}\n\n".to_owned(),
        "data: {not json\n\n".to_owned(),
    ];
    for case in cases {
        let ran = run(ANTHROPIC, RESPONSES, true, &[case.clone().into()]);
        assert_eq!(ran.end, End::Faulty, "{case}");
    }
}

/// Pieces of a stream from which any stream can be built, good or bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let events = ["text", "tools", "failed", "error", "web_search"]
        .map(|name| text(&format!("responses/stream_{name}.sse")));
    let events: Vec<String> =
        events.iter().flat_map(|stream| stream.split_inclusive("\n\n").map(str::to_owned)).collect();
    prop_oneof![
        8 => prop::sample::select(events).prop_map(String::into_bytes),
        1 => prop::sample::select(vec!["data: ", "\n\n", "\r\n", ": ping\n\n", "data: [DONE]\n\n", "data: {\"type\":\"error\"}\n\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
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
        for surface in [RESPONSES, OPENAI, ANTHROPIC] {
            prop_assert_eq!(raw(surface, &parts), raw(surface, std::slice::from_ref(&input)));
        }
    }
}

fn raw(surface: Dialect, pieces: &[Bytes]) -> (Vec<u8>, String) {
    let mut stream = AnswerStream::new(surface, RESPONSES, &facts(true));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (out.concat(), format!("{:?} {end:?}", stream.facts()))
}
