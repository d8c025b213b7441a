//! The same dialect in and out, and the facts of bodies.

use bytes::Bytes;
use tidegate_dialect::outbound::{Edits, request};
use tidegate_dialect::read::{FindingKind, Outside, call};

use super::{RESPONSES, text};
use crate::support::{edits, read};

fn sent(body: &str, edits: &Edits<'_>) -> String {
    let call = read(RESPONSES, body.to_owned());
    String::from_utf8(request(&call, RESPONSES, edits).unwrap().to_vec()).unwrap()
}

#[test]
fn nothing_to_edit_is_not_even_copied() {
    let body = Bytes::from_static(
        br#"{ "model":"m", "input":"\ud83d\ude00\/" ,"x":1e400,"y":12345678901234567890}"#,
    );
    let out = request(&read(RESPONSES, body.clone()), RESPONSES, &edits("m")).unwrap();
    assert_eq!(out.as_ptr(), body.as_ptr());
}

#[test]
fn under_zdr_nothing_is_stored_and_under_a_budget_the_limit_holds() {
    let zdr = Edits { no_store: true, ..edits("m") };
    for given in ["", r#","store":true"#, r#","store":null"#, r#","store":false"#] {
        let body = format!(r#"{{"model":"m","input":"x"{given}}}"#);
        assert_eq!(sent(&body, &zdr), r#"{"model":"m","input":"x","store":false}"#);
    }
    let granted = Edits { output_limit: Some(100), ..edits("m") };
    for (given, expected) in
        [("", 100), (r#","max_output_tokens":500"#, 100), (r#","max_output_tokens":50"#, 50)]
    {
        let sent = sent(&format!(r#"{{"model":"m","input":"x"{given}}}"#), &granted);
        assert_eq!(sent, format!(r#"{{"model":"m","input":"x","max_output_tokens":{expected}}}"#));
    }
    let stream = r#"{"model":"m","input":"x","stream":true}"#;
    assert_eq!(sent(stream, &edits("m")), stream, "streams carry usage unasked");
}

#[test]
fn a_rich_body_differs_only_where_the_table_says() {
    let body = text("responses/full.json");
    let out = sent(&body, &edits("up"));
    let changed: Vec<&str> = body.lines().filter(|line| !out.contains(line.trim())).collect();
    insta::assert_snapshot!(changed.join("\n"));
    assert!(out.contains("1e400") && out.contains("12345678901234567890"));
}

#[test]
fn reasoning_that_the_provider_could_not_look_up_is_taken_out() {
    let ours = r#"{"type":"reasoning","id":"rs_01ARZ3NDEKTSV4RRFFQ69G5FAV_0","summary":[]}"#;
    let theirs = r#"{"type":"reasoning","id":"rs_0a1b2c","summary":[]}"#;
    let body = format!(r#"{{"model":"m","input":[{ours},{theirs}]}}"#);
    assert_eq!(sent(&body, &edits("m")), format!(r#"{{"model":"m","input":[{theirs}]}}"#));
}

#[test]
fn thoughts_that_openai_signed_do_not_reach_anthropic_on_its_own_surface() {
    let own = r#"{"type":"thinking","thinking":"a","signature":"c2ln"}"#;
    let foreign = r#"{"type":"thinking","thinking":"b","signature":"openai-responses-v1:rs_1:gAAAA"}"#;
    let said = r#"{"type":"text","text":"thinking"}"#;
    let body =
        |blocks: &str| format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":[{blocks}]}}]}}"#);
    let given = body(&format!("{foreign} , {own},{foreign},{said}"));
    let call = crate::support::read(crate::support::ANTHROPIC, given);
    let out = request(&call, crate::support::ANTHROPIC, &edits("m")).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), body(&format!("{own},{said}")));
}

#[test]
fn a_rich_body_gives_its_facts() {
    let call = read(RESPONSES, text("responses/full.json"));
    let shown = format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?} {:?} {:?}",
        call.needs,
        call.labels,
        call.input,
        call.findings,
        call.output_limit,
        call.stream,
        call.gateway.unknown
    );
    insta::assert_snapshot!(shown);
    assert_eq!(call.labels.user.unwrap().expose(), "u1", "the gateway's own label comes first");
}

#[test]
fn what_bills_or_retains_is_found_by_its_place() {
    let found = |member: &str| {
        let input = if member.starts_with(r#""input""#) { "" } else { r#""input":"x","# };
        let call = read(RESPONSES, format!(r#"{{"model":"m",{input}{member}}}"#));
        let findings: Vec<String> =
            call.findings.iter().map(|finding| format!("{} {:?}", finding.path, finding.kind)).collect();
        format!("{member}\n    {} | unboundable: {:?}", findings.join(", "), call.input.unboundable)
    };
    let part = |part: &str| found(&format!(r#""input":[{{"role":"user","content":[{part}]}}]"#));
    let shown = [
        found(r#""store":true"#),
        found(r#""store":false"#),
        found(r#""background":true"#),
        found(r#""previous_response_id":"r""#),
        found(r#""conversation":{"id":"c"}"#),
        found(r#""prompt":{"id":"p"}"#),
        found(r#""service_tier":"flex""#),
        found(r#""reasoning":{"mode":"pro"}"#),
        found(
            r#""tools":[{"type":"function","name":"f"},{"type":"web_search"},{"type":"custom","name":"c"}]"#,
        ),
        found(r#""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#),
        found(r#""tools":[{"type":"mcp","server_label":"s","server_url":"u"}]"#),
        found(r#""brand_new":1"#),
        found(r#""input":[{"type":"item_reference","id":"i"}]"#),
        found(r#""input":[{"id":"i"}]"#),
        found(r#""input":[{"type":"brand_new"}]"#),
        found(r#""input":[{"type":"compaction","encrypted_content":"x"}]"#),
        part(r#"{"type":"input_image","image_url":"https://x"}"#),
        part(r#"{"type":"input_image","file_id":"f"}"#),
        part(r#"{"type":"input_file","file_id":"f"}"#),
        part(r#"{"type":"input_file","file_url":"https://x"}"#),
        part(r#"{"type":"brand_new"}"#),
    ];
    insta::assert_snapshot!(shown.join("\n"));
    let plain = read(RESPONSES, r#"{"model":"m","input":"x"}"#);
    assert!(plain.finding(&[FindingKind::Retains]).is_none(), "the edit table keeps it from being stored");
}

#[test]
fn errors_name_the_place() {
    let error =
        |body: &str| call(RESPONSES, Outside::default(), body.to_owned().into()).unwrap_err().to_string();
    let shown = [
        error(r#"{"model":"m"}"#),
        error(r#"{"model":"m","input":7}"#),
        error(r#"{"model":"m","input":[7]}"#),
        error(r#"{"model":"m","input":"x","input":"y"}"#),
        error(r#"{"model":"m","input":[{"role":"user","content":[{"text":"x"}]}]}"#),
        error(r#"{"model":"m","input":[{"type":"message","content":"x"}]}"#),
        error(r#"{"model":"m","input":[{"role":"user","content":"x","role":"system"}]}"#),
        error(r#"{"model":"m","input":"x","max_output_tokens":-1}"#),
        error(r#"{"model":"m","input":"x","tools":[{"name":"f"}]}"#),
        error(r#"{"model":"m","input":"x","text":{"format":{}}}"#),
        error(r#"{"model":"m","input":"x","Store":true}"#),
        error(r#"{"model":"m","input":"x","cache_ttl":"2h"}"#),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn images_are_bounded_by_the_model_and_not_by_their_bytes() {
    let image =
        format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{}"}}"#, "A".repeat(100_000));
    let call = read(RESPONSES, format!(r#"{{"model":"m","input":[{{"role":"user","content":[{image}]}}]}}"#));
    assert!(call.needs.vision);
    let bound = call.input.bound(Some(1600));
    assert!((1600..2400).contains(&bound.tokens), "{}", bound.tokens);
}
