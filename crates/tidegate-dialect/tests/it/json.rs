//! The scanner against another JSON parser, and its limits.

use proptest::prelude::*;
use tidegate_dialect::json::{Document, MAX_DEPTH, Splices, Value, write_text};

#[test]
fn nesting_is_taken_up_to_its_limit_and_no_deeper() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let limit = MAX_DEPTH as usize;
    assert!(Value::parse(nested(limit).as_bytes()).is_ok());
    assert_eq!(Value::parse(nested(limit + 1).as_bytes()).err().unwrap().why, "nested too deeply");
    assert!(Value::parse(format!("{}1", "{\"a\":".repeat(limit * 1000)).as_bytes()).is_err());
}

#[test]
fn what_json_forbids_is_refused_where_it_stands() {
    let cases: [(&[u8], usize); 14] = [
        (b"", 0),
        (b"{\"a\":1,}", 7),
        (b"[1,]", 3),
        (b"{'a':1}", 1),
        (b"01", 1),
        (b"1.", 2),
        (b"+1", 0),
        (b"NaN", 0),
        (b"\"a", 2),
        (b"\"\x01\"", 1),
        (b"\"\\x\"", 2),
        (b"\"\\u12g4\"", 2),
        (b"\"\xff\"", 1),
        (b"{} {}", 3),
    ];
    for (text, at) in cases {
        assert_eq!(Value::parse(text).err().unwrap().at, at, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn escapes_are_resolved_and_lone_surrogates_are_not_text() {
    let text = |json: &str| Value::parse(json.as_bytes()).unwrap().text().map(|text| text.into_owned());
    assert_eq!(text(r#""aA\n\"\/😀""#).as_deref(), Some("aA\n\"/😀"));
    assert_eq!(text(r#""\ud83d""#), None);
    assert_eq!(text(r#""\ude00x""#), None);
    let members: Vec<_> =
        Value::parse(br#"{"mo\u0064el":1}"#).unwrap().members().map(|m| m.key.into_owned()).collect();
    assert_eq!(members, ["model"]);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn same(value: &Value<'_>, other: &serde_json::Value) -> bool {
    match other {
        serde_json::Value::Null => value.is_null(),
        serde_json::Value::Bool(b) => value.bool() == Some(*b),
        serde_json::Value::Number(n) => value.raw() == n.to_string().as_bytes(),
        serde_json::Value::String(s) => value.text().as_deref() == Some(s) && value.text_len() == s.len(),
        serde_json::Value::Array(a) => {
            let elements: Vec<_> = value.elements().collect();
            elements.len() == a.len() && elements.iter().zip(a).all(|(value, other)| same(value, other))
        }
        serde_json::Value::Object(o) => {
            value.members().count() == o.len()
                && o.iter().all(|(k, v)| value.get(k).is_some_and(|m| same(&m, v)))
        }
    }
}

proptest! {
    #[test]
    fn every_value_is_found_as_another_parser_finds_it(json in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let value = Value::parse(text.as_bytes()).unwrap();
        prop_assert!(same(&value, &json));
        prop_assert!(same(&Document::parse(text.as_bytes()).unwrap().root(), &json));
    }

    #[test]
    fn garbage_is_judged_as_another_parser_judges_it(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:\\utrfalsen01.-eE \n\xc3\xa9\x01".to_vec()), 0..24)) {
        // The other parser reads 1e999 as out of range and lone surrogates as errors; both are grammar to us.
        let other = serde_json::from_slice::<Box<serde_json::value::RawValue>>(&bytes);
        let ours = Value::parse(&bytes);
        if other.is_ok() {
            prop_assert!(ours.is_ok());
        } else if let Ok(value) = ours {
            prop_assert!(String::from_utf8_lossy(value.raw()).contains("\\u"), "{:?}", bytes);
        }
    }

    #[test]
    fn written_text_reads_back(text in any::<String>()) {
        let mut json = Vec::new();
        write_text(&mut json, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
    }
}

#[test]
fn splices_change_only_their_spans() {
    let text = bytes::Bytes::from_static(br#"{"a": 12345678901234567890, "b":1e400}"#);
    let root = Value::parse(&text).unwrap();
    let mut splices = Splices::default();
    splices.replace(root.get("b").unwrap().span(), "2");
    assert_eq!(splices.apply(&text), br#"{"a": 12345678901234567890, "b":2}"#.as_slice());
    assert_eq!(Splices::default().apply(&text).as_ptr(), text.as_ptr(), "nothing to do copies nothing");
}
