//! Cohere's chat: as a provider's dialect, passed through, and as a client's.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_dialect::answer::complete;
use tidegate_dialect::outbound::{Edits, request};
use tidegate_dialect::read::FindingKind;
use tidegate_dialect::refusal::{self, Failure};
use tidegate_dialect::registry::{Carriage, Effect, fields};
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_dialect::{AnswerFault, Dialect};
use tidegate_types::usage::{RefusalCause, Usage};

use crate::support::{ANTHROPIC, OPENAI, edits, facts, file, lines, read, run, sent};

const COHERE: Dialect = Dialect::CohereChat;
const STREAMS: [&str; 3] = ["cohere/stream_text.sse", "cohere/stream_tools.sse", "cohere/stream_error.sse"];

/// A rich body without what Cohere refuses.
fn rich(name: &str) -> String {
    let mut body: serde_json::Value =
        serde_json::from_str(&String::from_utf8(file(name).to_vec()).unwrap().replace("1e400", "1")).unwrap();
    for key in ["response_format", "parallel_tool_calls"] {
        body.as_object_mut().unwrap().remove(key);
    }
    body["messages"].as_array_mut().unwrap().iter_mut().for_each(|message| {
        if let Some(parts) = message["content"].as_array_mut() {
            parts.retain(|part| part["type"] != "file" && part["type"] != "document");
        }
    });
    if let Some(config) = body["output_config"].as_object_mut() {
        config.remove("format");
    }
    if let Some(choice) = body["tool_choice"].as_object_mut() {
        choice.remove("disable_parallel_tool_use");
    }
    if body.get("max_tokens").is_none() {
        body.as_object_mut().unwrap().remove("output_config");
    }
    body.to_string()
}

#[test]
fn a_rich_request_as_cohere_gets_it() {
    for (surface, name) in [(OPENAI, "openai/full.json"), (ANTHROPIC, "anthropic/full.json")] {
        let out = sent(surface, COHERE, rich(name)).unwrap();
        insta::assert_snapshot!(format!("{}_as_cohere", surface.as_str()), lines(&out));
        assert!(read(COHERE, out).finding(&[FindingKind::Unregistered]).is_none());
    }
}

#[test]
fn a_rich_request_of_cohere_as_others_get_it() {
    for target in [OPENAI, ANTHROPIC] {
        let out = sent(COHERE, target, file("cohere/full.json")).unwrap();
        insta::assert_snapshot!(format!("cohere_as_{}", target.as_str()), lines(&out));
        let round = |body: String| sent(target, COHERE, sent(COHERE, target, body).unwrap()).unwrap();
        let once = round(String::from_utf8(file("cohere/full.json").to_vec()).unwrap());
        assert_eq!(round(once.clone()), once, "there and back says the same");
    }
}

#[test]
fn the_same_dialect_keeps_its_bytes_but_for_the_table() {
    let body = String::from_utf8(file("cohere/full.json").to_vec()).unwrap();
    let call = read(COHERE, body.clone());
    assert!(call.findings.is_empty(), "{:?}", call.findings);
    assert_eq!((call.output_limit, call.reasoning_budget, call.input.images), (Some(500), Some(2048), 2));
    let out = request(&call, COHERE, &Edits { output_limit: Some(100), ..edits("up") }).unwrap();
    let (kept, _) = body.split_once(",\n \"providerOptions\"").unwrap();
    let expected = format!("{kept}\n}}").replace("cohere/command-mock", "up").replace(": 500", ": 100");
    assert_eq!(String::from_utf8(out.to_vec()).unwrap(), expected);
}

#[test]
fn what_cohere_cannot_carry_is_refused_by_name() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g","strict":true}}]"#;
    let shown = |member: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{member}}}"#);
        match sent(OPENAI, COHERE, body) {
            Ok(sent) => format!("{member}\n    {}", sent.split_once(r#""content":"x"}]"#).unwrap().1),
            Err(error) => format!("{member}\n    {error}"),
        }
    };
    let mut out: Vec<String> = [
        r#""stop":["1","2","3","4","5","6"]"#,
        r#""response_format":{"type":"json_object"}"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"}}}"#,
        r#""reasoning_effort":"low""#,
        r#""reasoning_effort":"high""#,
        r#""reasoning_effort":"none""#,
        r#""frequency_penalty":0.5,"top_k":3"#,
    ]
    .map(shown)
    .to_vec();
    for member in [
        r#""response_format":{"type":"json_object"}"#,
        r#""parallel_tool_calls":false"#,
        r#""tool_choice":{"type":"function","function":{"name":"f"}}"#,
        r#""tool_choice":{"type":"function","function":{"name":"h"}}"#,
        r#""tool_choice":"none""#,
        r#""tool_choice":"required""#,
    ] {
        out.push(shown(&format!("{tools},{member}")).replace(tools, "…"));
    }
    for part in [
        r#"{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}}"#,
        r#"{"type":"input_audio","input_audio":{}}"#,
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
        out.push(sent(OPENAI, COHERE, body).unwrap_err().to_string());
    }
    insta::assert_snapshot!(out.join("\n"));
}

#[test]
fn the_registry_says_what_becomes_of_every_field() {
    for field in fields(COHERE) {
        let body = |value: &str| format!(r#"{{"model":"m","messages":[],"{}":{value}}}"#, field.name);
        let found = sent(COHERE, ANTHROPIC, body(r#"{"x":1}"#));
        match field.carriage {
            _ if field.effect == Effect::Gateway => {}
            Carriage::Dropped(_) => assert!(!found.unwrap().contains(field.name), "{}", field.name),
            Carriage::Refused(_) if field.name == "documents" => assert!(found.is_err()),
            Carriage::Refused(_) => assert_eq!(found.unwrap_err().path(), Some(field.name)),
            Carriage::Carried(_) => {}
        }
        for harmless in field.harmless {
            sent(COHERE, OPENAI, body(std::str::from_utf8(harmless).unwrap())).unwrap();
        }
    }
    assert!(fields(COHERE).is_sorted_by_key(|field| field.name));
}

fn counts() -> Usage {
    Usage { input_tokens: 60, output_tokens: 25, cached_input_tokens: 20, requests: 1, ..Usage::default() }
}

#[test]
fn whole_answers_translate_both_ways() {
    let original = file("cohere/answer.json");
    for surface in [OPENAI, ANTHROPIC] {
        let answer = complete(surface, COHERE, &original, &facts(false)).unwrap();
        assert_eq!(answer.usage, Some(counts()), "what is billed counts");
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        insta::assert_snapshot!(format!("cohere_answer_as_{}", surface.as_str()), lines(&text));
        let back = complete(COHERE, surface, &answer.bytes, &facts(false)).unwrap();
        let again = complete(COHERE, COHERE, &back.bytes, &facts(false)).unwrap();
        assert_eq!((again.usage, again.visible_bytes), (answer.usage, answer.visible_bytes));
    }
    assert_eq!(complete(COHERE, COHERE, &original, &facts(false)).unwrap().bytes, original);
    assert!(complete(COHERE, COHERE, &r#"{"id":"x","message":"bad"}"#.into(), &facts(false)).is_err());
    let failed = original.to_vec();
    let failed = String::from_utf8(failed).unwrap().replace("TOOL_CALL", "ERROR");
    assert!(complete(OPENAI, COHERE, &failed.into(), &facts(false)).is_err());
}

#[test]
fn streams_translate_both_ways() {
    for surface in [OPENAI, ANTHROPIC] {
        for name in &STREAMS[..2] {
            let ran = run(surface, COHERE, true, &[file(name)]);
            assert_eq!(ran.end, End::Complete, "{:?}", ran.facts);
            let name = name.replace('/', "_");
            insta::assert_snapshot!(
                format!("{name}_as_{}", surface.as_str()),
                format!("{}{:?}", ran.out, ran.facts)
            );
            let back = run(COHERE, surface, true, &[ran.out.into()]);
            let again = run(COHERE, COHERE, true, &[back.out.into()]);
            assert_eq!(again.end, End::Complete);
            assert_eq!(
                (again.facts.usage, again.facts.visible_bytes),
                (back.facts.usage, back.facts.visible_bytes)
            );
        }
    }
    let ran = run(COHERE, ANTHROPIC, true, &[file("anthropic/stream_tools.sse")]);
    insta::assert_snapshot!("anthropic_stream_as_cohere", ran.out);
}

#[test]
fn a_stream_of_cohere_passes_byte_for_byte_with_its_counts() {
    let ran = run(COHERE, COHERE, true, &[file("cohere/stream_tools.sse")]);
    assert_eq!(
        (ran.out, ran.end),
        (String::from_utf8(file("cohere/stream_tools.sse").to_vec()).unwrap(), End::Complete)
    );
    assert_eq!(ran.facts.usage, Some(counts()));
    let visible = r#"Let me look.I will look it up.capital{"country": "France"}now"#.len() as u64;
    assert_eq!(ran.facts.visible_bytes, visible + 2 * 16);
    for surface in [COHERE, OPENAI, ANTHROPIC] {
        let ran = run(surface, COHERE, true, &[file("cohere/stream_error.sse")]);
        assert_eq!((ran.end, ran.facts.fault), (End::Faulty, Some(AnswerFault::Reported)));
        assert_eq!(ran.facts.reported.unwrap().message.expose(), "CUDA out of memory");
        let input = file("cohere/stream_text.sse");
        let cut = run(surface, COHERE, true, &[input.slice(..input.len() - 200)]);
        assert_eq!(cut.end, End::Truncated);
    }
}

#[test]
fn every_stream_cut_at_every_byte_gives_the_same() {
    for name in STREAMS {
        let input = file(name);
        for surface in [COHERE, OPENAI] {
            let told = |pieces: &[Bytes]| {
                let ran = raw(surface, pieces);
                (ran.0, ran.1)
            };
            let whole = told(std::slice::from_ref(&input));
            for at in 0..=input.len() {
                assert_eq!(told(&[input.slice(..at), input.slice(at..)]), whole, "{name} cut at {at}");
            }
            let bytes: Vec<Bytes> = (0..input.len()).map(|at| input.slice(at..=at)).collect();
            assert_eq!(told(&bytes), whole, "{name} byte by byte");
        }
    }
}

fn raw(surface: Dialect, pieces: &[Bytes]) -> (Vec<u8>, String) {
    let mut stream = AnswerStream::new(surface, COHERE, &facts(true));
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    let end = stream.end(&mut out);
    (out.concat(), format!("{:?} {end:?}", stream.facts()))
}

#[test]
fn errors_are_coheres_and_end_a_stream() {
    let failure = Failure {
        cause: RefusalCause::UpstreamFailed,
        status: Some(429),
        message: "too \"many\"",
        code: None,
        param: None,
        model: None,
        call_id: "gen_1",
    };
    assert_eq!(refusal::body(COHERE, &failure).bytes, br#"{"id":"gen_1","message":"too \"many\""}"#);
    let event = String::from_utf8(refusal::event(COHERE, &failure)).unwrap();
    assert!(event.starts_with("event: message-end\ndata: {") && event.contains(r#""finish_reason":"ERROR""#));
    let ran = run(COHERE, COHERE, true, &[event.into()]);
    assert_eq!(ran.end, End::Faulty, "what is written reads back as an error");
}

fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"{"type":"message-start","delta":{"message":{}}}"#,
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"é"}}}}"#,
        r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"thinking":"é"}}}}"#,
        r#"{"type":"content-end","index":0}"#,
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"p"}}}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"f","arguments":"{"}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"}"}}}}}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":1,"output_tokens":1.0}}}}"#,
        r#"{"message":"broken"}"#,
        r#"{"type":"tool-call-end"}"#,
        "{}", "[DONE]", "1",
    ])
    .prop_map(|json| format!("data: {json}\n\n"))
}

proptest! {
    #[test]
    fn any_stream_under_any_split_gives_the_same_and_never_panics(
        pieces in prop::collection::vec(piece(), 0..16),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let input = Bytes::from(pieces.concat());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).chain([0, input.len()]).collect();
        at.sort_unstable();
        let parts: Vec<Bytes> = at.windows(2).map(|pair| input.slice(pair[0]..pair[1])).collect();
        for surface in [COHERE, OPENAI, ANTHROPIC] {
            prop_assert_eq!(raw(surface, &parts), raw(surface, std::slice::from_ref(&input)));
        }
    }
}
