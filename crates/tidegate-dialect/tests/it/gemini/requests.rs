//! Requests between Gemini and the other dialects.

use tidegate_dialect::outbound::Edits;
use tidegate_dialect::read::FindingKind;
use tidegate_dialect::registry::{Carriage, fields};

use super::{GEMINI, call, sent, sent_with};
use crate::support::{ANTHROPIC, OPENAI, edits, file, lines};

/// Without what Gemini has no place for: an end to parallel calls.
fn full(name: &str) -> String {
    let body = String::from_utf8(file(name).to_vec()).unwrap();
    body.replace("\"parallel_tool_calls\": false", "\"parallel_tool_calls\": true")
        .replace("\"disable_parallel_tool_use\": true", "\"disable_parallel_tool_use\": false")
}

#[test]
fn a_rich_openai_request_as_gemini_gets_it() {
    insta::assert_snapshot!(lines(&sent(OPENAI, GEMINI, full("openai/full.json")).unwrap()));
}

#[test]
fn a_rich_anthropic_request_as_gemini_gets_it() {
    insta::assert_snapshot!(lines(&sent(ANTHROPIC, GEMINI, full("anthropic/full.json")).unwrap()));
}

#[test]
fn a_rich_gemini_request_as_openai_gets_it() {
    insta::assert_snapshot!(lines(&sent(GEMINI, OPENAI, file("gemini/full.json")).unwrap()));
}

#[test]
fn a_rich_gemini_request_as_anthropic_gets_it() {
    let body = String::from_utf8(file("gemini/full.json").to_vec()).unwrap();
    insta::assert_snapshot!(lines(&sent(GEMINI, ANTHROPIC, body).unwrap()));
}

#[test]
fn a_request_there_and_back_says_the_same() {
    for over in [OPENAI, ANTHROPIC] {
        let round = |body: String| sent(over, GEMINI, sent(GEMINI, over, body).unwrap()).unwrap();
        let once = round(String::from_utf8(file("gemini/full.json").to_vec()).unwrap());
        assert_eq!(round(once.clone()), once);
    }
}

#[test]
fn bodies_of_real_clients_pass_and_translate() {
    for body in String::from_utf8(file("captures/gemini.jsonl").to_vec()).unwrap().lines() {
        let read = call(GEMINI, body.to_owned()).unwrap();
        assert_eq!(read.finding(&[FindingKind::Unregistered, FindingKind::Bills]), None, "{body}");
        assert_eq!(sent(GEMINI, GEMINI, body.to_owned()).unwrap(), body);
        for target in [OPENAI, ANTHROPIC] {
            let sent = sent(GEMINI, target, body.to_owned()).unwrap();
            assert!(!sent.contains("skip_thought") && !sent.contains("c2tpcF90"), "{sent}");
        }
    }
    for (surface, name) in [(OPENAI, "captures/openai.jsonl"), (ANTHROPIC, "captures/anthropic.jsonl")] {
        for body in String::from_utf8(file(name).to_vec()).unwrap().lines() {
            match sent(surface, GEMINI, body.to_owned()) {
                Ok(_) => {}
                // The one thing real clients ask for that Gemini has not.
                Err(error) if error.path() == Some("parallel_tool_calls") => {}
                Err(error) => panic!("{error}: {body}"),
            }
        }
    }
}

#[test]
fn signatures_find_back_to_their_part_and_to_no_other_maker() {
    // As a client of ours would send back what it was given.
    let answer = |surface| {
        let facts = crate::support::facts(false);
        let whole = tidegate_dialect::answer::complete(surface, GEMINI, &file("gemini/answer.json"), &facts);
        serde_json::from_slice::<serde_json::Value>(&whole.unwrap().bytes).unwrap()
    };
    let anthropic = serde_json::json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": answer(ANTHROPIC)["content"]}]});
    let openai = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "q"},
        answer(OPENAI)["choices"][0]["message"]]});
    for (surface, body) in [(ANTHROPIC, anthropic.to_string()), (OPENAI, openai.to_string())] {
        let gemini = sent(surface, GEMINI, body.clone()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&gemini).unwrap();
        let parts = value["contents"][1]["parts"].as_array().unwrap();
        let signed: Vec<_> = parts.iter().filter(|part| part.get("thoughtSignature").is_some()).collect();
        assert_eq!(signed.len(), 1, "{gemini}");
        assert_eq!(signed[0]["functionCall"]["name"], "capital");
        assert_eq!(signed[0]["thoughtSignature"], "Z2VtaW5pLXNpZw==");
        let other = if surface == ANTHROPIC { OPENAI } else { ANTHROPIC };
        for target in [ANTHROPIC, OPENAI].into_iter().filter(|target| *target == other) {
            assert!(!sent(surface, target, body.clone()).unwrap().contains("Z2VtaW5pLXNpZw"), "{surface:?}");
        }
    }
    // A signature of Anthropic's goes through a Gemini client and back, and not to Gemini.
    let body = serde_json::json!({"contents": [{"role": "model", "parts": [
        {"text": "t", "thought": true, "thoughtSignature": "dGlkZWdhdGUtc2lnbmF0dXJlOmMybG4="}, {"text": "a"}]}]});
    assert!(
        sent(GEMINI, ANTHROPIC, body.to_string()).unwrap().contains(r#""thinking":"t","signature":"c2ln""#)
    );
}

#[test]
fn a_call_without_a_signature_is_sent_with_the_word_for_it() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[
        {"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},
        {"id":"2","type":"function","function":{"name":"g","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"2","content":"b"},{"role":"tool","tool_call_id":"1","content":"a"}]}"#;
    insta::assert_snapshot!(lines(&sent(OPENAI, GEMINI, body).unwrap()));
}

#[test]
fn reasoning_follows_the_generation_of_the_model() {
    let shown = |surface, model: &str, member: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"q"}}],{member}}}"#
        );
        let sent = sent_with(surface, GEMINI, &edits(model), body).unwrap();
        let value: serde_json::Value = serde_json::from_str(&sent).unwrap();
        format!("{model} {member} -> {}", value["generationConfig"]["thinkingConfig"])
    };
    let mut lines = Vec::new();
    for model in ["gemini-2.5-flash", "gemini-3-pro"] {
        for effort in ["none", "minimal", "medium", "xhigh"] {
            lines.push(shown(OPENAI, model, &format!(r#""reasoning_effort":"{effort}""#)));
        }
        for thinking in [
            r#""thinking":{"type":"disabled"}"#,
            r#""thinking":{"type":"adaptive"}"#,
            r#""thinking":{"type":"enabled","budget_tokens":2048}"#,
            r#""thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#,
        ] {
            lines.push(shown(ANTHROPIC, model, thinking));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_gemini_cannot_take_is_refused_by_its_place() {
    let openai = |rest: &str| sent(OPENAI, GEMINI, format!(r#"{{"model":"m",{rest}}}"#));
    let anthropic = |rest: &str| sent(ANTHROPIC, GEMINI, format!(r#"{{"model":"m","max_tokens":9,{rest}}}"#));
    let user = r#""messages":[{"role":"user","content":"q"}]"#;
    let tool = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let errors = [
        openai(r#""messages":[]"#),
        openai(r#""messages":[{"role":"system","content":"x"}]"#),
        openai(&format!(r#"{user},"stop":["1","2","3","4","5","6"]"#)),
        openai(&format!(r#"{user},{tool},"parallel_tool_calls":false"#)),
        openai(r#""messages":[{"role":"tool","tool_call_id":"x","content":"y"}]"#),
        anthropic(&format!(
            r#"{user},"tools":[{{"name":"f","input_schema":{{}}}}],"tool_choice":{{"type":"auto","disable_parallel_tool_use":true}}"#
        )),
        anthropic(&format!(r#"{user},"stop_sequences":["1","2","3","4","5","6"]"#)),
    ];
    insta::assert_snapshot!(errors.map(|error| error.unwrap_err().to_string()).join("\n"));
}

#[test]
fn what_others_cannot_take_of_gemini_is_refused_by_its_place() {
    let one = |target, body: &str| sent(GEMINI, target, body.to_owned());
    let part = |part: &str| one(OPENAI, &format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#));
    let with = |target, member: &str| {
        one(target, &format!(r#"{{"contents":[{{"parts":[{{"text":"q"}}]}}],{member}}}"#))
    };
    let errors = [
        part(r#"{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}}"#),
        part(r#"{"fileData":{"fileUri":"gs://b/x.png","mimeType":"image/png"}}"#),
        part(r#"{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}"#),
        part(r#"{"fileData":{"fileUri":"https://example.com/x.pdf"}}"#),
        part(r#"{"text":"x","videoMetadata":{"fps":1}}"#),
        part(r#"{"executableCode":{"code":"1"}}"#),
        part(r#"{"functionResponse":{"name":"f","response":{}}}"#),
        one(OPENAI, r#"{"contents":[{"role":"assistant","parts":[]}]}"#),
        with(OPENAI, r#""tools":[{"googleSearch":{}}]"#),
        with(ANTHROPIC, r#""tools":[{"functionDeclarations":[{"name":"f","behavior":"NON_BLOCKING"}]}]"#),
        with(
            OPENAI,
            r#""tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","brandNew":1}}]}]"#,
        ),
        with(OPENAI, r#""toolConfig":{"retrievalConfig":{}}"#),
        with(OPENAI, r#""safetySettings":[{"category":"X","threshold":"BLOCK_LOW_AND_ABOVE"}]"#),
        with(OPENAI, r#""cachedContent":"c""#),
        with(OPENAI, r#""generationConfig":{"topK":40}"#),
        with(OPENAI, r#""generationConfig":{"candidateCount":2}"#),
        with(ANTHROPIC, r#""generationConfig":{"responseLogprobs":true}"#),
        with(OPENAI, r#""generationConfig":{"responseModalities":["AUDIO"]}"#),
        with(OPENAI, r#""generationConfig":{"responseMimeType":"text/x.enum"}"#),
        with(ANTHROPIC, r#""generationConfig":{"responseMimeType":"application/json"}"#),
        with(ANTHROPIC, r#""generationConfig":{"frequencyPenalty":0.5}"#),
        with(OPENAI, r#""generationConfig":{"stopSequences":["1","2","3","4","5"]}"#),
        with(OPENAI, r#""generationConfig":{"brandNew":1}"#),
        with(OPENAI, r#""brandNew":1"#),
    ];
    insta::assert_snapshot!(errors.map(|error| error.unwrap_err().to_string()).join("\n"));
}

#[test]
fn what_the_registry_says_of_a_field_is_what_happens() {
    for field in fields(GEMINI).iter().filter(|field| !matches!(field.carriage, Carriage::Carried(_))) {
        let value = match field.name {
            "models" => "[]",
            "labels" => r#"{"a":"b"}"#,
            "providerOptions" | "provider" => "{}",
            "store" => "true",
            _ => r#""x""#,
        };
        let body = |value: &str| {
            format!(r#"{{"contents":[{{"parts":[{{"text":"q"}}]}}],"{}":{value}}}"#, field.name)
        };
        match field.carriage {
            Carriage::Refused(_) => {
                let error = sent(GEMINI, OPENAI, body(value)).unwrap_err();
                assert_eq!(error.path(), Some(field.name));
                for harmless in field.harmless {
                    assert!(sent(GEMINI, OPENAI, body(std::str::from_utf8(harmless).unwrap())).is_ok());
                }
            }
            _ => assert!(
                !sent(GEMINI, OPENAI, body(value)).unwrap().contains(field.name) || field.name == "model"
            ),
        }
    }
    assert!(fields(GEMINI).windows(2).all(|pair| pair[0].name < pair[1].name), "sorted");
}

#[test]
fn a_granted_limit_and_images_by_address_reach_gemini() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/a.webp?b"}},{"type":"image_url","image_url":{"url":"https://x/a"}}]}]}"#;
    let granted = Edits { output_limit: Some(100), ..edits("gemini-3-flash") };
    let sent = sent_with(OPENAI, GEMINI, &granted, body).unwrap();
    assert_eq!(
        sent,
        r#"{"contents":[{"role":"user","parts":[{"fileData":{"mimeType":"image/webp","fileUri":"https://x/a.webp?b"}},{"fileData":{"fileUri":"https://x/a"}}]}],"generationConfig":{"maxOutputTokens":100}}"#
    );
}

#[test]
fn the_chunks_of_a_stream_that_come_back_as_contents_are_one_turn() {
    let body = r#"{"contents":[{"parts":[{"text":"q"}]},
        {"role":"model","parts":[{"text":"Let me "}]},{"role":"model","parts":[{"text":"look."}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"model","parts":[{"text":""}]},
        {"parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}}]}]}"#;
    insta::assert_snapshot!(lines(&sent(GEMINI, OPENAI, body).unwrap()));
}
