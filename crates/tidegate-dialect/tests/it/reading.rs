//! What is read from a client's body, and what is refused.

use proptest::prelude::*;
use tidegate_dialect::read::{FindingKind, Outside, call};
use tidegate_dialect::{Dialect, RequestError};

use crate::support::{ANTHROPIC, OPENAI, file, read};

#[test]
fn a_rich_openai_body_gives_its_facts() {
    insta::assert_debug_snapshot!(shown(OPENAI, "openai/full.json"));
}

#[test]
fn a_rich_anthropic_body_gives_its_facts() {
    insta::assert_debug_snapshot!(shown(ANTHROPIC, "anthropic/full.json"));
}

/// Debug of all public facts; the spots of edits are covered by what they do.
fn shown(surface: Dialect, name: &str) -> impl std::fmt::Debug {
    let call = read(surface, file(name));
    (
        (call.model, call.stream, call.output_limit, call.reasoning_budget, call.answers, call.asked_usage),
        (call.needs, call.labels, call.gateway, call.findings, call.input),
    )
}

fn refusal(surface: Dialect, body: &str) -> String {
    call(surface, Outside::default(), body.to_owned().into()).expect_err(body).to_string()
}

#[test]
fn duplicate_keys_are_refused_at_every_level_that_is_read() {
    let path = |surface, body: &str| match call(surface, Outside::default(), body.to_owned().into()) {
        Err(RequestError::Duplicate { path }) => path,
        other => panic!("{body}: {other:?}"),
    };
    let m = r#""model":"m""#;
    assert_eq!(path(OPENAI, r#"{"model":"a","messages":[],"mod\u0065l":"b"}"#), "model");
    assert_eq!(
        path(OPENAI, &format!(r#"{{{m},"messages":[{{"role":"user","role":"user"}}]}}"#)),
        "messages[0].role"
    );
    let nested = [
        (r#""content":[{"type":"text","text":"a","text":"b"}]"#, "messages[0].content[0].text"),
        (
            r#""content":[{"type":"image_url","image_url":{"url":"a","url":"b"}}]"#,
            "messages[0].content[0].image_url.url",
        ),
        (r#""tool_calls":[{"function":{"name":"a","name":"b"}}]"#, "messages[0].tool_calls[0].function.name"),
    ];
    for (member, expected) in nested {
        let body = format!(r#"{{{m},"messages":[{{"role":"user",{member}}}]}}"#);
        assert_eq!(path(OPENAI, &body), expected);
    }
    let top = [
        (r#""stream_options":{"include_usage":true,"include_usage":false}"#, "stream_options.include_usage"),
        (r#""tools":[{"type":"function","type":"function"}]"#, "tools[0].type"),
        (r#""response_format":{"type":"text","type":"text"}"#, "response_format.type"),
        (r#""metadata":{"a":"1","a":"2"}"#, "metadata.a"),
        (r#""providerOptions":{"gateway":{"user":"a","user":"b"}}"#, "providerOptions.gateway.user"),
    ];
    for (member, expected) in top {
        assert_eq!(path(OPENAI, &format!(r#"{{{m},"messages":[],{member}}}"#)), expected);
    }
    let anthropic = [
        (r#""thinking":{"type":"enabled","type":"x"}"#, "thinking.type"),
        (r#""output_config":{"effort":"low","effort":"high"}"#, "output_config.effort"),
        (r#""system":[{"type":"text","type":"text"}]"#, "system[0].type"),
    ];
    for (member, expected) in anthropic {
        assert_eq!(path(ANTHROPIC, &format!(r#"{{{m},"messages":[],{member}}}"#)), expected);
    }
    // Schemas are the client's own: what is in them is not interpreted.
    let schema = r#""tools":[{"type":"function","function":{"name":"f","parameters":{"a":1,"a":2}}}]"#;
    read(OPENAI, format!(r#"{{{m},"messages":[],{schema}}}"#));
}

#[test]
fn many_duplicate_free_keys_are_read_in_linear_time() {
    let metadata: Vec<String> = (0..100_000).map(|n| format!(r#""k{n}":"v""#)).collect();
    let body = format!(r#"{{"model":"m","messages":[],"metadata":{{{}}}}}"#, metadata.join(","));
    assert_eq!(read(OPENAI, body).labels.metadata.len(), 100_000);
}

#[test]
fn keys_that_other_readers_take_for_registered_ones_are_refused() {
    for key in ["Model", "MODEL", "max_Tokens", "\u{17f}tream", "max_to\u{212a}ens", "max_to\\u212aens"] {
        let body = format!(r#"{{"model":"m","messages":[],"{key}":"x"}}"#);
        assert!(
            matches!(call(OPENAI, Outside::default(), body.into()), Err(RequestError::LooksLike { .. })),
            "{key}"
        );
    }
}

#[test]
fn errors_name_the_place_and_what_belongs_there() {
    insta::assert_snapshot!([
        refusal(OPENAI, "{"),
        refusal(OPENAI, "[]"),
        refusal(OPENAI, r#"{"messages":[]}"#),
        refusal(OPENAI, r#"{"model":7,"messages":[]}"#),
        refusal(OPENAI, r#"{"model":"","messages":[]}"#),
        refusal(OPENAI, r#"{"model":"\ud800","messages":[]}"#),
        refusal(OPENAI, r#"{"model":"m"}"#),
        refusal(OPENAI, r#"{"model":"m","messages":{}}"#),
        refusal(OPENAI, r#"{"model":"m","messages":["x"]}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[{"content":"x"}]}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[{"role":"user","content":7}]}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[],"max_tokens":1.5}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[],"max_tokens":99999999999999999999}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[],"n":0}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[],"stream":"yes"}"#),
        refusal(OPENAI, r#"{"model":"m","messages":[],"provider":{"sort":"cost"},"providerOptions":{"gateway":{"sort":"tps"}}}"#),
        refusal(ANTHROPIC, r#"{"model":"m","messages":[],"thinking":{}}"#),
    ]
    .join("\n"));
}

#[test]
fn fields_that_bill_retain_or_are_unknown_are_found() {
    let found = |surface, members: &str| -> Vec<String> {
        let call = read(surface, format!(r#"{{"model":"m","messages":[],{members}}}"#));
        call.findings.iter().map(|finding| format!("{:?} {}", finding.kind, finding.path)).collect()
    };
    assert_eq!(
        found(OPENAI, r#""store":true,"brand_new":1"#),
        ["Unregistered brand_new"],
        "store is taken back"
    );
    assert_eq!(found(OPENAI, r#""web_search_options":{},"service_tier":"priority""#).len(), 2);
    assert_eq!(found(OPENAI, r#""store":false,"service_tier":"auto","audio":null"#), [""; 0]);
    assert_eq!(
        found(OPENAI, r#""tools":[{"type":"web_search"},{"type":"function"}]"#),
        ["Bills tools[0].type"]
    );
    assert_eq!(
        found(ANTHROPIC, r#""tools":[{"type":"bash_20250124"},{"name":"f"},{"type":"web_search_20260318"}]"#),
        ["Bills tools[2].type"]
    );
    assert_eq!(found(ANTHROPIC, r#""container":"c""#), ["Bills container", "Retains container"]);
    let call = read(OPENAI, r#"{"model":"m","messages":[{"role":"user","content":[{"type":"hologram"}]}]}"#);
    let finding = call.finding(&[FindingKind::Unregistered]).unwrap();
    assert_eq!(finding.path, "messages[0].content[0].type");
}

#[test]
fn registered_fields_are_sorted_for_the_search() {
    for dialect in [OPENAI, ANTHROPIC] {
        let names: Vec<_> =
            tidegate_dialect::registry::fields(dialect).iter().map(|field| field.name).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}

#[test]
fn content_cannot_be_printed() {
    let body = r#"{"model":"m","user":"SECRET","messages":[{"role":"user","content":"SECRET"}],"metadata":{"SECRET":"SECRET"}}"#;
    let shown = format!("{:?}", read(OPENAI, body).labels);
    assert!(!shown.contains("SECRET"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for surface in [OPENAI, ANTHROPIC] {
            let _ = call(surface, Outside::default(), bytes.clone().into());
        }
    }

    #[test]
    fn no_mutilated_body_makes_reader_or_translator_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(), anthropic in any::<bool>()
    ) {
        let (surface, other, name) =
            if anthropic { (ANTHROPIC, OPENAI, "anthropic/full.json") } else { (OPENAI, ANTHROPIC, "openai/full.json") };
        let mut bytes = file(name).to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(call) = call(surface, Outside::default(), Vec::into(bytes)) {
            for target in [surface, other] {
                if let Ok(sent) = tidegate_dialect::outbound::request(&call, target, &crate::support::edits("m")) {
                    prop_assert!(tidegate_dialect::json::Value::parse(&sent).is_ok());
                }
            }
        }
    }
}
