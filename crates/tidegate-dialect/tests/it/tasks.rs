//! Every surface of an operation with every family that has it: what is sent, what comes back, what was used.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_dialect::outbound::Edits;
use tidegate_dialect::read::{CallBody, Outside};
use tidegate_dialect::task::{self, Payload};
use tidegate_dialect::{Dialect, RequestError};
use tidegate_types::resource::Operation;

use crate::support::{edits, facts, file};

fn dialect(name: &Value) -> Dialect {
    serde_json::from_value(name.clone()).unwrap()
}

/// A client's body: JSON, or a form with a file.
fn body(client: &Value) -> (String, Bytes) {
    let Some(parts) = client["body"].get("form") else {
        return ("application/json".to_owned(), client["body"].to_string().into());
    };
    let mut out = String::new();
    for part in parts.as_array().unwrap() {
        let (name, value) = (part[0].as_str().unwrap(), part[1].as_str().unwrap());
        write!(out, "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    out.push_str("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n");
    out.push_str("Content-Type: audio/mpeg\r\n\r\nID3\r\n--b--\r\n");
    ("multipart/form-data; boundary=\"b\"".to_owned(), out.into())
}

fn read(operation: Operation, client: &Value) -> Result<CallBody, RequestError> {
    let (content_type, body) = body(client);
    let outside = Outside { model: client["model"].as_str(), ..Outside::default() };
    task::read(operation, dialect(&client["surface"]), outside, &content_type, body)
}

fn shown(payload: &Payload) -> String {
    let text = String::from_utf8_lossy(&payload.bytes).replace("\r\n", "\n  ");
    format!("{} {}", payload.content_type, text.trim_end())
}

/// All pairs of an operation, for people to read.
fn pairs(operation: Operation) -> String {
    let cases: Value = serde_json::from_slice(&file(&format!("tasks/{}.json", operation.as_str()))).unwrap();
    let mut out = String::new();
    for client in cases["clients"].as_array().unwrap() {
        writeln!(out, "# {}", client["name"].as_str().unwrap()).unwrap();
        let call = match read(operation, client) {
            Ok(call) => call,
            Err(error) => {
                writeln!(out, "refused: {error}\n").unwrap();
                continue;
            }
        };
        let findings: Vec<&str> = call.findings.iter().map(|finding| finding.path.as_str()).collect();
        writeln!(out, "input {:?}\nunregistered {findings:?}\n", call.input).unwrap();
        for provider in cases["providers"].as_array().unwrap() {
            writeln!(
                out,
                "## {} at {}",
                client["name"].as_str().unwrap(),
                provider["name"].as_str().unwrap()
            )
            .unwrap();
            pair(&mut out, &call, provider);
        }
    }
    out
}

fn pair(out: &mut String, call: &CallBody, provider: &Value) {
    let (slug, target) = (provider["provider"].as_str().unwrap(), dialect(&provider["dialect"]));
    let model = provider["model"].as_str().unwrap_or("upstream");
    let edits = Edits { provider: slug, vertex: provider["vertex"] == json!(true), ..edits(model) };
    match task::request(call, target, &edits) {
        Ok(sent) => writeln!(out, "sent {}", shown(&sent)).unwrap(),
        Err(error) => return writeln!(out, "not sent: {error}\n").unwrap(),
    }
    let answer = &provider["answer"];
    let bytes = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned).into();
    let content_type = provider["content_type"].as_str().unwrap().to_owned().into();
    let told = provider["input_tokens"].as_u64();
    match task::complete(call, target, slug, &Payload { bytes, content_type }, told, &facts(false)) {
        Ok(done) => {
            let used = done.usage.map(|usage| {
                let all = serde_json::to_value(usage).unwrap();
                let some = all.as_object().unwrap().iter().filter(|(_, count)| **count != 0);
                some.map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(" ")
            });
            writeln!(out, "answered {}\nused {}\n", shown(&done.payload), used.unwrap_or_default()).unwrap();
        }
        Err(fault) => writeln!(out, "no answer: {fault}\n").unwrap(),
    }
}

#[test]
fn embeddings_of_every_surface_at_every_family() {
    insta::assert_snapshot!(pairs(Operation::Embedding));
}

#[test]
fn rerankings_of_every_surface_at_every_family() {
    insta::assert_snapshot!(pairs(Operation::Reranking));
}

#[test]
fn images_of_every_surface_at_every_family() {
    insta::assert_snapshot!(pairs(Operation::Image));
}

#[test]
fn speech_of_every_surface_at_every_family() {
    insta::assert_snapshot!(pairs(Operation::Speech));
}

#[test]
fn transcripts_of_every_surface_at_every_family() {
    insta::assert_snapshot!(pairs(Operation::Transcription));
}

const TASKS: [Operation; 5] = [
    Operation::Embedding,
    Operation::Reranking,
    Operation::Image,
    Operation::Speech,
    Operation::Transcription,
];

#[test]
fn duplicate_and_misspelt_keys_are_refused_by_name() {
    let read = |body: &str| {
        let outside = Outside::default();
        task::read(
            Operation::Embedding,
            Dialect::OpenaiChat,
            outside,
            "application/json",
            body.to_owned().into(),
        )
    };
    let twice = read(r#"{"model":"m","input":"a","input":"b"}"#).unwrap_err();
    assert_eq!(twice.path(), Some("input"));
    let cased = read(r#"{"model":"m","input":"a","Dimensions":1}"#).unwrap_err();
    assert_eq!(cased.path(), Some("Dimensions"));
}

#[test]
fn cache_writes_of_an_hour_are_seen_wherever_they_are_asked_for() {
    let read = |ttl: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{{"type":"text","text":"1h","cache_control":{{"type":"ephemeral","ttl":{ttl}}}}}]}}]}}"#
        );
        crate::support::read(Dialect::AnthropicMessages, body).most().cache_creation_1h_input_tokens
    };
    // A text that is the word alone counts too: too much is held rather than too little.
    assert_eq!(read(r#""1h""#), u64::MAX);
    let plain = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"wait 1h"}]}"#;
    let plain = crate::support::read(Dialect::AnthropicMessages, plain);
    assert_eq!(plain.most().cache_creation_1h_input_tokens, 0);
}

#[test]
fn an_embedding_passes_byte_for_byte_but_for_the_model() {
    let body = "{ \"input\" : [\"a\\u0301\"],\"model\":\"m\", \"user\":\"u\" ,\"novel\": 1e400}";
    let call = task::read(
        Operation::Embedding,
        Dialect::OpenaiChat,
        Outside::default(),
        "application/json",
        Bytes::from_static(body.as_bytes()),
    )
    .unwrap();
    let sent = task::request(&call, Dialect::OpenaiChat, &edits("up")).unwrap();
    assert_eq!(sent.bytes, body.replace("\"m\"", "\"up\"").as_bytes());
    let answer = r#"{"data":[{"embedding":[1e400, 1.10],"index":0}],"usage":{"prompt_tokens":1},"x":{}}"#;
    let received = Payload { bytes: answer.into(), content_type: "application/json".into() };
    let done = task::complete(&call, Dialect::OpenaiChat, "", &received, None, &facts(false)).unwrap();
    assert_eq!(done.payload, received);
}

proptest! {
    #[test]
    fn vectors_survive_packing(numbers in proptest::collection::vec(proptest::num::f32::NORMAL, 1..20)) {
        let ask = |format: &str| {
            let body = json!({"model": "m", "input": "a", "encoding_format": format}).to_string();
            task::read(Operation::Embedding, Dialect::OpenaiChat, Outside::default(), "", body.into()).unwrap()
        };
        let packed: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        for embedding in [json!(numbers), json!(STANDARD.encode(&packed))] {
            let answer = json!({"data": [{"index": 0, "embedding": embedding}]}).to_string();
            let received = Payload { bytes: answer.into(), content_type: "application/json".into() };
            // Voyage's answers are always written anew.
            let done = |format| {
                let done = task::complete(&ask(format), Dialect::OpenaiChat, "voyage", &received, None, &facts(false));
                serde_json::from_slice::<Value>(&done.unwrap().payload.bytes).unwrap()["data"][0]["embedding"].clone()
            };
            prop_assert_eq!(done("base64"), json!(STANDARD.encode(&packed)));
            let floats: Vec<f32> = serde_json::from_value(done("float")).unwrap();
            prop_assert_eq!(&floats, &numbers);
        }
    }

    #[test]
    fn files_survive_forms(file in proptest::collection::vec(any::<u8>(), 0..300), boundary in "[a-zA-Z0-9'()+_,./:=?-]{1,70}") {
        prop_assume!(memchr::memmem::find(&file, format!("--{boundary}").as_bytes()).is_none());
        let mut body = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--{boundary}\r\nContent-Disposition: form-data; filename=\"x\"; name=\"file\"\r\n\r\n").into_bytes();
        body.extend(&file);
        body.extend(format!("\r\n--{boundary}--\r\n").bytes());
        let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
        let read = |content_type: &str, body: Bytes| {
            task::read(Operation::Transcription, Dialect::OpenaiChat, Outside::default(), content_type, body)
        };
        let call = read(&content_type, body.into()).unwrap();
        prop_assert_eq!(&call.model, "m");
        let sent = task::request(&call, Dialect::OpenaiChat, &edits("up")).unwrap();
        prop_assert!(memchr::memmem::find(&sent.bytes, &[b"\r\n\r\n", &file[..], b"\r\n--"].concat()).is_some());
        // What we write is read again, and is the same.
        let again = read(&sent.content_type, sent.bytes.clone()).unwrap();
        prop_assert_eq!(&again.model, "up");
        prop_assert_eq!(task::request(&again, Dialect::OpenaiChat, &edits("up")).unwrap().bytes, sent.bytes);
    }

    #[test]
    fn garbage_is_refused_and_never_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200), multipart: bool) {
        let content_type = if multipart { "multipart/form-data; boundary=b" } else { "application/json" };
        let mut framed = b"--b\r\n".to_vec();
        framed.extend(&body);
        for operation in TASKS {
            for surface in [Dialect::OpenaiChat, Dialect::AiSdk, Dialect::CohereChat] {
                for body in [&body, &framed] {
                    let outside = Outside { model: Some("m"), ..Outside::default() };
                    prop_assert!(task::read(operation, surface, outside, content_type, body.clone().into()).is_err());
                }
            }
        }
    }

    #[test]
    fn answers_of_any_shape_never_panic(answer in json_value(), place in 0..5usize) {
        let operation = TASKS[place];
        let cases: Value = serde_json::from_slice(&file(&format!("tasks/{}.json", operation.as_str()))).unwrap();
        for client in cases["clients"].as_array().unwrap() {
            let Ok(call) = read(operation, client) else { continue };
            for provider in cases["providers"].as_array().unwrap() {
                let mut near = provider["answer"].clone();
                if let Some((_, value)) = near.as_object_mut().and_then(|object| object.iter_mut().next()) {
                    *value = answer.clone();
                }
                for body in [&answer, &near] {
                    let received = Payload { bytes: body.to_string().into(), content_type: "application/json".into() };
                    let _ = task::complete(&call, dialect(&provider["dialect"]), "", &received, None, &facts(false));
                }
            }
        }
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            Just("index".to_owned()),
            Just("embedding".to_owned()),
            Just("text".to_owned()),
            Just("values".to_owned()),
            "[a-z]{1,4}"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}
