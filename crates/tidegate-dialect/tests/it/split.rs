//! However a stream is cut, the same comes out.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::Dialect;
use tidegate_dialect::sse::Reader;

use crate::support::{ANTHROPIC, OPENAI, Ran, file, run};

const STREAMS: [&str; 11] = [
    "openai/stream_text.sse",
    "openai/stream_no_usage.sse",
    "openai/stream_tools.sse",
    "openai/stream_crlf.sse",
    "openai/stream_multiline.sse",
    "openai/stream_error.sse",
    "openai/stream_two_choices.sse",
    "anthropic/stream_text.sse",
    "anthropic/stream_tools.sse",
    "anthropic/stream_overloaded.sse",
    "anthropic/stream_cut.sse",
];

fn shown(ran: &Ran) -> (String, String) {
    (ran.out.clone(), format!("{:?} {:?}", ran.facts, ran.end))
}

fn ways(name: &str) -> [(tidegate_dialect::Dialect, tidegate_dialect::Dialect, bool); 3] {
    let (same, other) = if name.starts_with("openai") { (OPENAI, ANTHROPIC) } else { (ANTHROPIC, OPENAI) };
    [(same, same, false), (same, same, true), (other, same, false)]
}

#[test]
fn every_stream_cut_at_every_byte_gives_the_same() {
    for name in STREAMS {
        let input = file(name);
        for (surface, target, asked) in ways(name) {
            let whole = shown(&run(surface, target, asked, std::slice::from_ref(&input)));
            for at in 0..=input.len() {
                let cut = [input.slice(..at), input.slice(at..)];
                assert_eq!(shown(&run(surface, target, asked, &cut)), whole, "{name} cut at {at}");
            }
            let bytes: Vec<Bytes> = (0..input.len()).map(|at| input.slice(at..=at)).collect();
            assert_eq!(shown(&run(surface, target, asked, &bytes)), whole, "{name} byte by byte");
        }
    }
}

/// Pieces of a stream from which any stream can be built, good or bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "data: ", "data:", "event: x", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n", ": ping\n\n", "\u{feff}", "[DONE]",
            r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}"#,
            r#"{"error":{"message":"m"}}"#,
            r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"é"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
            r#"{"type":"message_stop"}"#,
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
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
        for (surface, target) in [(OPENAI, OPENAI), (ANTHROPIC, ANTHROPIC), (OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI), (Dialect::AiSdk, OPENAI), (Dialect::AiSdk, ANTHROPIC)] {
            for asked in [false, true] {
                let whole = raw(surface, target, asked, std::slice::from_ref(&input));
                prop_assert_eq!(raw(surface, target, asked, &parts), whole);
            }
        }
    }

    #[test]
    fn the_reader_loses_and_invents_no_byte(input in prop::collection::vec(prop::sample::select(b"da:\n\r x\xff".to_vec()), 0..60)) {
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for byte in &input {
            out.extend_from_slice(&reader.feed(&Bytes::copy_from_slice(&[*byte])).bytes);
        }
        out.extend(reader.finish().into_iter().flat_map(|last| last.bytes.to_vec()));
        prop_assert_eq!(out, input);
    }
}

fn raw(
    surface: tidegate_dialect::Dialect,
    target: tidegate_dialect::Dialect,
    asked: bool,
    pieces: &[Bytes],
) -> (Vec<u8>, String) {
    let mut stream =
        tidegate_dialect::stream::AnswerStream::new(surface, target, &crate::support::facts(asked));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (out.concat(), format!("{:?} {end:?}", stream.facts()))
}
