//! Options for providers and for the gateway.

use tidegate_dialect::read::{self, Outside};

use super::{AI_SDK, call, refused, sent_to, with};
use crate::support::{ANTHROPIC, OPENAI};

#[test]
fn options_count_where_their_provider_is_asked() {
    let body = with(
        r#""providerOptions":{"openai":{"reasoningEffort":"low"},"anthropic":{"effort":"max"},"xai":{"reasoningEffort":"high"},"google":{"cachedContent":"c"}}"#,
    );
    let openai = |slug| sent_to(OPENAI, slug, false, body.clone()).unwrap();
    assert!(openai("openai").contains(r#""reasoning_effort":"low""#));
    assert!(openai("xai").contains(r#""reasoning_effort":"high""#));
    assert!(!openai("groq").contains("reasoning_effort"));
    let anthropic = sent_to(ANTHROPIC, "anthropic", false, body.clone()).unwrap();
    assert!(anthropic.contains(r#""effort":"max""#), "{anthropic}");
    assert_eq!(
        refused(OPENAI, "google", &body),
        "`providerOptions.google.cachedContent` cannot be sent to this provider: the gateway does not know how to carry it over"
    );
}

#[test]
fn options_for_the_gateway_are_checked_on_every_surface() {
    let cases = [
        (r#""sort":"best""#, "sort` must be cost, ttft or tps"),
        (r#""order":"openai""#, "order` must be an array"),
        (r#""only":[1]"#, "only[0]` must be a string"),
        (r#""caching":true"#, "caching` must be auto"),
        (
            r#""tags":["a","b","c","d","e","f","g","h","i","j","k"]"#,
            "tags` must be an array of 10 tags at most",
        ),
        (r#""tags":[""]"#, "tags[0]` must be a string of 1 to 64 characters"),
        (r#""zeroDataRetention":"yes""#, "zeroDataRetention` must be true or false"),
        (r#""headquarters":["US","!CN"]"#, "headquarters` must be ISO country codes"),
        (r#""serviceTier":"fast""#, "serviceTier` must be flex or priority"),
        (r#""providerTimeouts":{"byok":{"anthropic":10}}"#, "byok.anthropic` must be milliseconds"),
        (r#""byok":{"anthropic":[7]}"#, "byok.anthropic[0]` must be an object"),
        (r#""inferenceRegion":{"scope":"moon"}"#, "inferenceRegion.scope` must be zone or global"),
        (r#""inferenceRegion":{"scope":"zone"}"#, "inferenceRegion.geoRegion` must be us or eu"),
        (
            r#""inferenceRegion":{"geoRegion":"eu","providers":{"bedrock":"eu-west-1"}}"#,
            "inferenceRegion.providers` must be absent",
        ),
        (r#""quotaEntityId":5"#, "quotaEntityId` must be a string"),
    ];
    let openai = r#"{"model":"m","messages":[]"#;
    let prompt = r#"{"prompt":[]"#;
    for (surface, head) in [(OPENAI, openai), (ANTHROPIC, openai), (AI_SDK, prompt)] {
        for (member, expected) in cases {
            let body = format!(r#"{head},"providerOptions":{{"gateway":{{{member}}}}}}}"#);
            let outside = Outside { model: Some("m"), ..Outside::default() };
            let error = read::call(surface, outside, body.into()).unwrap_err().to_string();
            assert!(error.starts_with("`providerOptions.gateway.") && error.contains(expected), "{error}");
        }
        let user = "u".repeat(257);
        let body = format!(r#"{head},"providerOptions":{{"gateway":{{"user":"{user}"}}}}}}"#);
        let outside = Outside { model: Some("m"), ..Outside::default() };
        assert!(read::call(surface, outside, body.into()).is_err());
    }
}

#[test]
fn credentials_in_a_request_are_kept_nowhere() {
    let body = with(r#""providerOptions":{"gateway":{"byok":{"anthropic":[{"apiKey":"SECRET-KEY"}]}}}"#);
    let call = call(4, false, body.clone()).unwrap();
    assert!(!call.gateway.byok.is_empty() && !format!("{call:?}").contains("SECRET-KEY"));
    assert!(!sent_to(ANTHROPIC, "anthropic", false, body).unwrap().contains("SECRET-KEY"));
}
