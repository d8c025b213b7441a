//! Errors written and read.

use tidegate_dialect::refusal::{self, Failure};
use tidegate_types::usage::RefusalCause;

use crate::support::{ANTHROPIC, OPENAI};

const CAUSES: [RefusalCause; 12] = [
    RefusalCause::Unauthenticated,
    RefusalCause::NotAllowed,
    RefusalCause::UnknownModel,
    RefusalCause::NotPriced,
    RefusalCause::BadRequest,
    RefusalCause::NoProvider,
    RefusalCause::Budget,
    RefusalCause::RateLimit,
    RefusalCause::TooLarge,
    RefusalCause::Unavailable,
    RefusalCause::Timeout,
    RefusalCause::UpstreamFailed,
];

fn failure(cause: RefusalCause) -> Failure<'static> {
    Failure {
        cause,
        status: None,
        message: "why \"so\"",
        code: None,
        param: None,
        model: None,
        call_id: "gen_1",
    }
}

#[test]
fn every_cause_has_its_words_in_every_dialect() {
    let mut lines = Vec::new();
    for surface in [OPENAI, ANTHROPIC] {
        for cause in CAUSES {
            let body = refusal::body(surface, &failure(cause));
            lines.push(format!("{} {}", body.status, String::from_utf8(body.bytes).unwrap()));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn code_param_and_the_upstreams_status_are_shown() {
    let failure = Failure {
        status: Some(529),
        code: Some("model_not_priced"),
        param: Some("messages[0].content"),
        ..failure(RefusalCause::UpstreamFailed)
    };
    let body = |surface| refusal::body(surface, &failure);
    assert_eq!(body(OPENAI).status, 529);
    let openai = String::from_utf8(body(OPENAI).bytes).unwrap();
    assert!(openai.contains(r#""param":"messages[0].content","code":"model_not_priced""#), "{openai}");
    assert!(String::from_utf8(body(ANTHROPIC).bytes).unwrap().contains("overloaded_error"));
}

#[test]
fn an_upstreams_status_chooses_the_words() {
    let types = |status| {
        let failure = Failure { status: Some(status), ..failure(RefusalCause::UpstreamFailed) };
        [OPENAI, ANTHROPIC].map(|surface| {
            let body: serde_json::Value =
                serde_json::from_slice(&refusal::body(surface, &failure).bytes).unwrap();
            body["error"]["type"].as_str().unwrap().to_owned()
        })
    };
    assert_eq!(types(400), ["invalid_request_error", "invalid_request_error"]);
    assert_eq!(types(429), ["rate_limit_exceeded", "rate_limit_error"]);
    assert_eq!(types(529), ["internal_server_error", "overloaded_error"]);
    assert_eq!(types(500), ["internal_server_error", "api_error"]);
}

#[test]
fn upstream_errors_are_read_without_their_text_becoming_printable() {
    let cases = [
        (
            r#"{"error":{"message":"SECRET","type":"rate_limit_error","code":"x_y","param":null}}"#,
            "rate_limit_error",
            "x_y",
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"SECRET"},"request_id":"r"}"#,
            "overloaded_error",
            "",
        ),
        (r#"{"error":{"message":"SECRET","code":429,"status":"X"}}"#, "X", "429"),
        (r#"[{"error":{"message":"SECRET","code":503,"status":"UNAVAILABLE"}}]"#, "UNAVAILABLE", "503"),
        (r#"{"error":"SECRET"}"#, "", ""),
        (r#"{"message":"SECRET","type":"invalid request with SECRET"}"#, "", ""),
    ];
    for (body, kind, code) in cases {
        let error = refusal::read(body.as_bytes());
        assert_eq!(error.kind.clone().unwrap_or_default(), kind);
        assert_eq!(error.code.clone().unwrap_or_default(), code);
        assert_eq!(error.message.expose(), "SECRET");
        assert!(!format!("{error:?}").contains("SECRET"));
    }
    assert_eq!(refusal::read(b"<html>"), refusal::UpstreamError::default());
}
