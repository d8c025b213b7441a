//! What is read from Gemini's bodies, what is refused, and what is edited.

use tidegate_dialect::RequestError;
use tidegate_dialect::outbound::Edits;
use tidegate_dialect::read::FindingKind;

use super::{GEMINI, call, sent_with};
use crate::support::{edits, file};

#[test]
fn a_rich_body_gives_its_facts() {
    let call = call(GEMINI, file("gemini/full.json")).unwrap();
    insta::assert_debug_snapshot!((
        (call.model, call.stream, call.output_limit, call.reasoning_budget, call.answers, call.asked_usage),
        (call.needs, call.labels, call.findings, call.input),
    ));
}

#[test]
fn a_field_in_two_spellings_is_a_duplicate_at_every_level() {
    let c = r#""contents":[]"#;
    let cases = [
        (format!(r#"{{{c},"generationConfig":{{}},"generation_config":{{}}}}"#), "generationConfig"),
        (format!(r#"{{{c},"system_instruction":{{}},"systemInstruction":{{}}}}"#), "systemInstruction"),
        (
            format!(r#"{{{c},"generation_config":{{"max_output_tokens":1,"maxOutputTokens":9}}}}"#),
            "generation_config.maxOutputTokens",
        ),
        (
            r#"{"contents":[{"parts":[{"inlineData":{},"inline_data":{}}]}]}"#.to_owned(),
            "contents[0].parts[0].inlineData",
        ),
        (
            r#"{"contents":{"parts":{"file_data":{"mimeType":"a","mime_type":"b"}}}}"#.to_owned(),
            "contents.parts.file_data.mimeType",
        ),
        (
            format!(r#"{{{c},"tools":[{{"functionDeclarations":[],"function_declarations":[]}}]}}"#),
            "tools[0].functionDeclarations",
        ),
        (
            format!(r#"{{{c},"toolConfig":{{"functionCallingConfig":{{"mode":"A","mode":"B"}}}}}}"#),
            "toolConfig.functionCallingConfig.mode",
        ),
    ];
    for (body, expected) in cases {
        match call(GEMINI, body.clone()) {
            Err(RequestError::Duplicate { path }) => {
                let last = |path: &str| path.rsplit('.').next().unwrap().to_owned();
                assert_eq!(last(&path), last(expected), "{body}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn what_bills_or_retains_is_found_in_either_spelling() {
    let found = |member: &str, kind: FindingKind| {
        let call = call(GEMINI, format!(r#"{{"contents":[],{member}}}"#)).unwrap();
        call.finding(&[kind]).map(|finding| finding.path.clone())
    };
    let cases = [
        (r#""tools":[{"googleSearch":{}}]"#, FindingKind::Bills, Some("tools[0].googleSearch")),
        (r#""tools":[{"google_search":{}}]"#, FindingKind::Bills, Some("tools[0].google_search")),
        (r#""tools":{"codeExecution":{}}"#, FindingKind::Bills, Some("tools.codeExecution")),
        (r#""tools":[{"urlContext":{}}]"#, FindingKind::Bills, Some("tools[0].urlContext")),
        (r#""tools":[{"retrieval":{}}]"#, FindingKind::Bills, Some("tools[0].retrieval")),
        (r#""tools":[{"functionDeclarations":[{"name":"f"}]}]"#, FindingKind::Bills, None),
        (r#""cachedContent":"c""#, FindingKind::Bills, Some("cachedContent")),
        (r#""cached_content":"c""#, FindingKind::Retains, Some("cached_content")),
        // Taken back under zero data retention, so nothing to refuse.
        (r#""store":true"#, FindingKind::Retains, None),
        (r#""store":false"#, FindingKind::Retains, None),
        (r#""serviceTier":"flex""#, FindingKind::Bills, Some("serviceTier")),
        (
            r#""generationConfig":{"responseModalities":["TEXT","IMAGE"]}"#,
            FindingKind::Bills,
            Some("generationConfig.responseModalities[1]"),
        ),
        (
            r#""generationConfig":{"speechConfig":{}}"#,
            FindingKind::Bills,
            Some("generationConfig.speechConfig"),
        ),
        (
            r#""generationConfig":{"brandNew":1}"#,
            FindingKind::Unregistered,
            Some("generationConfig.brandNew"),
        ),
        (r#""brandNew":1"#, FindingKind::Unregistered, Some("brandNew")),
        (r#""generationConfig":{"responseModalities":["TEXT"]}"#, FindingKind::Bills, None),
    ];
    for (member, kind, expected) in cases {
        assert_eq!(found(member, kind).as_deref(), expected, "{member}");
    }
}

#[test]
fn inputs_without_a_size_in_the_body_cannot_be_bounded() {
    let unboundable = |part: &str| {
        let call = call(GEMINI, format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#)).unwrap();
        call.input.bound(Some(1000)).unboundable
    };
    assert_eq!(unboundable(r#"{"text":"x"}"#), None);
    assert_eq!(unboundable(r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#), None);
    let at = |what: &str| Some(format!("contents[0].parts[0].{what}"));
    assert_eq!(unboundable(r#"{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}}"#), at("inlineData"));
    assert_eq!(unboundable(r#"{"file_data":{"fileUri":"https://x"}}"#), at("file_data"));
    assert_eq!(unboundable(r#"{"brandNew":{}}"#), at("brandNew"));
}

#[test]
fn the_granted_limit_goes_into_the_config_in_the_spelling_that_is_there() {
    let granted = Edits { output_limit: Some(100), ..edits("up") };
    let cases = [
        ("", r#","generationConfig":{"maxOutputTokens":100}"#),
        (r#","generationConfig":null"#, r#","generationConfig":{"maxOutputTokens":100}"#),
        (r#","generation_config":null"#, r#","generation_config":{"maxOutputTokens":100}"#),
        (r#","generationConfig":{ }"#, r#","generationConfig":{ "maxOutputTokens":100}"#),
        (
            r#","generation_config":{"top_k":1e0}"#,
            r#","generation_config":{"top_k":1e0,"maxOutputTokens":100}"#,
        ),
        (
            r#","generation_config":{"max_output_tokens":500}"#,
            r#","generation_config":{"max_output_tokens":100}"#,
        ),
        (
            r#","generationConfig":{"maxOutputTokens":50,"x":1e400}"#,
            r#","generationConfig":{"maxOutputTokens":50,"x":1e400}"#,
        ),
        (
            r#","generationConfig":{"max_output_tokens":null}"#,
            r#","generationConfig":{"max_output_tokens":100}"#,
        ),
    ];
    for (given, expected) in cases {
        let body = |rest: &str| format!(r#"{{"contents":[]{rest}}}"#);
        assert_eq!(sent_with(GEMINI, GEMINI, &granted, body(given)).unwrap(), body(expected));
    }
}

#[test]
fn what_the_gateway_reads_and_the_name_of_the_model_stay_here() {
    let body =
        r#"{"model":"models/x","contents":[],"providerOptions":{"gateway":{"only":["a"]}},"store":true}"#;
    let zdr = Edits { no_store: true, ..edits("up") };
    assert_eq!(sent_with(GEMINI, GEMINI, &zdr, body).unwrap(), r#"{"contents":[],"store":false}"#);
}

#[test]
fn limits_that_are_no_whole_numbers_are_refused() {
    for (config, path) in [
        (r#"{"maxOutputTokens":"100x"}"#, "generationConfig.maxOutputTokens"),
        (r#"{"max_output_tokens":1e3}"#, "generationConfig.max_output_tokens"),
        (r#"{"candidateCount":9}"#, "generationConfig.candidateCount"),
        (r#"{"thinkingConfig":{"thinkingBudget":-2}}"#, "generationConfig.thinkingConfig.thinkingBudget"),
    ] {
        let error = call(GEMINI, format!(r#"{{"contents":[],"generationConfig":{config}}}"#)).unwrap_err();
        assert_eq!(error.path(), Some(path));
    }
    assert_eq!(call(GEMINI, "{}").unwrap_err().path(), Some("contents"));
    let looks = call(GEMINI, r#"{"contents":[],"GenerationConfig":{}}"#).unwrap_err();
    assert!(matches!(looks, RequestError::LooksLike { .. }), "{looks}");
}
