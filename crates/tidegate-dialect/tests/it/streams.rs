//! Streams of one dialect: bytes and facts. And the facts and ends of broken ones.

use bytes::Bytes;
use tidegate_dialect::AnswerFault;
use tidegate_dialect::refusal::Failure;
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_types::usage::{RefusalCause, Usage};

use crate::support::{ANTHROPIC, OPENAI, facts, file, run};

fn text(name: &str) -> String {
    String::from_utf8(file(name).to_vec()).unwrap()
}

const COUNTS: Usage = Usage {
    input_tokens: 100,
    output_tokens: 40,
    cached_input_tokens: 60,
    cache_creation_input_tokens: 0,
    reasoning_tokens: 15,
    requests: 1,
    ..Usage::from_counts([0; 16])
};

#[test]
fn a_stream_that_asked_for_usage_passes_byte_for_byte() {
    for name in ["text", "tools", "crlf", "multiline", "two_choices", "no_usage"] {
        let name = format!("openai/stream_{name}.sse");
        let ran = run(OPENAI, OPENAI, true, &[file(&name)]);
        assert_eq!(ran.out, text(&name));
        assert_eq!(ran.end, End::Complete);
        assert!(ran.facts.ended && ran.facts.started);
        assert_eq!(ran.facts.usage.is_some(), !name.contains("no_usage"));
    }
}

#[test]
fn whole_events_are_passed_as_slices_of_the_input() {
    let input = file("openai/stream_text.sse");
    let mut stream = AnswerStream::new(OPENAI, OPENAI, &facts(true));
    let mut out = Vec::new();
    stream.push(&input, &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].as_ptr(), input.as_ptr());
}

#[test]
fn unasked_usage_comes_with_the_last_choice_and_no_chunk_is_without() {
    for name in ["text", "tools", "crlf", "multiline", "two_choices"] {
        let ran = run(OPENAI, OPENAI, false, &[file(&format!("openai/stream_{name}.sse"))]);
        let mut with_usage = 0;
        let events = ran
            .out
            .trim_start_matches('\u{feff}')
            .replace("\r\n", "\n")
            .replace("\ndata: \"choices\"", "\"choices\"");
        for data in events.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
            if data == "[DONE]" {
                continue;
            }
            let chunk: serde_json::Value = serde_json::from_str(data).expect(data);
            let filter = chunk.get("prompt_filter_results").is_some();
            assert!(filter || !chunk["choices"].as_array().unwrap().is_empty(), "{name}: {data}");
            if chunk["usage"].is_object() {
                with_usage += 1;
                assert_eq!(chunk["usage"]["prompt_tokens_details"]["cached_tokens"], 60);
                assert!(chunk["choices"][0]["finish_reason"].is_string());
            }
        }
        assert_eq!(with_usage, 1, "{name}");
        assert_eq!(ran.facts.usage, Some(COUNTS));
        assert!(ran.out.trim_end().ends_with("data: [DONE]"));
    }
}

#[test]
fn the_finish_is_held_for_usage_and_let_go_when_told() {
    let input = text("openai/stream_text.sse");
    let (before, usage) =
        input.split_at(input.find(r#""choices": []"#).map(|at| input[..at].rfind("data").unwrap()).unwrap());
    let mut stream = AnswerStream::new(OPENAI, OPENAI, &facts(false));
    let mut out = Vec::new();
    stream.push(&Bytes::from(before.to_owned()), &mut out);
    assert!(stream.holding() && stream.facts().finished);
    assert!(!out.concat().windows(6).any(|w| w == b"\"stop\""));
    stream.release(&mut out);
    assert!(!stream.holding());
    assert_eq!(String::from_utf8(out.concat()).unwrap(), before, "released as it came");
    // The usage that comes too late is noted, and is not shown as a chunk without choices.
    stream.push(&Bytes::from(usage.to_owned()), &mut out);
    assert_eq!(stream.facts().usage, Some(COUNTS));
    assert_eq!(stream.end(&mut out), End::Complete);
    assert_eq!(String::from_utf8(out.concat()).unwrap(), format!("{before}data: [DONE]\n\n"));
}

#[test]
fn a_done_marker_is_never_made_up() {
    let input = text("openai/stream_text.sse").replace("data: [DONE]\n\n", "");
    let ran = run(OPENAI, OPENAI, false, &[input.into()]);
    assert_eq!(ran.end, End::Complete, "a missing marker is forgiven");
    assert!(!ran.out.contains("[DONE]"));
}

#[test]
fn usage_on_the_finish_chunk_itself_is_left_alone() {
    let input = r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}

data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}

data: [DONE]

"#;
    let ran = run(OPENAI, OPENAI, false, &[input.into()]);
    let second = input.find("data: {\"choices\":[]").unwrap();
    assert_eq!(ran.out, format!("{}data: [DONE]\n\n", &input[..second]));
}

#[test]
fn visible_output_is_counted_in_bytes() {
    let ran = run(OPENAI, OPENAI, true, &[file("openai/stream_text.sse")]);
    assert_eq!(ran.facts.visible_bytes, "Helélo 😀\n\"x\"".len() as u64);
    let ran = run(ANTHROPIC, ANTHROPIC, true, &[file("anthropic/stream_text.sse")]);
    assert_eq!(ran.facts.visible_bytes, "Helélo 😀\n\"x\"".len() as u64);
    let ran = run(OPENAI, OPENAI, true, &[file("openai/stream_tools.sse")]);
    let shown = r#"Let me look.I look it up.capital{"country":"France"}now{}"#.len() as u64;
    assert_eq!(ran.facts.visible_bytes, shown + 2 * 16);
}

#[test]
fn an_anthropic_stream_passes_byte_for_byte_with_its_last_counts() {
    for (name, reasoning) in [("text", 0), ("tools", 15)] {
        let name = format!("anthropic/stream_{name}.sse");
        let ran = run(ANTHROPIC, ANTHROPIC, true, &[file(&name)]);
        assert_eq!(ran.out, text(&name));
        let counts = Usage { cache_creation_input_tokens: 30, reasoning_tokens: reasoning, ..COUNTS };
        assert_eq!(ran.facts.usage, Some(counts), "cumulative, not added up");
        assert_eq!(ran.end, End::Complete);
    }
}

#[test]
fn an_error_as_the_first_event_leaves_failover_open() {
    let ran = run(ANTHROPIC, ANTHROPIC, true, &[file("anthropic/stream_overloaded.sse")]);
    assert!(!ran.facts.started, "message_start is no output");
    assert_eq!(ran.facts.fault, Some(AnswerFault::Reported));
    assert_eq!(ran.facts.reported.unwrap().kind.as_deref(), Some("overloaded_error"));
    assert_eq!(ran.end, End::Faulty);
}

#[test]
fn an_error_inside_a_stream_is_recognised_and_passed_on() {
    let ran = run(OPENAI, OPENAI, false, &[file("openai/stream_error.sse")]);
    assert!(ran.facts.started);
    assert_eq!(ran.facts.reported.unwrap().code.as_deref(), Some("internal_error"));
    assert_eq!(ran.end, End::Faulty);
    assert_eq!(ran.out, text("openai/stream_error.sse"));
}

#[test]
fn a_role_alone_is_no_output() {
    let role =
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    let ran = run(OPENAI, OPENAI, false, &[format!("{role}\n\n").into()]);
    assert!(!ran.facts.started);
    assert_eq!(ran.end, End::Truncated);
}

#[test]
fn a_cut_stream_is_truncated_and_half_an_event_is_not_shown() {
    let ran = run(ANTHROPIC, ANTHROPIC, true, &[file("anthropic/stream_cut.sse")]);
    assert_eq!(ran.end, End::Truncated);
    assert!(ran.out.ends_with("\n\n") && !ran.out.contains("\"lo\""));
    assert_eq!(ran.facts.visible_bytes, 3);
}

fn failure() -> Failure<'static> {
    Failure {
        cause: RefusalCause::UpstreamFailed,
        status: None,
        message: "the provider broke off",
        code: None,
        param: None,
        model: None,
        call_id: "gen_1",
    }
}

#[test]
fn a_failed_stream_ends_with_an_error_and_without_a_marker_of_success() {
    for (surface, target, name) in [
        (OPENAI, OPENAI, "openai/stream_text.sse"),
        (ANTHROPIC, ANTHROPIC, "anthropic/stream_text.sse"),
        (OPENAI, ANTHROPIC, "anthropic/stream_text.sse"),
        (ANTHROPIC, OPENAI, "openai/stream_text.sse"),
    ] {
        let input = file(name);
        let mut stream = AnswerStream::new(surface, target, &facts(false));
        let mut out = Vec::new();
        stream.push(&input.slice(..input.len() / 3), &mut out);
        stream.fail(&failure(), &mut out);
        let out = String::from_utf8(out.concat()).unwrap();
        assert!(!out.contains("[DONE]") && !out.contains("message_stop"));
        let last = out.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.contains("\"error\"") && last.contains("the provider broke off"), "{last}");
    }
}

#[test]
fn an_error_after_an_unterminated_event_starts_on_its_own() {
    let input = r#"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#;
    let mut stream = AnswerStream::new(OPENAI, OPENAI, &facts(false));
    let mut out = Vec::new();
    stream.push(&input.into(), &mut out);
    assert_eq!(stream.end(&mut out), End::Truncated);
    stream.fail(&failure(), &mut out);
    let out = String::from_utf8(out.concat()).unwrap();
    assert!(out.starts_with(&format!("{input}\n\ndata: {{\"error\"")), "{out}");
}

#[test]
fn an_endless_line_is_a_fault() {
    let mut stream = AnswerStream::new(OPENAI, OPENAI, &facts(false));
    let mut out = Vec::new();
    for _ in 0..2048 {
        stream.push(&Bytes::from(vec![b'x'; 1024]), &mut out);
    }
    assert_eq!(stream.facts().fault, Some(AnswerFault::TooLong));
    assert!(out.is_empty());
}

#[test]
fn unreadable_events_end_the_stream_and_are_paid_for() {
    for dialect in [OPENAI, ANTHROPIC] {
        let ran = run(dialect, dialect, false, &["data: {not json\n\ndata: {}\n\n".into()]);
        assert_eq!((ran.out.as_str(), ran.end), ("", End::Faulty));
        assert!(!ran.facts.started && ran.facts.visible_bytes > 0, "another candidate may answer");
    }
}

#[test]
fn odd_counts_are_not_believed() {
    let odd = |usage: &str| {
        let chunk = format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
        run(OPENAI, OPENAI, true, &[chunk.into()]).facts.usage
    };
    assert_eq!(odd(r#"{"prompt_tokens":-1,"completion_tokens":2}"#), None);
    assert_eq!(odd(r#"{"prompt_tokens":1e400,"completion_tokens":2}"#), None);
    assert_eq!(odd(r#"{"prompt_tokens":"1","completion_tokens":2}"#), None);
    assert_eq!(odd(r#"{"prompt_tokens":1}"#), None);
    assert_eq!(odd(r#"{"prompt_tokens":1.0,"completion_tokens":2e0}"#).unwrap().output_tokens, 2);
    let apart = r#"{"prompt_tokens":5,"completion_tokens":2,"total_tokens":17,"completion_tokens_details":{"reasoning_tokens":10}}"#;
    assert_eq!(odd(apart).unwrap().output_tokens, 12, "reasoning that is counted apart");
}

#[test]
fn a_first_guess_is_no_usage() {
    let start = r#"{"type":"message_start","message":{"id":"m","model":"x","content":[],"usage":{"input_tokens":10,"output_tokens":1}}}"#;
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"many words"}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null}}"#;
    let events = [start, block, stop, end, r#"{"type":"message_stop"}"#];
    let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    for surface in [ANTHROPIC, OPENAI] {
        let ran = run(surface, ANTHROPIC, false, &[text.clone().into()]);
        assert_eq!((ran.end, ran.facts.usage), (End::Complete, None), "{surface:?}");
    }
}
