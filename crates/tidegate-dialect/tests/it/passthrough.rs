//! The same dialect in and out: the bytes and the edit table.

use bytes::Bytes;
use tidegate_dialect::Dialect;
use tidegate_dialect::outbound::{Edits, LimitKey, request};
use tidegate_dialect::read::{Outside, call};

use crate::support::{ANTHROPIC, OPENAI, edits, file, read};

const BEDROCK: Dialect = Dialect::BedrockConverse;

fn sent(surface: Dialect, body: &str, edits: &Edits<'_>) -> String {
    let call = read(surface, body.to_owned());
    String::from_utf8(request(&call, surface, edits).unwrap().to_vec()).unwrap()
}

#[test]
fn nothing_to_edit_is_not_even_copied() {
    let body = Bytes::from_static(
        br#"{ "model":"m", "messages":[{"role":"user","content":"\ud800\/"}] ,"x":1e400,"y":12345678901234567890}"#,
    );
    let call = read(OPENAI, body.clone());
    let out = request(&call, OPENAI, &edits("m")).unwrap();
    assert_eq!(out.as_ptr(), body.as_ptr());
}

#[test]
fn odd_numbers_and_escapes_survive_every_edit() {
    let body = r#"{"model":"m","max_tokens":900,"x":1e400,"y":12345678901234567890,"messages":[{"role":"user","content":"\ud800\/\u0041"}],"z":-0.0E+00 }"#;
    let out = sent(
        OPENAI,
        body,
        &Edits { output_limit: Some(10), no_stream_options: false, no_store: true, ..edits("up") },
    );
    let expected =
        body.replace(r#""m""#, r#""up""#).replace("900", "10").replace(" }", r#" ,"store":false}"#);
    assert_eq!(out, expected);
}

#[test]
fn fields_for_the_gateway_leave_with_one_comma_each() {
    let message = r#""messages":[]"#;
    let cases = [
        (r#"{"providerOptions":{},"model":"m",M}"#, r#"{"model":"m",M}"#),
        (r#"{"model":"m",M , "providerOptions" : {} }"#, r#"{"model":"m",M }"#),
        (r#"{"models":[],"provider":{},"model":"m",M,"providerOptions":{}}"#, r#"{"model":"m",M}"#),
        (r#"{"model":"m","models":[],"provider":{},M}"#, r#"{"model":"m",M}"#),
        (r#"{"models":[], "model":"m","provider":{},M}"#, r#"{"model":"m",M}"#),
    ];
    for (body, expected) in cases {
        let with = |text: &str| text.replace('M', message);
        assert_eq!(sent(OPENAI, &with(body), &edits("m")), with(expected));
    }
}

/// Where the path names the model and messages may be absent (Bedrock), all there is can be for the gateway.
#[test]
fn where_all_that_was_written_is_for_the_gateway_what_is_added_stands_alone() {
    let outside = Outside { model: Some("m"), ..Outside::default() };
    let rich = Edits { output_limit: Some(10), no_store: true, ..edits("up") };
    for body in [
        r#"{"providerOptions":{}}"#,
        r#"{ "models":[] , "provider":{}, "caching":"auto" }"#,
        r#"{"providerOptions":{"gateway":{"only":["a"]}},"models":["b"]}"#,
        "{}",
    ] {
        let call = call(BEDROCK, outside, Bytes::from(body)).unwrap();
        let out = request(&call, BEDROCK, &rich).unwrap();
        let out = String::from_utf8_lossy(&out).replace(' ', "");
        assert_eq!(out, r#"{"inferenceConfig":{"maxTokens":10}}"#, "{body}");
    }
}

#[test]
fn echoed_metadata_of_ours_is_taken_out_of_messages() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":"provider_metadata","provider_metadata":{"a":[1]}},{"provider_metadata":null,"role":"user","content":"x"},{"role":"user","content":"y"}]}"#;
    let out = sent(OPENAI, body, &edits("m"));
    assert_eq!(
        out,
        r#"{"model":"m","messages":[{"role":"assistant","content":"provider_metadata"},{"role":"user","content":"x"},{"role":"user","content":"y"}]}"#
    );
}

#[test]
fn a_stream_asks_for_usage_whether_or_not_the_client_did() {
    let cases = [
        (
            r#"{"model":"m","messages":[],"stream":true}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","messages":[],"stream":true,"stream_options":null}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{}}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"a":1 }}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"a":1 ,"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false}}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":null}}"#,
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (r#"{"model":"m","messages":[],"stream":false}"#, r#"{"model":"m","messages":[],"stream":false}"#),
    ];
    for (body, expected) in cases {
        assert_eq!(sent(OPENAI, body, &edits("m")), expected);
    }
    let anthropic = r#"{"model":"m","messages":[],"stream":true}"#;
    assert_eq!(sent(ANTHROPIC, anthropic, &edits("m")), anthropic);
}

#[test]
fn the_granted_limit_is_sent_and_never_raises_the_clients_own() {
    let granted = Edits { output_limit: Some(100), ..edits("m") };
    let old = Edits { limit_key: LimitKey::MaxTokens, ..granted.clone() };
    let m = r#"{"model":"m","messages":[]"#;
    let cases = [
        (OPENAI, &granted, "", r#","max_completion_tokens":100"#),
        (OPENAI, &old, "", r#","max_tokens":100"#),
        (OPENAI, &granted, r#","max_tokens":500"#, r#","max_tokens":100"#),
        (OPENAI, &granted, r#","max_tokens":50"#, r#","max_tokens":50"#),
        (OPENAI, &granted, r#","max_tokens":null"#, r#","max_tokens":null,"max_completion_tokens":100"#),
        (
            OPENAI,
            &granted,
            r#","max_tokens":500,"max_completion_tokens":20"#,
            r#","max_tokens":100,"max_completion_tokens":20"#,
        ),
        // A service that knows only the old key would read no limit from the new one.
        (OPENAI, &old, r#","max_completion_tokens":50"#, r#","max_tokens":50"#),
        (OPENAI, &old, r#","max_completion_tokens":500"#, r#","max_tokens":100"#),
        (
            OPENAI,
            &old,
            r#","max_tokens":null,"max_completion_tokens":50"#,
            r#","max_tokens":50,"max_completion_tokens":50"#,
        ),
        (ANTHROPIC, &granted, r#","max_tokens":500"#, r#","max_tokens":100"#),
        (ANTHROPIC, &granted, "", r#","max_tokens":100"#),
    ];
    for (surface, edits, given, expected) in cases {
        assert_eq!(sent(surface, &format!("{m}{given}}}"), edits), format!("{m}{expected}}}"));
    }
}

#[test]
fn under_zdr_nothing_is_to_be_stored() {
    let zdr = Edits { no_stream_options: false, no_store: true, ..edits("m") };
    for given in ["", r#","store":true"#, r#","store":null"#, r#","store":false"#] {
        let body = format!(r#"{{"model":"m","messages":[]{given}}}"#);
        assert_eq!(sent(OPENAI, &body, &zdr), r#"{"model":"m","messages":[],"store":false}"#);
        assert!(!sent(ANTHROPIC, r#"{"model":"m","messages":[]}"#, &zdr).contains("store"));
    }
}

#[test]
fn a_rich_body_differs_only_where_the_table_says() {
    let text = String::from_utf8(file("openai/full.json").to_vec()).unwrap();
    let out = sent(OPENAI, &text, &edits("up"));
    let kept: Vec<&str> = text.lines().filter(|line| !out.contains(line.trim())).collect();
    insta::assert_snapshot!(kept.join("\n"));
    assert!(out.contains("1e400") && out.contains("12345678901234567890"));
}
