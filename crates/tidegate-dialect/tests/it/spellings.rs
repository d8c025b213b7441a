//! Fields are named as the client wrote them, and numbers and texts are taken however their dialect allows.

use tidegate_dialect::outbound::{Edits, request};
use tidegate_dialect::read::{self, Outside};
use tidegate_dialect::{Dialect, RequestError};

use crate::support::{ANTHROPIC, OPENAI, edits, sent};

fn gemini(config: &str, target: Dialect, edits: &Edits<'_>) -> Result<String, RequestError> {
    let body =
        format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"x"}}]}}],"generationConfig":{config}}}"#);
    let outside = Outside { model: Some("m"), stream: Some(false), ..Outside::default() };
    let call = read::call(Dialect::Gemini, outside, body.into())?;
    Ok(String::from_utf8(request(&call, target, edits)?.to_vec()).unwrap())
}

#[test]
fn protobufs_whole_numbers_may_be_strings() {
    let config = r#"{"maxOutputTokens":"50","seed":"7","thinkingConfig":{"thinkingBudget":"-1"}}"#;
    let body = gemini(config, OPENAI, &edits("m")).unwrap();
    assert!(body.contains(r#""max_completion_tokens":50"#) && body.contains(r#""seed":7"#), "{body}");
    let config = r#"{"topK":"5","maxOutputTokens":4096,"thinkingConfig":{"thinkingBudget":"2048"}}"#;
    let body = gemini(config, ANTHROPIC, &edits("m")).unwrap();
    assert!(body.contains(r#""budget_tokens":2048"#), "{body}");
    for odd in [r#"{"maxOutputTokens":"5x"}"#, r#"{"maxOutputTokens":"-5"}"#, r#"{"maxOutputTokens":""}"#] {
        assert!(gemini(odd, OPENAI, &edits("m")).is_err(), "{odd}");
    }
    // A grant lowers such a limit, and never raises it.
    let granted = |limit| Edits { output_limit: Some(limit), ..edits("m") };
    let config = r#"{"maxOutputTokens":"50"}"#;
    assert!(gemini(config, Dialect::Gemini, &granted(60)).unwrap().contains(config));
    let lowered = gemini(config, Dialect::Gemini, &granted(40)).unwrap();
    assert!(lowered.contains(r#"{"maxOutputTokens":40}"#), "{lowered}");
}

#[test]
fn a_refusal_names_the_field_as_the_client_spelled_it() {
    let field = |refused: Result<String, RequestError>| match refused {
        Err(RequestError::Untranslatable { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let config = |config| field(gemini(config, OPENAI, &edits("m")));
    assert_eq!(config(r#"{"topK":5}"#), "generationConfig.topK");
    let penalty = gemini(r#"{"frequencyPenalty":1}"#, ANTHROPIC, &edits("m"));
    assert_eq!(field(penalty), "generationConfig.frequencyPenalty");
    let cohere = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"k":5}"#;
    assert_eq!(field(sent(Dialect::CohereChat, OPENAI, cohere)), "k");
    let responses = r#"{"model":"m","input":"x","text":{"verbosity":"low"}}"#;
    assert_eq!(field(sent(Dialect::OpenaiResponses, ANTHROPIC, responses)), "text.verbosity");
}

#[test]
fn verbosity_is_carried_between_openais_dialects() {
    let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"verbosity":"low"}"#;
    let body = sent(OPENAI, Dialect::OpenaiResponses, chat).unwrap();
    assert!(body.contains(r#""text":{"verbosity":"low"}"#), "{body}");
    let responses = r#"{"model":"m","input":"x","text":{"verbosity":"high","format":{"type":"text"}}}"#;
    let body = sent(Dialect::OpenaiResponses, OPENAI, responses).unwrap();
    assert!(body.contains(r#""verbosity":"high""#), "{body}");
    assert!(sent(OPENAI, ANTHROPIC, chat.replace("low", "medium")).is_ok(), "the usual says nothing");
    assert!(sent(OPENAI, Dialect::OpenaiResponses, chat.replace("low", "loud")).is_err());
}

#[test]
fn documents_of_text_are_carried_as_text() {
    let body = |title: &str| {
        format!(
            r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":[{{"type":"document",{title}"source":{{"type":"text","media_type":"text/plain","data":"once upon"}}}}]}}]}}"#
        )
    };
    for target in
        [OPENAI, Dialect::OpenaiResponses, Dialect::Gemini, Dialect::BedrockConverse, Dialect::CohereChat]
    {
        assert!(sent(ANTHROPIC, target, body("")).unwrap().contains(r#""once upon""#), "{target:?}");
    }
    assert!(
        sent(ANTHROPIC, OPENAI, body(r#""title":"A tale","#)).unwrap().contains(r#""A tale\n\nonce upon""#)
    );
}
