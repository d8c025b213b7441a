//! The reader of events by the letter of the standard.

use bytes::Bytes;
use tidegate_dialect::sse::{MAX_EVENT, Reader};

fn events(input: &str) -> Vec<(String, String)> {
    let mut reader = Reader::default();
    let ready = reader.feed(&Bytes::from(input.to_owned()));
    let last = reader.finish();
    let all = ready.events().chain(last.iter().flat_map(|last| last.events()));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    all.map(|event| (text(event.name()), text(&event.data()))).collect()
}

fn one(name: &str, data: &str) -> (String, String) {
    (name.to_owned(), data.to_owned())
}

#[test]
fn every_line_end_and_a_byte_order_mark_are_taken() {
    for end in ["\n", "\r\n", "\r"] {
        let input = format!("\u{feff}event: a{end}data: 1{end}{end}data: 2{end}{end}");
        assert_eq!(events(&input), [one("a", "1"), one("", "2")], "{end:?}");
    }
}

#[test]
fn fields_are_read_as_the_standard_says() {
    assert_eq!(events("data:x\n\n"), [one("", "x")]);
    assert_eq!(events("data:  x \n\n"), [one("", " x ")]);
    assert_eq!(events("data: a\ndata\ndata:b\n\n"), [one("", "a\n\nb")]);
    assert_eq!(events(": comment\n\n"), [one("", "")]);
    assert_eq!(events("id: 1\nretry: 5\nevent:e\ndata: x\n\n"), [one("e", "x")]);
    assert_eq!(events("datax: 1\n\n"), [one("", "")]);
    assert_eq!(events("data: a:b: c\n\n"), [one("", "a:b: c")]);
}

#[test]
fn a_missing_last_blank_line_is_forgiven() {
    assert_eq!(events("data: 1\n\ndata: 2"), [one("", "1"), one("", "2")]);
    assert_eq!(events("data: 1\n"), [one("", "1")]);
}

#[test]
fn an_event_may_be_long_but_not_endless() {
    let mut reader = Reader::default();
    let long = format!("data: {}\n\n", "x".repeat(MAX_EVENT - 8));
    assert_eq!(reader.feed(&Bytes::from(long.clone())).events().count(), 1);
    assert!(!reader.overlong());
    // What came before the one that is too long is not lost, however it is cut.
    let input = Bytes::from(format!("data: 1\n\ndata: x{}", &long[6..]));
    for piece in [input.len(), 4096, 1 << 19] {
        let mut reader = Reader::default();
        let pieces = (0..input.len()).step_by(piece).map(|at| input.slice(at..(at + piece).min(input.len())));
        assert_eq!(pieces.map(|piece| reader.feed(&piece).events().count()).sum::<usize>(), 1);
        assert!(reader.overlong());
    }
}
