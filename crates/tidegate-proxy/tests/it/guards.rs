//! No guard is passed by on any path: each way to ask for a model, whole and streamed, is refused by each
//! guard before a provider is asked (PYSEC-2026-4074: a guard that was skipped on some kinds of calls).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_types::resource::*;
use tidegate_types::usage::Surface;

use crate::form::{File, form};
use crate::stage::{Stage, strict};
use crate::world::policy;

const TALK: &str = "openai/talk";

/// One way to ask.
struct Ask {
    path: String,
    /// Headers of the AI SDK, and what kind of body it is.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    fn json(path: impl Into<String>, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { path: path.into(), headers, body: body.to_string().into_bytes() }
    }

    fn form(path: &str, fields: &[(&str, &str)], file: File<'_>) -> Self {
        let (content_type, body) = form(fields, &[file]);
        Self { path: path.to_owned(), headers: vec![("content-type".to_owned(), content_type)], body }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn sdk(path: &str, kind: &str, model: &str, body: &Value) -> Self {
        let version = [("v1", "2"), ("v3", "3"), ("v4", "4")].iter().find(|(base, _)| path.starts_with(base));
        let name = format!("ai-{}-model-specification-version", kind.split('-').next().unwrap());
        Self::json(format!("/{path}/ai/{kind}"), body)
            .with(&name, version.unwrap().1)
            .with("ai-model-id", model)
            .with("accept", "text/event-stream")
    }

    async fn send(&self, stage: &Stage) -> (u16, String) {
        let mut request = stage.post(&self.path).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
    }
}

/// Chats, responses and messages, at every path that leads there.
fn by_body() -> Vec<Ask> {
    let said = json!([{"role": "user", "content": "hi"}]);
    let mut all = Vec::new();
    for stream in [false, true] {
        let chat = json!({"model": TALK, "messages": said, "max_tokens": 20, "stream": stream});
        let responses = json!({"model": TALK, "input": "hi", "max_output_tokens": 20, "stream": stream});
        for (path, body) in [
            ("/v1/chat/completions", &chat),
            ("/chat/completions", &chat),
            ("/proxy/sim-openai/chat/completions", &chat),
            ("/gateway/mlflow/v1/chat/completions", &chat),
            ("/gateway/openai/v1/chat/completions", &chat),
            ("/gateway/openai%2Ftalk/mlflow/invocations", &chat),
            ("/v1/messages", &chat),
            ("/messages", &chat),
            ("/gateway/anthropic/v1/messages", &chat),
            ("/v1/responses", &responses),
            ("/responses", &responses),
            ("/proxy/sim-openai/responses", &responses),
            ("/gateway/openai/v1/responses", &responses),
        ] {
            all.push(Ask::json(path, body));
        }
    }
    all
}

/// Those whose path or headers name the model.
fn by_path() -> Vec<Ask> {
    let parts = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let gemini = json!({"contents": parts, "generationConfig": {"maxOutputTokens": 20}});
    let texts = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let converse = json!({"messages": texts, "inferenceConfig": {"maxTokens": 20}});
    let mut all = Vec::new();
    for before in
        ["/v1beta/", "/v1/", "/gateway/gemini/v1beta/", "/proxy/sim-openai/v1beta1/publishers/google/"]
    {
        for operation in ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse"] {
            all.push(Ask::json(format!("{before}models/openai%2Ftalk:{operation}"), &gemini));
        }
    }
    for before in ["/", "/proxy/sim-openai/"] {
        for operation in ["converse", "converse-stream"] {
            all.push(Ask::json(format!("{before}model/openai%2Ftalk/{operation}"), &converse));
        }
    }
    let prompt = json!({"maxOutputTokens": 20,
        "prompt": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
    for version in ["v1", "v3", "v4"] {
        for stream in ["false", "true"] {
            let ask = Ask::sdk(version, "language-model", TALK, &prompt);
            all.push(ask.with("ai-language-model-streaming", stream));
        }
    }
    all
}

/// What is asked of other models.
fn tasks() -> Vec<Ask> {
    let texts = json!(["the tide"]);
    let documents = json!(["the tide", "the gate"]);
    let speech = |more: Value| {
        let mut body = json!({"model": "openai/say", "input": "hi", "voice": "alloy"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let embed = json!({"model": "openai/emb", "input": texts});
    let ranked = json!({"model": "cohere/rank", "query": "tide", "documents": documents});
    let drawn = json!({"model": "openai/draw", "prompt": "a gate", "n": 1});
    let file = |field, bytes| File { field, name: "a", media_type: "application/octet-stream", bytes };
    let (picture, recording) = (file("image[]", b"\x89PNG\r\n\x1a\n"), file("file", b"ID3 content"));
    let mut all = vec![
        Ask::json("/v1/embeddings", &embed),
        Ask::json("/embeddings", &embed),
        Ask::json("/proxy/sim-openai/embeddings", &embed),
        Ask::json("/gateway/openai/v1/embeddings", &embed),
        Ask::json("/v1/rerank", &ranked),
        Ask::json("/v1/v2/rerank", &ranked),
        Ask::json("/v1/images/generations", &drawn),
        Ask::form("/v1/images/edits", &[("model", "openai/paint"), ("prompt", "a gate")], picture),
        Ask::json("/v1/audio/speech", &speech(json!({}))),
        Ask::json("/v1/audio/speech", &speech(json!({"stream_format": "sse"}))),
        Ask::form("/v1/audio/transcriptions", &[("model", "openai/whisper")], recording),
        Ask::json("/v1/responses/compact", &json!({"model": TALK, "input": "hello tide"})),
    ];
    for (version, texts) in [("v1", "input"), ("v3", "values"), ("v4", "values")] {
        let own = json!({"providerOptions": {}});
        let of = |body: Value| {
            let mut own = own.clone();
            own.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            own
        };
        let film = of(json!({"prompt": "a tide", "n": 1, "duration": 4}));
        for (kind, model, body) in [
            ("embedding-model", "openai/emb", of(json!({texts: ["the tide"]}))),
            ("image-model", "openai/draw", of(json!({"prompt": "a gate", "n": 1}))),
            ("speech-model", "openai/say", of(json!({"text": "tide", "outputFormat": "wav"}))),
            (
                "transcription-model",
                "openai/whisper",
                of(json!({"audio": "SUQzIHRpZGU=", "mediaType": "audio/mpeg"})),
            ),
            (
                "reranking-model",
                "cohere/rank",
                of(json!({"query": "tide", "documents": {"type": "text", "values": documents}})),
            ),
            ("video-model", "openai/film", film.clone()),
            ("video-model/start", "openai/film", film),
        ] {
            all.push(Ask::sdk(version, kind, model, &body));
        }
    }
    all
}

/// Tokens are counted for nothing, so that no budget and no hold is asked.
fn counted() -> Vec<Ask> {
    let body = json!({"model": "anthropic/seek", "messages": [{"role": "user", "content": "hi"}]});
    ["/v1/messages/count_tokens", "/messages/count_tokens", "/gateway/anthropic/v1/messages/count_tokens"]
        .map(|path| Ask::json(path, &body))
        .into()
}

fn billed() -> Vec<Ask> {
    by_body().into_iter().chain(by_path()).chain(tasks()).collect()
}

/// How many attempts there were, by our own journal and by the provider's bill.
async fn asked(stage: &Stage) -> (usize, usize) {
    let bill = stage.client.get(format!("{}/bill", stage.simulator.url())).send().await.unwrap();
    let bill: Value = bill.json().await.unwrap();
    (stage.world.journal.events.lock().len(), bill["calls"].as_array().unwrap().len())
}

async fn assert_refused(stage: &Stage, guard: &str, asks: &[Ask], statuses: &[u16]) {
    let before = asked(stage).await;
    for ask in asks {
        let (status, body) = ask.send(stage).await;
        assert!(statuses.contains(&status), "{guard}: {} {:?}: {status} {body}", ask.path, ask.headers);
    }
    assert_eq!(asked(stage).await, before, "{guard}");
}

#[tokio::test]
async fn every_way_to_ask_is_served_without_a_guard_and_they_reach_every_surface() {
    let stage = Stage::start().await;
    let asks: Vec<Ask> = billed().into_iter().chain(counted()).collect();
    for ask in &asks {
        let (status, body) = ask.send(&stage).await;
        assert_eq!(status, 200, "{} {:?}: {body}", ask.path, ask.headers);
    }
    stage.world.recorded(asks.len()).await;
    let seen: BTreeSet<&str> =
        stage.world.journal.calls.lock().iter().map(|call| call.surface.as_str()).collect();
    assert_eq!(seen, Surface::ALL.into_iter().map(Surface::as_str).collect());
    let (attempts, bills) = asked(&stage).await;
    assert!(attempts >= billed().len() && bills > 0, "what is looked at below moves: {attempts} {bills}");
}

#[tokio::test]
async fn no_way_to_ask_passes_by_a_policy() {
    let stage = Stage::start().await;
    let all: Vec<Ask> = billed().into_iter().chain(counted()).collect();
    let eu = Privacy { inference_regions: [Area::Eu].into_iter().collect(), ..Privacy::default() };
    for (guard, privacy, models) in [
        ("zero data retention", Privacy::of_tier(ZdrTier::Zdr), Vec::new()),
        ("residency", eu, Vec::new()),
        ("models of a policy", Privacy::default(), vec!["acme/*".to_owned()]),
    ] {
        let policy = Policy { privacy, allow_models: models, ..policy() };
        stage.world.put(vec![Resource::Policy(policy)]);
        assert_refused(&stage, guard, &all, &[400, 403, 404]).await;
    }
}

#[tokio::test]
async fn no_way_to_ask_passes_by_what_a_key_may_do() {
    let stage = Stage::start().await;
    let all: Vec<Ask> = billed().into_iter().chain(counted()).collect();
    let key = stage.world.virtual_key();
    let other = AllowList { models: vec!["acme/*".to_owned()], ..AllowList::default() };
    let elsewhere = AllowList { ips: vec!["192.0.2.0/24".parse().unwrap()], ..AllowList::default() };
    for (guard, key, statuses) in [
        ("a paused key", VirtualKey { status: KeyStatus::Paused, ..key.clone() }, &[401, 403][..]),
        ("models of a key", VirtualKey { allow: other, ..key.clone() }, &[403, 404]),
        ("networks of a key", VirtualKey { allow: elsewhere, ..key.clone() }, &[403]),
        // The last, for it stays revoked.
        ("a revoked key", VirtualKey { status: KeyStatus::Revoked, ..key.clone() }, &[401]),
    ] {
        stage.world.put(vec![Resource::Key(key)]);
        assert_refused(&stage, guard, &all, statuses).await;
    }
}

#[tokio::test]
async fn no_way_to_ask_passes_by_a_budget() {
    let stage = Stage::start().await;
    strict(&stage, "0.000000001");
    // What has no bound of its cost is refused for that.
    assert_refused(&stage, "a budget", &billed(), &[402, 400]).await;
}

#[tokio::test]
async fn no_way_to_ask_passes_by_a_rate() {
    let stage = Stage::start().await;
    let limits = KeyLimits { requests_per_minute: Some(1), ..KeyLimits::default() };
    stage.world.put(vec![Resource::Key(VirtualKey { limits, ..stage.world.virtual_key() })]);
    let all: Vec<Ask> = billed().into_iter().chain(counted()).collect();
    // The one request of the minute.
    assert_eq!(all[0].send(&stage).await.0, 200);
    stage.world.recorded(1).await;
    assert_refused(&stage, "requests a minute", &all, &[429]).await;
}
