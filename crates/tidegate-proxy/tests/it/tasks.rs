//! Every operation beyond language models, end to end: clients of each surface against the simulated
//! services of each family, and what we charge against what they bill.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_types::{BudgetId, NanoUsd};

use crate::form::{File, form};
use crate::stage::{Stage, strict};

/// Vectors of one text as floats, whatever form they came in.
fn floats(vector: &Value) -> Vec<f32> {
    use base64::Engine as _;
    match vector {
        Value::String(packed) => base64::engine::general_purpose::STANDARD
            .decode(packed)
            .unwrap()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect(),
        other => other.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect(),
    }
}

#[tokio::test]
async fn embeddings_are_the_same_vectors_on_every_surface_from_every_family() {
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    let mut seen: BTreeMap<&str, Vec<Vec<f32>>> = BTreeMap::new();
    for model in ["openai/emb", "cohere/emb", "google/emb", "vertex/emb"] {
        let vectors = seen.entry(model).or_default();
        for format in [None, Some("float"), Some("base64")] {
            let mut body = json!({"model": model, "input": ["the tide", "the gate"], "dimensions": 5});
            if let Some(format) = format {
                body["encoding_format"] = json!(format);
            }
            let (status, answer) = stage.ask("/v1/embeddings", &body).await;
            assert_eq!(status, 200, "{answer}");
            assert_eq!(answer["data"][0]["embedding"].is_string(), format == Some("base64"), "{answer}");
            assert_eq!(answer["data"][1]["index"], 1);
            assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() >= 4, "{answer}");
            vectors.push(floats(&answer["data"][1]["embedding"]));
        }
        for (spec, texts) in [(2, "input"), (3, "values"), (4, "values")] {
            let body = json!({texts: ["the tide", "the gate"], "dimensions": 5,
                "providerOptions": {"gateway": {"tags": ["e"]}}});
            let (status, answer) = stage.ask_sdk("embedding", spec, model, &body).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["usage"]["tokens"].as_u64().unwrap() >= 4, "{answer}");
            assert_eq!(answer["warnings"], json!([]), "{answer}");
            vectors.push(floats(&answer["embeddings"][1]));
        }
    }
    let first = seen["openai/emb"][0].clone();
    assert_eq!(first.len(), 5);
    for (model, vectors) in &seen {
        assert!(vectors.iter().all(|vector| *vector == first), "{model}: {vectors:?}");
    }
    stage.assert_books_match(24).await;
    assert!(stage.world.balance(BudgetId::from_u128(1)).await.spent > NanoUsd::ZERO);
}

#[tokio::test]
async fn bedrock_gives_the_vectors_of_titan_and_of_cohere_and_counts_their_tokens() {
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    let ask = async |model: &str, input: Value, dimensions: u64| {
        let body = json!({"model": model, "input": input, "dimensions": dimensions});
        stage.ask("/v1/embeddings", &body).await
    };
    let texts = json!(["the tide", "the gate"]);
    let (status, answer) = ask("bedrock/emb", texts.clone(), 256).await;
    assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(2)), "{answer}");
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() >= 4, "a header tells: {answer}");
    let of_cohere = floats(&answer["data"][0]["embedding"]);
    let (status, answer) = ask("amazon/emb", json!(["the tide"]), 256).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() >= 2, "{answer}");
    assert_eq!(
        floats(&answer["data"][0]["embedding"]),
        of_cohere,
        "the simulator's vectors depend on the text"
    );
    let body = json!({"values": ["the tide"], "providerOptions": {"bedrock": {"dimensions": 512}}});
    let (status, answer) = stage.ask_sdk("embedding", 4, "amazon/emb", &body).await;
    assert_eq!((status, answer["embeddings"][0].as_array().map(Vec::len)), (200, Some(512)), "{answer}");
    stage.assert_books_match(3).await;
    let (status, answer) = ask("amazon/emb", texts, 256).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("input")), "one text per call: {answer}");
    let (status, answer) = ask("amazon/emb", json!("the tide"), 7).await;
    assert_eq!(status, 400, "the service's own refusal: {answer}");
}

#[tokio::test]
async fn token_ids_go_to_openai_and_are_refused_by_name_elsewhere() {
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    for input in [json!([1, 2, 3]), json!([[1, 2], [3]]), json!("one text")] {
        let (status, answer) =
            stage.ask("/v1/embeddings", &json!({"model": "openai/emb", "input": input})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (status, answer) =
        stage.ask("/v1/embeddings", &json!({"model": "cohere/emb", "input": [1, 2]})).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("input")), "{answer}");
    let unknown = json!({"model": "openai/emb", "input": "a", "secret_sauce": 1});
    let (status, answer) = stage.ask("/v1/embeddings", &unknown).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("secret_sauce")), "strict: {answer}");
    let (status, answer) = stage.ask("/v1/embeddings", &json!({"model": "openai/emb"})).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("input")), "{answer}");
}

#[tokio::test]
async fn documents_are_ranked_on_both_surfaces_by_both_families() {
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    let documents = json!(["of mice", "a gate for the tide", "the tide"]);
    for model in ["cohere/rank", "jina/rank"] {
        let body = json!({"model": model, "query": "gate tide", "documents": documents, "top_n": 2});
        let (status, answer) = stage.ask("/v1/rerank", &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["results"][0]["index"], 1, "{answer}");
        assert_eq!(answer["results"].as_array().unwrap().len(), 2);
        for spec in [3, 4] {
            let body =
                json!({"query": "gate tide", "documents": {"type": "text", "values": documents}, "topN": 1});
            let (status, answer) = stage.ask_sdk("reranking", spec, model, &body).await;
            assert_eq!(status, 200, "{answer}");
            assert_eq!(answer["ranking"].as_array().unwrap().len(), 1, "{answer}");
            assert_eq!(answer["ranking"][0]["index"], 1, "{answer}");
        }
    }
    stage.assert_books_match(6).await;
}

#[tokio::test]
async fn pictures_are_billed_each_or_by_their_tokens() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    for model in ["openai/draw", "openai/paint"] {
        let body = json!({"model": model, "prompt": "a gate", "n": 2, "size": "1024x1024"});
        let (status, answer) = stage.ask("/v1/images/generations", &body).await;
        assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(2)), "{answer}");
        for spec in [2, 3, 4] {
            let body = json!({"prompt": "a gate", "n": 1, "size": "1024x1024", "providerOptions": {"gateway": {"tags": ["i"]}}});
            let (status, answer) = stage.ask_sdk("image", spec, model, &body).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["images"][0].as_str().unwrap().starts_with("iVBOR"), "{answer}");
        }
    }
    stage.assert_books_match(8).await;
    let (status, answer) = stage
        .ask_sdk("image", 4, "openai/draw", &json!({"prompt": "a gate", "n": 1, "aspectRatio": "16:9"}))
        .await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.to_string().contains("aspectRatio"), "{answer}");
}

#[tokio::test]
async fn google_draws_by_predictions_and_by_answers() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    for (model, n) in [("google/draw", 2), ("google/paint", 1)] {
        let body = json!({"model": model, "prompt": "a gate", "n": n, "response_format": "b64_json"});
        let (status, answer) = stage.ask("/v1/images/generations", &body).await;
        assert_eq!((status, answer["data"].as_array().map(Vec::len)), (200, Some(n)), "{model}: {answer}");
        let body =
            json!({"prompt": "a gate", "n": 1, "aspectRatio": "16:9", "seed": 7, "providerOptions": {}});
        let (status, answer) = stage.ask_sdk("image", 4, model, &body).await;
        assert_eq!(status, 200, "{model}: {answer}");
        assert!(answer["images"][0].as_str().unwrap().starts_with("iVBOR"), "{answer}");
    }
    stage.assert_books_match(4).await;
}

#[tokio::test]
async fn a_text_is_spoken_as_bytes_or_base64_and_billed_by_characters_or_tokens() {
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    for model in ["openai/tts", "openai/say"] {
        let body = json!({"model": model, "input": "tïde", "voice": "alloy", "response_format": "wav"});
        let answer = stage.post("/v1/audio/speech").json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{model}");
        assert_eq!(answer.headers()["content-type"], "audio/wav");
        let wav = answer.bytes().await.unwrap();
        assert_eq!((&wav[..4], &wav[8..12]), (&b"RIFF"[..], &b"WAVE"[..]), "{model}");
        for spec in [2, 3, 4] {
            let body = json!({"text": "tïde", "outputFormat": "wav", "providerOptions": {}});
            let (status, answer) = stage.ask_sdk("speech", spec, model, &body).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["audio"].as_str().unwrap().starts_with("UklGR"), "{answer}");
        }
    }
    let body = json!({"model": "openai/say", "input": "tide", "voice": "alloy", "stream_format": "sse"});
    let answer = stage.post("/v1/audio/speech").json(&body).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream", "as it was asked for");
    assert!(answer.text().await.unwrap().contains("speech.audio.done"));
    stage.assert_books_match(9).await;
    assert_eq!(stage.world.finals()[0].usage.characters, 4, "characters, not bytes");
}

/// Silence: 8 kHz, 16 bits, one channel.
fn wav(seconds: u32) -> Vec<u8> {
    let data = seconds * 16_000;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + data).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(8_000u32.to_le_bytes());
    out.extend(16_000u32.to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend(data.to_le_bytes());
    out.resize(44 + data as usize, 0);
    out
}

/// The form of a transcription.
fn recording(fields: &[(&str, &str)], bytes: &[u8]) -> (String, Vec<u8>) {
    form(fields, &[File { field: "file", name: "a.wav", media_type: "audio/wav", bytes }])
}

#[tokio::test]
async fn speech_is_written_down_in_every_format() {
    use base64::Engine as _;
    let stage = Stage::start().await;
    strict(&stage, "1.00");
    let file = wav(3);
    let mut calls = 0;
    for (model, format, expected) in [
        ("openai/whisper", "json", "\"text\":\"Silence of 3 seconds.\""),
        ("openai/whisper", "verbose_json", "\"duration\":3"),
        ("openai/whisper", "text", "Silence of 3 seconds.\n"),
        ("openai/whisper", "srt", "1\n00:00:00,000 --> 00:00:03,000\nSilence of 3 seconds.\n"),
        ("openai/whisper", "vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\nSilence of 3 seconds.\n"),
        ("openai/hear", "json", "\"text\":\"Silence of 3 seconds.\""),
        ("openai/hear", "text", "Silence of 3 seconds.\n"),
    ] {
        let (content_type, body) = recording(&[("model", model), ("response_format", format)], &file);
        let request = stage.post("/v1/audio/transcriptions").header("content-type", content_type);
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let said = answer.text().await.unwrap();
        assert!(status == 200 && said.contains(expected), "{model} {format}: {status} {said}");
        calls += 1;
    }
    let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
    frame.resize(417, 0);
    let (content_type, body) = recording(&[("model", "openai/whisper")], &frame.repeat(100));
    let request = stage.post("/v1/audio/transcriptions").header("content-type", content_type);
    assert_eq!(request.body(body).send().await.unwrap().status().as_u16(), 200, "the frames of an MP3 tell");
    calls += 1;
    let audio = base64::engine::general_purpose::STANDARD.encode(&file);
    for spec in [2, 3, 4] {
        for model in ["openai/whisper", "openai/hear"] {
            let body = json!({"audio": audio, "mediaType": "audio/wav", "providerOptions": {}});
            let (status, answer) = stage.ask_sdk("transcription", spec, model, &body).await;
            assert_eq!((status, &answer["text"]), (200, &json!("Silence of 3 seconds.")), "{answer}");
            calls += 1;
        }
    }
    stage.assert_books_match(calls).await;
}

#[tokio::test]
async fn what_cannot_be_bounded_or_has_no_price_is_refused_under_a_strict_budget() {
    let stage = Stage::start().await;
    let compressed = recording(&[("model", "openai/whisper")], b"ID3 something compressed");
    let send = |(content_type, body): (String, Vec<u8>)| {
        stage.post("/v1/audio/transcriptions").header("content-type", content_type).body(body).send()
    };
    assert_eq!(send(compressed.clone()).await.unwrap().status().as_u16(), 200, "nothing is held");
    strict(&stage, "0.01");
    let answer: Value = send(compressed).await.unwrap().json().await.unwrap();
    assert_eq!(answer["error"]["code"], "unbounded_cost", "{answer}");
    let (status, answer) = stage
        .ask("/v1/images/generations", &json!({"model": "openai/draw", "prompt": "a gate", "n": 1}))
        .await;
    assert_eq!(status, 402, "an image costs four cents: {answer}");
    let (status, answer) = stage
        .ask("/v1/images/generations", &json!({"model": "openai/free", "prompt": "a gate", "n": 1}))
        .await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("model_not_priced")), "{answer}");
    let (status, answer) = stage.ask("/v1/embeddings", &json!({"model": "openai/draw", "input": "a"})).await;
    assert_eq!(status, 400, "another kind of model: {answer}");
}

#[tokio::test]
async fn a_search_of_the_web_needs_its_own_price() {
    let stage = Stage::start().await;
    let ask = |more: Value| {
        let mut body =
            json!({"model": crate::world::MODEL, "messages": [{"role": "user", "content": "news?"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let refused = |(status, answer): (u16, Value)| {
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("model_not_priced")), "{answer}");
    };
    refused(stage.ask("/v1/chat/completions", &ask(json!({"web_search_options": {}}))).await);
    let tool = json!({"max_tokens": 10, "tools": [{"type": "web_search_20250305", "name": "web_search"}]});
    let (status, answer) = stage.ask("/v1/messages", &ask(tool)).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("no price"), "{answer}");
}
