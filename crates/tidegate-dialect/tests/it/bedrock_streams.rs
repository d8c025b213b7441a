//! Bedrock's answers, streams and errors: translated both ways, passed through, cut at every byte.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::answer::complete;
use tidegate_dialect::refusal::{self, Failure};
use tidegate_dialect::stream::{AnswerStream, End, Facts};
use tidegate_dialect::{AnswerFault, Dialect};
use tidegate_types::usage::{RefusalCause, Usage};

use crate::eventstream::{STREAMS, shown};
use crate::support::{ANTHROPIC, OPENAI, facts, file, lines};

const BEDROCK: Dialect = Dialect::BedrockConverse;

fn counts() -> Usage {
    Usage {
        input_tokens: 60,
        output_tokens: 25,
        cached_input_tokens: 20,
        cache_creation_input_tokens: 30,
        cache_creation_1h_input_tokens: 12,
        requests: 1,
        ..Usage::default()
    }
}

#[test]
fn whole_answers_translate_both_ways() {
    let original = file("bedrock/answer.json");
    for surface in [OPENAI, ANTHROPIC] {
        let answer = complete(surface, BEDROCK, &original, &facts(false)).unwrap();
        assert_eq!(answer.usage, Some(counts()), "counts of the cache are apart");
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        insta::assert_snapshot!(format!("bedrock_answer_as_{}", surface.as_str()), lines(&text));
    }
    for (target, name) in [(OPENAI, "openai/answer.json"), (ANTHROPIC, "anthropic/answer.json")] {
        let answer = complete(BEDROCK, target, &file(name), &facts(false)).unwrap();
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        insta::assert_snapshot!(format!("{}_answer_as_bedrock", target.as_str()), lines(&text));
        let again = complete(BEDROCK, BEDROCK, &answer.bytes, &facts(false)).unwrap();
        let seen =
            |usage: Option<Usage>| usage.map(|u| (u.input_tokens, u.output_tokens, u.cached_input_tokens));
        assert_eq!(seen(again.usage), seen(answer.usage), "what is written reads back");
    }
    let same = complete(BEDROCK, BEDROCK, &original, &facts(false)).unwrap();
    assert_eq!((same.bytes, same.usage), (original, Some(counts())));
    for body in [r#"{"message":"x"}"#, r#"{"output":{}}"#] {
        assert!(complete(BEDROCK, BEDROCK, &body.into(), &facts(false)).is_err());
    }
    let stopped = |reason: &str| {
        let body =
            format!(r#"{{"output":{{"message":{{"content":[{{"text":"x"}}]}}}},"stopReason":"{reason}"}}"#);
        complete(OPENAI, BEDROCK, &body.into(), &facts(false))
            .map(|answer| String::from_utf8(answer.bytes.to_vec()).unwrap())
    };
    assert!(stopped("guardrail_intervened").unwrap().contains("content_filter"));
    assert!(stopped("malformed_tool_use").is_err() && stopped("who_knows").is_err());
}

fn run(surface: Dialect, target: Dialect, pieces: &[Bytes]) -> (Bytes, Facts, End) {
    let mut stream = AnswerStream::new(surface, target, &facts(true));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (out.concat().into(), stream.facts().clone(), end)
}

fn stream(name: &str) -> Bytes {
    file(&format!("bedrock/stream_{name}.bin"))
}

#[test]
fn streams_translate_both_ways() {
    for surface in [OPENAI, ANTHROPIC] {
        for name in ["tools", "text", "guardrail"] {
            let (out, seen, end) = run(surface, BEDROCK, &[stream(name)]);
            assert_eq!(end, End::Complete, "{seen:?}");
            let text = String::from_utf8(out.to_vec()).unwrap();
            insta::assert_snapshot!(
                format!("bedrock_stream_{name}_as_{}", surface.as_str()),
                format!("{text}{seen:?}")
            );
        }
    }
    for (target, name) in [
        (OPENAI, "openai/stream_tools.sse"),
        (ANTHROPIC, "anthropic/stream_tools.sse"),
        (OPENAI, "openai/stream_no_usage.sse"),
    ] {
        let (out, seen, end) = run(BEDROCK, target, &[file(name)]);
        assert_eq!(end, End::Complete);
        insta::assert_snapshot!(format!("{}_as_bedrock", name.replace('/', "_")), shown(&out));
        let (_, again, end) = run(BEDROCK, BEDROCK, &[out]);
        assert_eq!(
            (end, again.visible_bytes),
            (End::Complete, seen.visible_bytes),
            "what is written reads back"
        );
    }
}

#[test]
fn a_stream_of_bedrock_passes_byte_for_byte_with_its_counts() {
    let (out, seen, end) = run(BEDROCK, BEDROCK, &[stream("tools")]);
    assert_eq!((out, end, seen.usage), (stream("tools"), End::Complete, Some(counts())));
    let visible = r#"Let me look.I look it up.capital{"country": "France"}now"#.len() as u64;
    assert_eq!(seen.visible_bytes, visible + 1 + 2 * 16, "a hidden thought is one byte");
    assert!(seen.started && seen.finished && seen.ended);
    let (out, seen, end) = run(BEDROCK, BEDROCK, &[stream("cut")]);
    assert_eq!(end, End::Truncated);
    assert!(out.len() < stream("cut").len() && !seen.finished, "half a frame is no frame");
}

#[test]
fn exceptions_in_a_stream_are_recognised() {
    for surface in [BEDROCK, OPENAI, ANTHROPIC] {
        let (out, seen, end) = run(surface, BEDROCK, &[stream("throttled")]);
        assert_eq!((end, seen.fault), (End::Faulty, Some(AnswerFault::Reported)));
        let reported = seen.reported.unwrap();
        assert_eq!(reported.kind.as_deref(), Some("throttlingException"));
        assert!(reported.message.expose().starts_with("Too many"));
        assert!(seen.started && !String::from_utf8_lossy(&out).contains("[DONE]"));
        let (_, seen, _) = run(surface, BEDROCK, &[stream("first")]);
        assert!(!seen.started, "another candidate may answer");
        assert_eq!(seen.reported.unwrap().kind.as_deref(), Some("serviceUnavailableException"));
    }
}

#[test]
fn a_corrupted_stream_ends_and_is_not_shown() {
    let mut input = stream("text").to_vec();
    let at = input.len() - 3;
    input[at] ^= 1;
    for surface in [BEDROCK, OPENAI] {
        let (_, seen, end) = run(surface, BEDROCK, &[input.clone().into()]);
        assert_eq!(end, End::Faulty);
        assert!(matches!(seen.fault, Some(AnswerFault::Malformed(_))) && seen.usage.is_none());
    }
}

#[test]
fn every_stream_cut_at_every_byte_gives_the_same() {
    for name in STREAMS {
        let input = stream(name);
        for surface in [BEDROCK, OPENAI, ANTHROPIC] {
            let told = |ran: (Bytes, Facts, End)| (ran.0, format!("{:?} {:?}", ran.1, ran.2));
            let whole = told(run(surface, BEDROCK, std::slice::from_ref(&input)));
            for at in 0..=input.len() {
                let cut = [input.slice(..at), input.slice(at..)];
                assert_eq!(told(run(surface, BEDROCK, &cut)), whole, "{name} cut at {at}");
            }
            let bytes: Vec<Bytes> = (0..input.len()).map(|at| input.slice(at..=at)).collect();
            assert_eq!(told(run(surface, BEDROCK, &bytes)), whole, "{name} byte by byte");
        }
    }
}

fn failure(status: Option<u16>) -> Failure<'static> {
    Failure {
        cause: RefusalCause::UpstreamFailed,
        status,
        message: "the provider \"broke\" off",
        code: None,
        param: None,
        model: None,
        call_id: "gen_1",
    }
}

#[test]
fn errors_are_aws_ones_and_end_a_stream_as_an_exception() {
    for target in [BEDROCK, OPENAI] {
        let input = if target == BEDROCK { stream("text") } else { file("openai/stream_text.sse") };
        let mut stream = AnswerStream::new(BEDROCK, target, &facts(false));
        let mut out = Vec::new();
        stream.push(&input.slice(..input.len() / 3), &mut out);
        stream.fail(&failure(None), &mut out);
        let out = shown(&out.concat().into());
        assert!(
            out.ends_with("!internalServerException {\"message\":\"the provider \\\"broke\\\" off\"}\n"),
            "{out}"
        );
        assert!(!out.contains("messageStop"));
    }
    let types: Vec<_> = [400, 401, 402, 403, 404, 413, 424, 429, 500, 502, 503, 504, 529]
        .iter()
        .map(|status| (*status, refusal::header(BEDROCK, *status).unwrap().1))
        .collect();
    insta::assert_snapshot!(format!("{types:?}").replace("), (", "\n"));
    let body = refusal::body(BEDROCK, &failure(Some(429)));
    assert_eq!(body.bytes, br#"{"message":"the provider \"broke\" off"}"#);
    let told = refusal::read(br#"{"Message":"User is not authorized"}"#);
    assert_eq!(told.message.expose(), "User is not authorized");
    assert_eq!(refusal::header(OPENAI, 429), None);
}

#[test]
fn streams_have_the_content_type_of_their_framing() {
    use tidegate_dialect::stream::stream_content_type;
    assert_eq!(stream_content_type(BEDROCK), "application/vnd.amazon.eventstream");
    assert!(stream_content_type(OPENAI).starts_with("text/event-stream"));
}

/// Frames from which any stream can be built, good or bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "xException",
        "",
    ];
    let payloads = [
        r#"{"role":"assistant"}"#,
        r#"{"contentBlockIndex":0,"delta":{"text":"é"}}"#,
        r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"text":"é"}}}"#,
        r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}"#,
        r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{"}}}"#,
        r#"{"contentBlockIndex":0}"#,
        r#"{"stopReason":"end_turn"}"#,
        r#"{"usage":{"inputTokens":1,"outputTokens":2}}"#,
        "{}",
        "[",
        "",
    ];
    (prop::sample::select(names.to_vec()), prop::sample::select(payloads.to_vec())).prop_map(
        |(name, payload)| tidegate_dialect::eventstream::frame(&[(":event-type", name)], payload.as_bytes()),
    )
}

proptest! {
    #[test]
    fn any_frames_under_any_split_give_the_same_and_never_panic(
        pieces in prop::collection::vec(piece(), 0..16),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let input = Bytes::from(pieces.concat());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).chain([0, input.len()]).collect();
        at.sort_unstable();
        let parts: Vec<Bytes> = at.windows(2).map(|pair| input.slice(pair[0]..pair[1])).collect();
        for surface in [BEDROCK, OPENAI, ANTHROPIC] {
            let told = |ran: (Bytes, Facts, End)| (ran.0, format!("{:?} {:?}", ran.1, ran.2));
            let whole = told(run(surface, BEDROCK, std::slice::from_ref(&input)));
            prop_assert_eq!(told(run(surface, BEDROCK, &parts)), whole);
        }
    }
}
