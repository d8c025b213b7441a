//! Bedrock Converse: as a client's dialect, as a provider's, and passed through.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::outbound::{self, Edits, request};
use tidegate_dialect::read::{self, CallBody, FindingKind, Outside};
use tidegate_dialect::registry::{Carriage, Effect, fields};
use tidegate_dialect::{Dialect, RequestError};

use crate::support::{ANTHROPIC, OPENAI, edits, file, lines};

const BEDROCK: Dialect = Dialect::BedrockConverse;
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

fn outside(surface: Dialect) -> Outside<'static> {
    match surface {
        BEDROCK => Outside { model: Some("m"), stream: Some(true), ..Outside::default() },
        _ => Outside::default(),
    }
}

fn try_read(surface: Dialect, body: impl Into<Bytes>) -> Result<CallBody, RequestError> {
    read::call(surface, outside(surface), body.into())
}

fn sent_to(
    surface: Dialect,
    target: Dialect,
    model: &str,
    body: impl Into<Bytes>,
) -> Result<String, RequestError> {
    let bytes = request(&try_read(surface, body)?, target, &edits(model))?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

fn sent(surface: Dialect, target: Dialect, body: impl Into<Bytes>) -> Result<String, RequestError> {
    sent_to(surface, target, CLAUDE, body)
}

/// A rich body without what Bedrock refuses: images that lie elsewhere.
fn rich(name: &str) -> String {
    let body = String::from_utf8(file(name).to_vec()).unwrap();
    body.replace("\"https://example.com/cat.jpg\"", "\"s3://bucket/cat.jpg\"")
}

#[test]
fn a_rich_request_of_bedrock_as_others_get_it() {
    insta::assert_snapshot!(
        "bedrock_as_openai",
        lines(&sent(BEDROCK, OPENAI, file("bedrock/full.json")).unwrap())
    );
    insta::assert_snapshot!(
        "bedrock_as_anthropic",
        lines(&sent(BEDROCK, ANTHROPIC, file("bedrock/full.json")).unwrap())
    );
}

#[test]
fn a_rich_request_of_others_as_bedrock_gets_it() {
    for (surface, name) in [(OPENAI, "openai/full.json"), (ANTHROPIC, "anthropic/full.json")] {
        let out = sent(surface, BEDROCK, rich(name)).unwrap();
        insta::assert_snapshot!(format!("{}_as_bedrock", surface.as_str()), lines(&out));
        assert!(try_read(BEDROCK, out).unwrap().finding(&[FindingKind::Unregistered]).is_none());
    }
}

#[test]
fn a_request_there_and_back_says_the_same() {
    for (from, over, name) in [
        (BEDROCK, ANTHROPIC, "bedrock/full.json"),
        (BEDROCK, OPENAI, "bedrock/full.json"),
        (ANTHROPIC, BEDROCK, "anthropic/full.json"),
    ] {
        let round = |body: String| sent(over, from, sent(from, over, body).unwrap()).unwrap();
        // S3 cannot be read by others.
        let body = rich(name).replace(r#""type": "url","#, r#""type": "base64","media_type":"image/png","#);
        let once = round(body.replace(r#""url": "s3://bucket/cat.jpg""#, r#""data": "AAAA""#));
        assert_eq!(round(once.clone()), once, "{from:?} over {over:?}");
    }
}

#[test]
fn the_same_dialect_keeps_its_bytes_except_for_the_limit() {
    let body = r#"{"messages":[{"role":"user","content":[{"text":"\ud800\/"}]}] ,"inferenceConfig": {"temperature":1e400 },"x":-0.0}"#;
    let call = try_read(BEDROCK, body).unwrap();
    let passed = |call: &CallBody, edits: &Edits<'_>| {
        String::from_utf8(request(call, BEDROCK, edits).unwrap().to_vec()).unwrap()
    };
    assert_eq!(passed(&call, &edits("other-model")), body, "the model stands in the path");
    let limited = Edits { output_limit: Some(100), ..edits("m") };
    assert_eq!(passed(&call, &limited), body.replace("1e400 }", r#"1e400 ,"maxTokens":100}"#));
    let with =
        |config: &str| passed(&try_read(BEDROCK, format!(r#"{{"messages":[]{config}}}"#)).unwrap(), &limited);
    for (config, expected) in [
        ("", r#","inferenceConfig":{"maxTokens":100}"#),
        (r#","inferenceConfig":{}"#, r#","inferenceConfig":{"maxTokens":100}"#),
        (r#","inferenceConfig":null"#, r#","inferenceConfig":{"maxTokens":100}"#),
        (
            r#","inferenceConfig":{"maxTokens":500,"topP":1}"#,
            r#","inferenceConfig":{"maxTokens":100,"topP":1}"#,
        ),
        (r#","inferenceConfig":{"maxTokens":50}"#, r#","inferenceConfig":{"maxTokens":50}"#),
        (r#","inferenceConfig":{"maxTokens":null}"#, r#","inferenceConfig":{"maxTokens":100}"#),
    ] {
        assert_eq!(with(config), format!(r#"{{"messages":[]{expected}}}"#), "{config}");
    }
    let call = try_read(BEDROCK, file("bedrock/full.json")).unwrap();
    let whole = String::from_utf8(file("bedrock/full.json").to_vec()).unwrap();
    let (kept, _) = whole.split_once(",\n \"providerOptions\"").unwrap();
    assert_eq!(passed(&call, &edits("m")), format!("{kept}\n}}"));
}

#[test]
fn facts_of_a_body_are_found_where_they_are() {
    let call = try_read(BEDROCK, file("bedrock/full.json")).unwrap();
    assert_eq!((call.output_limit, call.reasoning_budget), (Some(4096), Some(2048)));
    assert!(call.needs.tools && call.needs.vision && call.needs.reasoning && call.needs.structured_output);
    assert_eq!((call.input.messages, call.input.images, call.stream), (4, 1, true));
    assert_eq!(call.input.unboundable.as_deref(), Some("messages[0].content[3].document"));
    let finding = |member: &str| {
        let call = try_read(BEDROCK, format!(r#"{{"messages":[],{member}}}"#)).unwrap();
        call.findings.first().map(|finding| (finding.path.clone(), finding.kind))
    };
    use FindingKind::{Bills, Unregistered};
    for (member, path, kind) in [
        (r#""guardrailConfig":{"guardrailIdentifier":"g"}"#, "guardrailConfig", Bills),
        (r#""performanceConfig":{"latency":"optimized"}"#, "performanceConfig", Bills),
        (r#""serviceTier":{"type":"priority"}"#, "serviceTier", Bills),
        (
            r#""toolConfig":{"tools":[{"systemTool":{"name":"nova_grounding"}}]}"#,
            "toolConfig.tools[0].systemTool",
            Bills,
        ),
        (
            r#""additionalModelRequestFields":{"max_tokens":9}"#,
            "additionalModelRequestFields.max_tokens",
            Unregistered,
        ),
        (r#""brandNew":1"#, "brandNew", Unregistered),
    ] {
        assert_eq!(finding(member), Some((path.to_owned(), kind)));
    }
    for body in [
        r#"{"messages":[],"inferenceConfig":{"maxTokens":1,"maxTokens":2}}"#,
        r#"{"messages":[{"role":"user","content":[{"text":"a","text":"b"}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"toolResult":{"toolUseId":"a","toolUseId":"b","content":[]}}]}]}"#,
    ] {
        assert!(matches!(try_read(BEDROCK, body), Err(RequestError::Duplicate { .. })), "{body}");
    }
}

#[test]
fn bodies_of_real_clients_pass_and_translate() {
    for body in String::from_utf8(file("captures/bedrock.jsonl").to_vec()).unwrap().lines() {
        let call = try_read(BEDROCK, body.to_owned()).unwrap();
        assert_eq!(call.finding(&[FindingKind::Unregistered]), None, "{body}");
        assert_eq!(request(&call, BEDROCK, &edits("m")).unwrap(), body);
        for target in [OPENAI, ANTHROPIC] {
            let sent: serde_json::Value =
                serde_json::from_slice(&request(&call, target, &edits("m")).unwrap()).unwrap();
            assert_eq!(sent["model"], "m");
        }
    }
}

#[test]
fn the_registry_says_what_becomes_of_every_field() {
    for field in fields(BEDROCK) {
        let body = |value: &str| format!(r#"{{"messages":[],"{}":{value}}}"#, field.name);
        let value = if matches!(field.name, "models" | "additionalModelResponseFieldPaths") {
            "[]"
        } else {
            "{\"x\":1}"
        };
        let found = sent(BEDROCK, ANTHROPIC, body(value));
        match field.carriage {
            _ if field.effect == Effect::Gateway => {}
            Carriage::Dropped(_) => assert!(!found.unwrap().contains(field.name), "{}", field.name),
            Carriage::Refused(_) => assert_eq!(found.unwrap_err().path(), Some(field.name)),
            Carriage::Carried(_) => {}
        }
        for harmless in field.harmless {
            sent(BEDROCK, OPENAI, body(std::str::from_utf8(harmless).unwrap())).unwrap();
        }
    }
    assert!(fields(BEDROCK).is_sorted_by_key(|field| field.name));
}

#[test]
fn what_others_cannot_carry_is_refused_by_name() {
    let content = |block: &str| format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#);
    let whole = |member: &str| format!(r#"{{"messages":[],{member}}}"#);
    let bodies = [
        content(r#"{"video":{"format":"mp4","source":{"bytes":"AA=="}}}"#),
        content(r#"{"audio":{"format":"mp3","source":{"bytes":"AA=="}}}"#),
        content(r#"{"guardContent":{"text":{"text":"x"}}}"#),
        content(r#"{"searchResult":{"source":"s","title":"t","content":[]}}"#),
        content(r#"{"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/k"}}}}"#),
        content(r#"{"document":{"format":"pdf","name":"n","source":{"text":"x"}}}"#),
        content(
            r#"{"document":{"format":"pdf","name":"n","source":{"bytes":"AA=="},"citations":{"enabled":true}}}"#,
        ),
        content(r#"{"toolUse":{"toolUseId":"t","name":"n","input":{},"type":"server_tool_use"}}"#),
        content(r#"{"brandNew":1}"#),
        whole(r#""additionalModelRequestFields":{"anthropic_beta":["x"]}"#),
        whole(r#""toolConfig":{"tools":[{"systemTool":{"name":"x"}}]}"#),
        whole(
            r#""outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{"}}}}"#,
        ),
    ];
    let errors = bodies.map(|body| sent(BEDROCK, ANTHROPIC, body).unwrap_err().to_string());
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn what_bedrock_cannot_carry_is_refused_by_name() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let openai = |model: &str, member: &str| {
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{tools},{member}}}"#);
        match sent_to(OPENAI, BEDROCK, model, body) {
            Ok(sent) => format!("{model} {member}\n    {}", sent.split_once(r#""text":"x"}]}]"#).unwrap().1),
            Err(error) => format!("{model} {member}\n    {error}"),
        }
    };
    let message = |message: &str| {
        let body = format!(r#"{{"model":"m","messages":[{message}]}}"#);
        sent_to(OPENAI, BEDROCK, CLAUDE, body).unwrap_err().to_string()
    };
    let mut out = Vec::new();
    for model in [CLAUDE, "amazon.nova-lite-v1:0", "openai.gpt-oss-120b-1:0", "meta.llama3-70b-instruct-v1:0"]
    {
        for member in [
            r#""top_k":5"#,
            r#""parallel_tool_calls":false"#,
            r#""parallel_tool_calls":false,"tool_choice":"required""#,
            r#""reasoning_effort":"xhigh""#,
            r#""reasoning_effort":"none""#,
        ] {
            out.push(openai(model, member));
        }
    }
    for member in [
        r#""temperature":1.5"#,
        r#""frequency_penalty":0.5"#,
        r#""response_format":{"type":"json_object"}"#,
        r#""tool_choice":"none""#,
        r#""tool_choice":"auto""#,
    ] {
        out.push(openai(CLAUDE, member));
    }
    let image = |url: &str| {
        format!(r#"{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}"#)
    };
    out.push(message(&image("https://example.com/a.png")));
    out.push(message(&image("data:image/tiff;base64,AA==")));
    out.push(message(
        r#"{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}"#,
    ));
    let late = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]}"#;
    out.push(sent_to(OPENAI, BEDROCK, "amazon.nova-lite-v1:0", late).unwrap_err().to_string());
    insta::assert_snapshot!(out.join("\n"));
}

#[test]
fn cache_points_are_markers_and_only_where_the_model_takes_them() {
    let body = r#"{"messages":[{"role":"user","content":[{"text":"a"},{"cachePoint":{"type":"default","ttl":"1h"}},{"text":"b"}]}]}"#;
    assert_eq!(try_read(BEDROCK, body).unwrap().most().cache_creation_1h_input_tokens, u64::MAX);
    let there = sent(BEDROCK, ANTHROPIC, body).unwrap();
    assert!(
        there.contains(r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}"#),
        "{there}"
    );
    assert!(sent(ANTHROPIC, BEDROCK, there.clone()).unwrap().starts_with(body.strip_suffix('}').unwrap()));
    assert!(!sent_to(ANTHROPIC, BEDROCK, "meta.llama3", there).unwrap().contains("cachePoint"));
}

#[test]
fn speakers_take_turns_and_documents_have_names_of_their_own() {
    let file = r#"{"type":"file","file":{"filename":"Q3  report_v1.2.pdf","file_data":"data:application/pdf;base64,AA=="}}"#;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":[{file},{file}]}},{{"role":"user","content":" "}},{{"role":"user","content":"x"}},{{"role":"assistant","content":""}},{{"role":"user","content":"y"}}]}}"#
    );
    let sent: serde_json::Value = serde_json::from_str(&sent(OPENAI, BEDROCK, body).unwrap()).unwrap();
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["content"][0]["document"]["name"], "Q3 report-v1-2");
    assert_eq!(messages[0]["content"][1]["document"]["name"], "Q3 report-v1-2 2");
    assert_eq!(messages[0]["content"][2]["text"], "x");
}

proptest! {
    #[test]
    fn any_body_is_read_and_translated_without_panic(
        member in prop::sample::select(vec!["messages", "system", "toolConfig", "inferenceConfig", "outputConfig", "additionalModelRequestFields"]),
        value in prop::sample::select(vec![
            "[]", "{}", "1", "\"\"", "[{}]", "[{\"role\":\"user\",\"content\":[{}]}]", "{\"tools\":[{}]}", "{\"tools\":[{\"toolSpec\":{}}]}",
            "{\"thinking\":{\"type\":\"enabled\"}}", "[{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"x\",\"content\":[{\"json\":1}]}}]}]",
            "[{\"cachePoint\":{\"type\":\"default\"}}]", "{\"maxTokens\":-1}", "{\"textFormat\":{}}",
        ]),
    ) {
        let first = if member == "messages" { "" } else { r#""messages":[],"# };
        let body = format!(r#"{{{first}"{member}":{value}}}"#);
        if let Ok(call) = try_read(BEDROCK, body) {
            for target in [BEDROCK, OPENAI, ANTHROPIC] {
                let _ = outbound::request(&call, target, &edits("m"));
            }
        }
    }
}
