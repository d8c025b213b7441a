//! Whole answers and errors of Gemini.

use tidegate_dialect::AnswerFault;
use tidegate_dialect::answer::complete;
use tidegate_dialect::refusal::{self, Failure};
use tidegate_types::usage::RefusalCause;

use super::GEMINI;
use crate::support::{ANTHROPIC, OPENAI, facts, file, lines};

#[test]
fn whole_answers_translate_both_ways() {
    for (surface, target, name) in [
        (OPENAI, GEMINI, "gemini/answer.json"),
        (ANTHROPIC, GEMINI, "gemini/answer.json"),
        (GEMINI, OPENAI, "openai/answer.json"),
        (GEMINI, ANTHROPIC, "anthropic/answer.json"),
    ] {
        let answer = complete(surface, target, &file(name), &facts(false)).unwrap();
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        let title = format!("{}_to_{surface:?}", name.replace('/', "_"));
        insta::assert_snapshot!(title, format!("{}\n{:?}", lines(&text), answer.usage));
        let same = complete(target, target, &file(name), &facts(false)).unwrap();
        assert_eq!((same.usage, same.bytes), (answer.usage, file(name)));
    }
}

#[test]
fn a_whole_answer_there_and_back_has_the_same_words_and_counts() {
    for (other, name) in [(OPENAI, "openai/answer.json"), (ANTHROPIC, "anthropic/answer.json")] {
        let there = complete(GEMINI, other, &file(name), &facts(false)).unwrap();
        let back = complete(other, GEMINI, &there.bytes, &facts(false)).unwrap();
        let straight = complete(other, other, &file(name), &facts(false)).unwrap();
        // Gemini has no writes to a cache.
        let counts = |usage: Option<tidegate_types::usage::Usage>| {
            let usage = usage.unwrap();
            (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens)
        };
        assert_eq!(counts(back.usage), counts(straight.usage));
    }
}

#[test]
fn every_end_has_its_word() {
    let end = |reason: &str| {
        let body = format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}]}},"finishReason":"{reason}"}}]}}"#
        );
        match complete(OPENAI, GEMINI, &body.into(), &facts(false)) {
            Ok(whole) => {
                let value: serde_json::Value = serde_json::from_slice(&whole.bytes).unwrap();
                value["choices"][0]["finish_reason"].as_str().unwrap().to_owned()
            }
            Err(fault) => fault.to_string(),
        }
    };
    let reasons = [
        "STOP",
        "MAX_TOKENS",
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "MISSING_THOUGHT_SIGNATURE",
        "OTHER",
    ];
    insta::assert_snapshot!(reasons.map(|reason| format!("{reason}: {}", end(reason))).join("\n"));
}

#[test]
fn a_blocked_prompt_is_an_answer_and_nothing_is_none() {
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":8,"totalTokenCount":8}}"#;
    let whole = complete(ANTHROPIC, GEMINI, &blocked.into(), &facts(false)).unwrap();
    assert!(String::from_utf8_lossy(&whole.bytes).contains(r#""stop_reason":"refusal""#));
    assert_eq!(whole.usage.unwrap().input_tokens, 8);
    assert!(complete(GEMINI, GEMINI, &blocked.into(), &facts(false)).is_ok());
    for body in ["{}", r#"{"candidates":[]}"#, r#"{"error":{"code":500}}"#] {
        for surface in [GEMINI, OPENAI, ANTHROPIC] {
            assert!(complete(surface, GEMINI, &body.into(), &facts(false)).is_err(), "{body}");
        }
    }
    let image = r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},"finishReason":"STOP"}]}"#;
    let fault = complete(OPENAI, GEMINI, &image.into(), &facts(false)).unwrap_err();
    assert!(matches!(fault, AnswerFault::Untranslatable(_)));
}

#[test]
fn every_cause_has_its_status_word() {
    let causes = [
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
    let shown = causes.map(|cause| {
        let param = (cause == RefusalCause::BadRequest).then_some("contents[0].role");
        let failure = Failure {
            cause,
            status: None,
            message: "why \"so\"",
            code: None,
            param,
            model: None,
            call_id: "gen_1",
        };
        let body = refusal::body(GEMINI, &failure);
        format!("{} {}", body.status, String::from_utf8(body.bytes).unwrap())
    });
    insta::assert_snapshot!(shown.join("\n"));
}
