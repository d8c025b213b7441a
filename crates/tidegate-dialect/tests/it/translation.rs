//! From one dialect to the other and back.

use tidegate_dialect::answer::complete;
use tidegate_dialect::stream::End;
use tidegate_dialect::{AnswerFault, Dialect};

use crate::support::{ANTHROPIC, OPENAI, facts, file, lines, run, sent};

#[test]
fn a_rich_openai_request_as_anthropic_gets_it() {
    insta::assert_snapshot!(lines(&sent(OPENAI, ANTHROPIC, file("openai/full.json")).unwrap()));
}

#[test]
fn a_rich_anthropic_request_as_openai_gets_it() {
    insta::assert_snapshot!(lines(&sent(ANTHROPIC, OPENAI, file("anthropic/full.json")).unwrap()));
}

#[test]
fn a_request_there_and_back_says_the_same() {
    for (from, over, name) in
        [(OPENAI, ANTHROPIC, "openai/full.json"), (ANTHROPIC, OPENAI, "anthropic/full.json")]
    {
        // What the first round leaves out (cache markers, signed thoughts) stays so; the rest never changes.
        let round = |body: String| sent(over, from, sent(from, over, body).unwrap()).unwrap();
        let once = round(String::from_utf8(file(name).to_vec()).unwrap());
        assert_eq!(round(once.clone()), once);
    }
}

#[test]
fn whole_answers_translate_both_ways() {
    for (surface, target, name) in
        [(ANTHROPIC, OPENAI, "openai/answer.json"), (OPENAI, ANTHROPIC, "anthropic/answer.json")]
    {
        let answer = complete(surface, target, &file(name), &facts(false)).unwrap();
        let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
        insta::assert_snapshot!(name.replace('/', "_"), format!("{}\n{:?}", lines(&text), answer.usage));
        let same = complete(target, target, &file(name), &facts(false)).unwrap();
        assert_eq!(same.bytes.as_ptr_range().end as usize - same.bytes.as_ptr() as usize, same.bytes.len());
        assert_eq!(same.usage, answer.usage);
    }
}

#[test]
fn a_whole_answer_there_and_back_has_the_same_words_and_counts() {
    let original = file("anthropic/answer.json");
    let openai = complete(OPENAI, ANTHROPIC, &original, &facts(false)).unwrap();
    let back = complete(ANTHROPIC, OPENAI, &openai.bytes, &facts(false)).unwrap();
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let (original, back) = (value(&original), value(&back.bytes));
    for key in ["content", "stop_reason", "model"] {
        assert_eq!(original[key], back[key]);
    }
    for key in ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"] {
        assert_eq!(original["usage"][key], back["usage"][key], "{key}");
    }
}

#[test]
fn streams_translate_both_ways() {
    for (surface, target, asked, name) in [
        (ANTHROPIC, OPENAI, true, "openai/stream_tools.sse"),
        (ANTHROPIC, OPENAI, true, "openai/stream_no_usage.sse"),
        (OPENAI, ANTHROPIC, false, "anthropic/stream_tools.sse"),
        (OPENAI, ANTHROPIC, true, "anthropic/stream_text.sse"),
    ] {
        let ran = run(surface, target, asked, &[file(name)]);
        assert_eq!(ran.end, End::Complete);
        insta::assert_snapshot!(name.replace('/', "_"), format!("{}{:?}", ran.out, ran.facts));
    }
}

#[test]
fn a_stream_there_and_back_says_the_same() {
    let original = file("anthropic/stream_tools.sse");
    let there = run(OPENAI, ANTHROPIC, true, &[original]);
    let back = run(ANTHROPIC, OPENAI, true, &[there.out.clone().into()]);
    let again = run(OPENAI, ANTHROPIC, true, &[back.out.clone().into()]);
    assert_eq!(back.facts.usage, there.facts.usage);
    // Signatures have no place in OpenAI's own stream decoding; words, calls and counts do.
    let words = |out: &str| out.matches("partial_json").count() + out.matches("text_delta").count();
    assert!(words(&back.out) > 0);
    assert_eq!(again.facts.visible_bytes, back.facts.visible_bytes);
}

fn refused(surface: Dialect, target: Dialect, member: &str) -> String {
    let body = format!(r#"{{"model":"m","max_tokens":9,"messages":[],{member}}}"#);
    match sent(surface, target, body) {
        Err(error) => format!("{member}\n    {error}"),
        Ok(sent) => panic!("{member} was sent as {sent}"),
    }
}

#[test]
fn what_anthropic_cannot_carry_is_refused_by_name() {
    let members = [
        r#""logit_bias":{"1":5}"#,
        r#""frequency_penalty":0.5"#,
        r#""temperature":1.5"#,
        r#""n":2"#,
        r#""logprobs":true"#,
        r#""top_logprobs":2"#,
        r#""store":true"#,
        r#""service_tier":"priority""#,
        r#""modalities":["text","audio"]"#,
        r#""audio":{"voice":"v"}"#,
        r#""functions":[{"name":"f"}]"#,
        r#""web_search_options":{}"#,
        r#""response_format":{"type":"json_object"}"#,
        r#""verbosity":"low""#,
        r#""brand_new":1"#,
        r#""tools":[{"type":"custom","custom":{"name":"x"}}]"#,
        r#""tool_choice":{"type":"allowed_tools","allowed_tools":{}}"#,
    ];
    insta::assert_snapshot!(members.map(|member| refused(OPENAI, ANTHROPIC, member)).join("\n"));
}

#[test]
fn what_openai_cannot_carry_is_refused_by_name() {
    let members = [
        r#""top_k":5"#,
        r#""stop_sequences":["1","2","3","4","5"]"#,
        r#""container":"c""#,
        r#""mcp_servers":[]"#,
        r#""context_management":{}"#,
        r#""service_tier":"batch""#,
        r#""tools":[{"type":"web_search_20260318","name":"web_search"}]"#,
        r#""tools":[{"name":"f","input_schema":{},"defer_loading":true}]"#,
        r#""brand_new":1"#,
    ];
    insta::assert_snapshot!(members.map(|member| refused(ANTHROPIC, OPENAI, member)).join("\n"));
}

#[test]
fn what_the_registry_says_of_a_field_is_what_happens() {
    use tidegate_dialect::registry::{Carriage, fields};
    for (surface, target) in [(OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)] {
        for field in fields(surface) {
            let value = match field.name {
                "models" => "[]",
                "caching" => r#""auto""#,
                "user_profile_id" | "container" | "speed" | "service_tier" | "inference_geo" => r#""x""#,
                "top_k" | "top_logprobs" | "n" => "2",
                "store" | "logprobs" => "true",
                _ => r#"{"x":1}"#,
            };
            let body = |value: &str| {
                format!(r#"{{"model":"m","messages":[],"max_tokens":9,"{}":{value}}}"#, field.name)
            };
            match field.carriage {
                Carriage::Dropped(_) => {
                    let value = if field.name == "metadata" { r#"{"a":"b"}"# } else { value };
                    assert!(
                        !sent(surface, target, body(value)).unwrap().contains(field.name),
                        "{}",
                        field.name
                    );
                }
                Carriage::Refused(_) => {
                    let error = sent(surface, target, body(value)).unwrap_err();
                    assert!(error.path().unwrap().starts_with(field.name), "{}: {error}", field.name);
                }
                Carriage::Carried(_) => {}
            }
            for harmless in field.harmless {
                let value = std::str::from_utf8(harmless).unwrap();
                assert!(sent(surface, target, body(value)).is_ok(), "{} {value}", field.name);
            }
        }
    }
}

#[test]
fn messages_that_cannot_be_carried_are_refused_by_their_place() {
    let openai =
        |message: &str| sent(OPENAI, ANTHROPIC, format!(r#"{{"model":"m","messages":[{message}]}}"#));
    let anthropic = |message: &str| {
        sent(ANTHROPIC, OPENAI, format!(r#"{{"model":"m","max_tokens":9,"messages":[{message}]}}"#))
    };
    let errors = [
        openai(r#"{"role":"function","name":"f","content":"x"}"#),
        openai(r#"{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}"#),
        openai(r#"{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}"#),
        openai(r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}"#),
        openai(r#"{"role":"user","content":"x","brand_new":1}"#),
        openai(r#"{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"[1"}}]}"#),
        openai(r#"{"role":"assistant","tool_calls":[{"id":"1","type":"custom","custom":{}}]}"#),
        openai(r#"{"role":"tool","content":"x"}"#),
        anthropic(r#"{"role":"user","content":[{"type":"document","source":{"type":"url","url":"u"}}]}"#),
        anthropic(r#"{"role":"user","content":[{"type":"container_upload","file_id":"f"}]}"#),
        anthropic(
            r#"{"role":"user","content":"x"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"u"}}]}]}"#,
        ),
        anthropic(
            r#"{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]}"#,
        ),
    ];
    insta::assert_snapshot!(errors.map(|error| error.unwrap_err().to_string()).join("\n"));
}

#[test]
fn the_required_limit_is_filled_in_and_a_grant_lowers_it() {
    let body = r#"{"model":"m","messages":[]}"#;
    assert!(sent(OPENAI, ANTHROPIC, body).unwrap().contains(r#""max_tokens":8192"#));
    let call = crate::support::read(OPENAI, r#"{"model":"m","messages":[],"max_tokens":500}"#);
    let granted = tidegate_dialect::outbound::Edits { output_limit: Some(100), ..crate::support::edits("m") };
    let out = tidegate_dialect::outbound::request(&call, ANTHROPIC, &granted).unwrap();
    assert!(String::from_utf8_lossy(&out).contains(r#""max_tokens":100"#));
}

#[test]
fn tool_choices_and_reasoning_have_their_counterparts() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let to_anthropic = |member: &str| {
        let out =
            sent(OPENAI, ANTHROPIC, format!(r#"{{"model":"m","messages":[],{tools},{member}}}"#)).unwrap();
        out.split_once(r#"}}],"#).map_or(String::new(), |(_, rest)| rest.to_owned())
    };
    let shown: Vec<String> = [
        r#""tool_choice":"auto""#,
        r#""tool_choice":"required""#,
        r#""tool_choice":"none","parallel_tool_calls":false"#,
        r#""parallel_tool_calls":false"#,
        r#""parallel_tool_calls":true,"reasoning_effort":"none""#,
        r#""reasoning_effort":"minimal""#,
        r#""reasoning_effort":"xhigh""#,
    ]
    .map(|member| format!("{member} -> {}", to_anthropic(member)))
    .to_vec();
    let to_openai = |member: &str| {
        let out =
            sent(ANTHROPIC, OPENAI, format!(r#"{{"model":"m","max_tokens":9,"messages":[],{member}}}"#))
                .unwrap();
        format!(
            "{member} -> {}",
            out.replace(r#"{"model":"upstream-model","messages":[],"max_completion_tokens":9"#, "")
        )
    };
    let back = [
        r#""thinking":{"type":"disabled"}"#,
        r#""thinking":{"type":"adaptive"}"#,
        r#""thinking":{"type":"enabled","budget_tokens":1024}"#,
        r#""thinking":{"type":"enabled","budget_tokens":9000}"#,
        r#""thinking":{"type":"enabled","budget_tokens":64000}"#,
        r#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#,
        r#""tool_choice":{"type":"none"}"#,
    ];
    insta::assert_snapshot!(shown.into_iter().chain(back.map(to_openai)).collect::<Vec<_>>().join("\n"));
}

#[test]
fn answers_that_end_in_unknown_ways_are_not_shown_as_complete() {
    let answer = |reason: &str| {
        let body =
            format!(r#"{{"choices":[{{"index":0,"message":{{"content":"x"}},"finish_reason":{reason}}}]}}"#);
        complete(ANTHROPIC, OPENAI, &body.into(), &facts(false)).map(|_| ())
    };
    assert_eq!(answer(r#""stop""#), Ok(()));
    assert_eq!(answer(r#""error""#), Err(AnswerFault::Malformed("unknown finish_reason")));
    assert_eq!(answer("null"), Err(AnswerFault::Malformed("no finish_reason")));
    let error = br#"{"error":{"message":"m"}}"#;
    for (surface, target) in
        [(OPENAI, OPENAI), (ANTHROPIC, ANTHROPIC), (OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)]
    {
        assert!(complete(surface, target, &error.to_vec().into(), &facts(false)).is_err());
    }
}

#[test]
fn a_translated_stream_that_breaks_has_no_end() {
    let input = file("openai/stream_tools.sse");
    let cut = input.slice(..input.len() * 2 / 3);
    let ran = run(ANTHROPIC, OPENAI, true, &[cut]);
    assert_eq!(ran.end, End::Truncated);
    assert!(!ran.out.contains("message_stop") && !ran.out.contains("stop_reason\":\""));
    let ran = run(OPENAI, ANTHROPIC, false, &[file("anthropic/stream_cut.sse")]);
    assert_eq!(ran.end, End::Truncated);
    assert!(!ran.out.contains("[DONE]") && !ran.out.contains("finish_reason\":\""));
}

#[test]
fn mixed_up_tool_calls_are_a_fault() {
    let piece = |index: u64, rest: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":{index},{rest}}}]}}}}]}}\n\n"
        )
    };
    let input = [
        piece(0, r#""id":"a","function":{"name":"f","arguments":"{"}"#),
        piece(1, r#""id":"b","function":{"name":"g","arguments":"{"}"#),
        piece(0, r#""function":{"arguments":"}"}"#),
    ]
    .concat();
    let ran = run(ANTHROPIC, OPENAI, true, &[input.into()]);
    assert!(matches!(ran.facts.fault, Some(AnswerFault::Malformed(_))));
    assert_eq!(ran.end, End::Faulty);
}

#[test]
fn instructions_in_the_midst_of_a_conversation_stand_where_anthropic_takes_them() {
    let roles = |messages: &str| {
        let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
        sent(OPENAI, ANTHROPIC, body).map(|body| {
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            let messages = body["messages"].as_array().unwrap().clone();
            messages
                .iter()
                .map(|m| format!("{}:{}", m["role"].as_str().unwrap(), m["content"]))
                .collect::<Vec<_>>()
        })
    };
    let [system, user, answer] = ["system", "user", "assistant"]
        .map(|role| move |text: &str| format!(r#"{{"role":"{role}","content":"{text}"}}"#));
    let said = roles(&[user("a"), answer("b"), system("c"), user("d")].join(",")).unwrap();
    assert_eq!(said, ["user:\"a\"", "assistant:\"b\"", "user:\"d\"", "system:\"c\""]);
    let said = roles(&[user("a"), system("b"), system("c"), answer("d"), user("e")].join(",")).unwrap();
    assert_eq!(said[1], r#"system:[{"text":"b","type":"text"},{"text":"c","type":"text"}]"#);
    assert_eq!(said.len(), 4);
    let refused = roles(&[user("a"), answer("b"), system("c")].join(",")).unwrap_err();
    assert_eq!(refused.path(), Some("messages[2].role"));
}

#[test]
fn empty_answers_in_the_history_are_left_out_for_anthropic() {
    let history = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"user","content":"b"}]}"#;
    let body: serde_json::Value = serde_json::from_str(&sent(OPENAI, ANTHROPIC, history).unwrap()).unwrap();
    assert_eq!(
        body["messages"],
        serde_json::json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    );
}

#[test]
fn tools_without_a_type_get_the_one_that_anthropic_demands() {
    for (schema, expected) in [
        ("", r#"{"type":"object","properties":{}}"#),
        (r#","parameters":{}"#, r#"{"type":"object"}"#),
        (r#","parameters":{"properties":{"a":{}}}"#, r#"{"type":"object","properties":{"a":{}}}"#),
        (r#","parameters":{"type":"object","x":1e400}"#, r#"{"type":"object","x":1e400}"#),
    ] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"tools":[{{"type":"function","function":{{"name":"t"{schema}}}}}]}}"#
        );
        let sent = sent(OPENAI, ANTHROPIC, body).unwrap();
        assert!(sent.contains(&format!(r#""input_schema":{expected}"#)), "{sent}");
    }
}
