//! What an answer depends on of a body: everything that matters, and nothing else.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidegate_dialect::read::{self, Outside};
use tidegate_dialect::{Dialect, fingerprint};

/// The sequence; `None` where the body must be asked anew.
fn of(dialect: Dialect, body: &str) -> Option<Vec<u8>> {
    let call = read::call(dialect, Outside::default(), Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let mut sequence = Vec::new();
    fingerprint::feed(&call, &mut |piece| sequence.extend_from_slice(piece)).then_some(sequence)
}

fn chat(extra: &Value) -> String {
    let mut body = json!({"model": "acme/chat", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body.to_string()
}

fn same(one: &str, other: &str) -> bool {
    let (one, other) = (of(Dialect::OpenaiChat, one), of(Dialect::OpenaiChat, other));
    assert!(one.is_some() && other.is_some());
    one == other
}

#[test]
fn labels_blanks_order_of_the_outermost_and_escapes_make_no_difference() {
    let plain = r#"{"model":"acme/chat","messages":[{"role":"user","content":"hü"}],"temperature":0.5}"#;
    for other in [
        r#"{ "temperature": 0.5, "messages": [ {"role":"user", "content":"h\u00fc"} ], "model":"acme/chat" }"#,
        r#"{"model":"acme/chat","messages":[{"role":"user","content":"hü"}],"temperature":0.5,"user":"u","metadata":{"a":"b"},"safety_identifier":"s"}"#,
        r#"{"model":"acme/chat","stream":true,"messages":[{"role":"user","content":"hü"}],"temperature":0.5}"#,
    ] {
        assert!(same(plain, other), "{other}");
    }
    let labelled = |options: Value| chat(&json!({"providerOptions": {"gateway": options}}));
    assert!(same(&labelled(json!({"user": "a", "tags": ["x"]})), &labelled(json!({"user": "b"}))));
    assert!(!same(&labelled(json!({"only": ["a"]})), &labelled(json!({"only": ["b"]}))));
}

#[test]
fn what_models_see_makes_a_difference() {
    let plain = chat(&json!({}));
    for extra in [
        json!({"temperature": 0}),
        json!({"temperature": 0.0}),
        json!({"seed": 1}),
        json!({"max_tokens": 5}),
        json!({"messages": [{"role": "user", "content": "hi "}]}),
        json!({"messages": [{"role": "system", "content": "hi"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}),
        json!({"messages": [{"role": "user", "content": "hi", "name": "n"}]}),
        json!({"tools": []}),
        json!({"a_field_of_tomorrow": null}),
        json!({"prompt_cache_key": "k"}),
    ] {
        assert!(!same(&plain, &chat(&extra)), "{extra}");
    }
    // Models see schemas in their order, and numbers as they are written.
    let schema = |properties: &str| {
        format!(r#"{{"model":"acme/chat","messages":[],"x_schema":{{"properties":{{{properties}}}}}}}"#)
    };
    assert!(!same(&schema(r#""a":1,"b":2"#), &schema(r#""b":2,"a":1"#)));
    assert!(!same(&schema(r#""a":1"#), &schema(r#""a":1.0"#)));
    assert!(!same(&schema(r#""a":"1""#), &schema(r#""a":1"#)));
    assert!(!same(&schema(r#""a":"\ud800""#), &schema(r#""a":"\ud801""#)));
}

#[test]
fn where_answers_repeat_labels_they_make_a_difference() {
    let asked = |label: &str| format!(r#"{{"model":"m","input":"hi","metadata":{{"k":"{label}"}}}}"#);
    let of = |label| of(Dialect::OpenaiResponses, &asked(label)).unwrap();
    assert_ne!(of("a"), of("b"));
}

#[test]
fn what_the_provider_keeps_is_asked_anew() {
    for (dialect, body) in [
        (Dialect::OpenaiChat, r#"{"model":"m","messages":[],"store":true}"#),
        (Dialect::OpenaiResponses, r#"{"model":"m","input":"hi","store":true}"#),
        (Dialect::OpenaiResponses, r#"{"model":"m","input":"hi","previous_response_id":"resp_1"}"#),
        (Dialect::OpenaiResponses, r#"{"model":"m","input":"hi","conversation":"conv_1"}"#),
    ] {
        assert_eq!(of(dialect, body), None, "{body}");
    }
    assert!(of(Dialect::OpenaiResponses, r#"{"model":"m","input":"hi","store":false}"#).is_some());
}

#[test]
fn what_our_own_answers_put_into_messages_makes_no_difference() {
    let turn = |echo: &str| {
        format!(
            r#"{{"model":"m","messages":[{{"role":"assistant","content":"a"{echo}}},{{"role":"user","content":"b"}}]}}"#
        )
    };
    let echo = r#","provider_metadata":{"gateway":{"generationId":"gen_1"}}"#;
    assert!(same(&turn(""), &turn(echo)));
    assert!(!same(&turn(""), &turn(r#","refusal":"r""#)));
}

/// Any JSON, without floats (which are not equal to themselves in every reading).
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map("[a-c]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn two_bodies_ask_for_the_same_just_when_they_say_the_same(one in anything(), other in anything()) {
        let (first, second) = (chat(&json!({"x_own": one})), chat(&json!({"x_own": other})));
        prop_assert_eq!(same(&first, &second), one == other);
        // Written otherwise, said the same.
        let written: Value = serde_json::from_str(&first).unwrap();
        prop_assert!(same(&first, &serde_json::to_string_pretty(&written).unwrap()));
    }
}
