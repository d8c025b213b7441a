//! Upper bounds of input tokens.

use crate::support::{ANTHROPIC, OPENAI, read};

#[test]
fn text_is_bounded_by_its_bytes() {
    let text = "word ".repeat(1000);
    let call = read(OPENAI, format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#));
    let bound = call.input.bound(None);
    assert!(bound.exact && bound.unboundable.is_none());
    assert!((5000..5200).contains(&bound.tokens), "{}", bound.tokens);
}

#[test]
fn images_count_by_the_models_maximum_and_not_by_their_bytes() {
    let data = "A".repeat(100_000);
    let image = format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#);
    let call = read(
        OPENAI,
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{image},{image}]}}]}}"#),
    );
    assert_eq!(call.input.images, 2);
    let bound = call.input.bound(Some(1600));
    assert!((3200..4000).contains(&bound.tokens), "{}", bound.tokens);
    assert!(!bound.exact);
    assert!(call.input.bound(None).unboundable.is_some(), "unknown maximum: cannot be bounded");
}

#[test]
fn inputs_that_are_not_in_the_body_cannot_be_bounded() {
    let openai = |part: &str| {
        read(OPENAI, format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#))
    };
    let anthropic = |part: &str| {
        read(ANTHROPIC, format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#))
    };
    let path = "messages[0].content[0]";
    let unboundable = |call: tidegate_dialect::read::CallBody| call.input.bound(Some(1)).unboundable;
    assert_eq!(unboundable(openai(r#"{"type":"file","file":{"file_id":"f"}}"#)).as_deref(), Some(path));
    assert_eq!(unboundable(openai(r#"{"type":"input_audio","input_audio":{}}"#)).as_deref(), Some(path));
    let source = format!("{path}.source");
    let document = anthropic(r#"{"type":"document","source":{"type":"url","url":"https://x"}}"#);
    assert_eq!(unboundable(document), Some(source));
    let text =
        anthropic(r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"abc"}}"#);
    assert_eq!(unboundable(text), None);
}
