//! AWS's binary frames: cut, checked, bounded, written.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::AnswerFault;
use tidegate_dialect::eventstream::{Reader, frame};

use crate::support::file;

pub(crate) const STREAMS: [&str; 6] = ["text", "tools", "throttled", "first", "guardrail", "cut"];

/// The frames of a stream, one a line: name and payload, exceptions with `!`.
pub(crate) fn shown(bytes: &Bytes) -> String {
    let mut reader = Reader::default();
    let ready = reader.feed(bytes);
    assert_eq!(reader.fault(), None);
    let mut out = String::new();
    for event in ready.events() {
        let name = String::from_utf8_lossy(event.name()).into_owned();
        let mark = if name.ends_with("Exception") { "!" } else { "" };
        out.push_str(&format!("{mark}{name} {}\n", String::from_utf8_lossy(&event.data())));
    }
    out
}

#[test]
fn frames_are_read_and_written_as_an_independent_implementation_does() {
    for name in STREAMS {
        let (bytes, lines) =
            (file(&format!("bedrock/stream_{name}.bin")), file(&format!("bedrock/stream_{name}.txt")));
        let lines = String::from_utf8(lines.to_vec()).unwrap();
        if name != "cut" {
            assert_eq!(shown(&bytes), lines, "{name}");
        }
        let mut written = Vec::new();
        for line in lines.lines() {
            let (event, payload) = line.split_once(' ').unwrap();
            let (kind, message, event) = match event.strip_prefix('!') {
                Some(exception) => (":exception-type", "exception", exception),
                None => (":event-type", "event", event),
            };
            let headers = [(kind, event), (":content-type", "application/json"), (":message-type", message)];
            written.extend(frame(&headers, payload.as_bytes()));
        }
        written.truncate(bytes.len());
        assert_eq!(written, bytes, "{name}");
    }
}

#[test]
fn frames_cut_at_every_byte_are_the_same_frames() {
    let input = file("bedrock/stream_tools.bin");
    let whole = shown(&input);
    for at in 0..=input.len() {
        let mut reader = Reader::default();
        let out: Vec<u8> = [input.slice(..at), input.slice(at..)]
            .iter()
            .flat_map(|piece| reader.feed(piece).bytes.to_vec())
            .collect();
        assert_eq!(out, input, "cut at {at}");
    }
    let mut reader = Reader::default();
    let out: Vec<u8> =
        input.iter().flat_map(|byte| reader.feed(&Bytes::copy_from_slice(&[*byte])).bytes).collect();
    assert_eq!(shown(&out.into()), whole);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let input = frame(&[(":event-type", "messageStop")], br#"{"stopReason":"end_turn"}"#);
    for at in 0..input.len() {
        for bit in 0..8 {
            let mut broken = input.clone();
            broken[at] ^= 1 << bit;
            let mut reader = Reader::default();
            let ready = reader.feed(&broken.into());
            assert!(ready.bytes.is_empty());
            assert!(matches!(reader.fault(), Some(AnswerFault::Malformed(_))), "byte {at}, bit {bit}");
        }
    }
    let mut reader = Reader::default();
    assert_eq!(reader.feed(&input.clone().into()).bytes, input, "control: unbroken it is taken");
}

#[test]
fn a_frame_that_is_too_long_is_a_fault_before_its_bytes_come() {
    let long = frame(&[], &vec![b'x'; 2 << 20]);
    let mut reader = Reader::default();
    assert!(reader.feed(&Bytes::from(long).slice(..64)).bytes.is_empty());
    assert_eq!(reader.fault(), Some(&AnswerFault::TooLong));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_invent(
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            Just(frame(&[(":event-type", "metadata"), ("x", "y")], b"{}")),
            // A checksum that is right for lengths that are not.
            any::<(u32, u32)>().prop_map(|(total, headers)| {
                let prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
                let mut sealed = frame(&[], b"");
                sealed.splice(..8, prelude);
                sealed
            }),
            // Headers that are garbage inside of a frame that is right.
            prop::collection::vec(any::<u8>(), 0..24).prop_map(|garbage| {
                let text: String = garbage.iter().map(|byte| char::from(byte % 128)).collect();
                frame(&[(&text, ":event-type")], &garbage)
            }),
        ], 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let input = Bytes::from(pieces.concat());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).chain([0, input.len()]).collect();
        at.sort_unstable();
        let read = |pieces: &[Bytes]| {
            let mut reader = Reader::default();
            let mut out = Vec::new();
            for piece in pieces {
                let ready = reader.feed(piece);
                ready.events().for_each(|event| { let _ = (event.name(), event.data()); });
                out.extend_from_slice(&ready.bytes);
            }
            (out, reader.fault().cloned())
        };
        let parts: Vec<Bytes> = at.windows(2).map(|pair| input.slice(pair[0]..pair[1])).collect();
        let whole = read(std::slice::from_ref(&input));
        prop_assert!(input.starts_with(&whole.0));
        prop_assert_eq!(read(&parts), whole);
    }
}
