//! `caching: auto`: markers where the provider wants them, and nowhere else.

use tidegate_dialect::Dialect;
use tidegate_dialect::outbound::{Edits, request};
use tidegate_dialect::read::{self, Outside};

use crate::support::{ANTHROPIC, OPENAI, edits, sent};

const AUTO: &str = r#""providerOptions":{"gateway":{"caching":"auto"}}"#;

fn openai(members: &str) -> String {
    format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"a"}},{{"role":"assistant","content":"b"}},{{"role":"user","content":"c"}}],{members}}}"#
    )
}

#[test]
fn the_last_message_and_what_precedes_the_last_user_are_marked() {
    let body = sent(OPENAI, ANTHROPIC, openai(AUTO)).unwrap();
    let marked =
        |text: &str| format!(r#"{{"type":"text","text":"{text}","cache_control":{{"type":"ephemeral"}}}}"#);
    assert!(body.contains(&marked("b")) && body.contains(&marked("c")), "{body}");
    assert_eq!(body.matches("cache_control").count(), 2);
    let first = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"c"}],"caching":"auto"}"#;
    let body = sent(OPENAI, ANTHROPIC, first).unwrap();
    assert!(body.contains(&marked("s")) && body.contains(&marked("c")), "{body}");
}

#[test]
fn markers_of_the_client_win_and_without_the_word_there_are_none() {
    assert!(!sent(OPENAI, ANTHROPIC, openai(r#""stream":false"#)).unwrap().contains("cache_control"));
    let own = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"assistant","content":"b"},{"role":"user","content":"c"}],"caching":"auto"}"#;
    assert_eq!(sent(OPENAI, ANTHROPIC, own).unwrap().matches("cache_control").count(), 1);
}

#[test]
fn anthropics_own_bodies_get_one_marker_for_all() {
    let body = |content: &str| {
        format!(
            r#"{{"model":"upstream-model","max_tokens":5,"messages":[{{"role":"user","content":{content}}}],{AUTO}}}"#
        )
    };
    let plain = sent(ANTHROPIC, ANTHROPIC, body(r#""x""#)).unwrap();
    assert!(plain.ends_with(r#""cache_control":{"type":"ephemeral"}}"#), "{plain}");
    assert!(!plain.contains("providerOptions"));
    let own = body(r#"[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]"#);
    assert_eq!(sent(ANTHROPIC, ANTHROPIC, own).unwrap().matches("cache_control").count(), 1);
    assert!(!sent(ANTHROPIC, OPENAI, body(r#""x""#)).unwrap().contains("cache"));
}

#[test]
fn bedrock_gets_them_for_models_that_take_them() {
    let call = read::call(OPENAI, Outside::default(), openai(AUTO).into()).unwrap();
    let points = |model| {
        let sent = request(&call, Dialect::BedrockConverse, &Edits { ..edits(model) }).unwrap();
        String::from_utf8(sent.to_vec()).unwrap().matches("cachePoint").count()
    };
    assert_eq!(points("anthropic.claude-sonnet-4-5-v1:0"), 2);
    assert_eq!(points("meta.llama4"), 0);
}
