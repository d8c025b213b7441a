//! Calls with canaries in every part, on every surface, that end in every way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use super::provider::Asked;
use super::{canary, holds};
use crate::support::{App, apps, client, seconds, until};

/// What the provider is told to do, by the first word of a prompt. From the fifth on credentials cool down.
pub(super) const WORDS: [&str; 6] = ["hello", "fail-400", "break-off", "fail-500", "fail-401", "fail-429"];

/// A prompt that has an image and a file beside it.
pub(super) fn with_files(prompt: &str) -> String {
    format!("{prompt} and files")
}

/// A request with a canary in every part of it, an image and a file among them. What those cost has no upper
/// bound: a hard budget refuses it.
fn request_with_files(word: &str, stream: bool) -> Value {
    let image = format!("data:image/png;base64,{}", STANDARD_NO_PAD.encode(canary("image")));
    let file = json!({"filename": canary("file"), "file_data": "data:text/plain;base64,aGk="});
    let mut body = request(word, stream);
    let prompt = with_files(&format!("{word} {}", canary("prompt")));
    body["messages"][1]["content"] = json!([
        {"type": "text", "text": prompt},
        {"type": "image_url", "image_url": {"url": image}},
        {"type": "file", "file": file},
    ]);
    body
}

/// The same of text alone.
fn request(word: &str, stream: bool) -> Value {
    let schema = json!({"type": "object", "properties": {canary("schema"): {"type": "string"}}});
    json!({
        "model": "sim/chat", "max_tokens": 50, "stream": stream,
        "messages": [
            {"role": "system", "content": canary("system")},
            {"role": "user", "content": [
                {"type": "text", "text": format!("{word} {}", canary("prompt"))},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": format!("\"{}\"", canary("tool"))}}]},
            {"role": "tool", "tool_call_id": "t1", "content": canary("tool")},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": canary("tool"), "parameters": schema}}],
        "user": canary("user"),
    })
}

/// Models whose calls are no chats, at the same provider.
const KINDS: [(&str, &str, &[&str]); 4] = [
    ("sim/embedding", "embedding", &["input_token", "output_token"]),
    ("sim/image", "image", &["image"]),
    ("sim/speech", "speech", &["character"]),
    ("sim/transcription", "transcription", &["audio_second"]),
];

pub(super) async fn models_of_all_kinds(installation: &Installation) {
    let admin = &installation.admin;
    for (name, kind, units) in KINDS {
        let model = json!({"name": name, "kind": kind, "context_window": 8_192, "max_output_tokens": 8_192});
        admin.post("/models", &model).await.unwrap();
        let offering = json!({"model": name, "provider": "mock", "upstream_name": "sim"});
        let offering = admin.post("/offerings", &offering).await.unwrap();
        let prices: Vec<Value> =
            units.iter().map(|unit| json!({"unit": unit, "price": "0.000001"})).collect();
        let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
        let price = json!({"offering_id": offering["id"], "tiers": tiers, "source": "test"});
        admin.post("/prices?wait=fleet", &price).await.unwrap();
    }
}

/// Where to, with which further headers, what.
type Call = (&'static str, Vec<(&'static str, String)>, Value);

/// Calls on the other surfaces.
fn elsewhere(word: &str) -> Vec<Call> {
    let prompt = format!("{word} {}", canary("prompt"));
    let sdk = |model: &str| {
        let name = |name: &'static str, value: &str| (name, value.to_owned());
        vec![
            name("ai-language-model-id", model),
            name("ai-language-model-specification-version", "3"),
            name("ai-language-model-streaming", "false"),
        ]
    };
    let spoken = json!([{"role": "user", "content": [{"type": "text", "text": prompt}]}]);
    vec![
        (
            "/v1/responses",
            vec![],
            json!({"model": "sim/chat", "input": prompt, "instructions": canary("system"), "max_output_tokens": 50}),
        ),
        (
            "/v1/messages",
            vec![],
            json!({"model": "sim/chat", "max_tokens": 50, "system": canary("system"),
            "messages": spoken, "metadata": {"user_id": canary("user")}}),
        ),
        (
            "/v3/ai/language-model",
            sdk("sim/chat"),
            json!({"prompt": spoken, "headers": {"x-note": canary("header")},
            "maxOutputTokens": 50}),
        ),
        ("/gateway/mlflow/v1/chat/completions", vec![], request(word, false)),
        (
            "/v1/embeddings",
            vec![],
            json!({"model": "sim/embedding", "input": [prompt], "user": canary("user")}),
        ),
        (
            "/v1/images/generations",
            vec![],
            json!({"model": "sim/image", "prompt": prompt, "user": canary("user")}),
        ),
        ("/v1/audio/speech", vec![], json!({"model": "sim/speech", "input": prompt, "voice": "alloy"})),
    ]
}

/// A recording with a name and a prompt of its own, as a form.
fn recording(word: &str) -> Vec<u8> {
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"");
    let file = format!("{}; filename=\"{}.wav\"\r\n\r\n", part("file"), canary("file"));
    let mut form = format!("{}\r\n\r\nsim/transcription\r\n", part("model")).into_bytes();
    form.extend(format!("{}\r\n\r\n{word} {}\r\n", part("prompt"), canary("prompt")).bytes());
    form.extend(file.bytes());
    // One second of silence.
    let data = 16_000_u32;
    form.extend(b"RIFF");
    form.extend((36 + data).to_le_bytes());
    form.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    form.extend(8_000_u32.to_le_bytes());
    form.extend(data.to_le_bytes());
    form.extend(b"\x02\0\x10\0data");
    form.extend(data.to_le_bytes());
    form.resize(form.len() + data as usize, 0);
    form.extend(b"\r\n--b--\r\n");
    form
}

/// One application with a hard budget, and one without.
pub(super) struct Callers {
    pub(super) capped: App,
    free: App,
}

impl Callers {
    pub(super) fn of(installation: &Installation, capped: &str, free: &str) -> Self {
        Self { capped: apps(installation, capped).remove(0), free: apps(installation, free).remove(0) }
    }

    /// Callers see the canaries of answers and of errors.
    pub(super) async fn canaries_are_on_their_way(&self) {
        for (word, source) in [("hello", "answer"), ("fail-400", "error")] {
            let (status, body) = send(&self.free, &request_with_files(word, false)).await;
            assert!(body.contains(&canary(source)), "{word}: {status} {body}");
        }
    }

    /// What is kept to be given again stays in the node's memory: it is in nothing that is looked at.
    pub(super) async fn kept_answers_stay_in_memory(&self) {
        for told in ["miss", "hit"] {
            let url = format!("{}/v1/chat/completions", self.free.base);
            let asked = client().post(url).bearer_auth(&self.free.key).header("x-tidegate-cache", "on");
            let reply = asked.json(&request_with_files("kept", false)).send().await.unwrap();
            assert_eq!(reply.headers()["x-tidegate-cache"], told);
            assert!(reply.text().await.unwrap().contains(&canary("answer")));
        }
    }

    /// Calls that succeed, fail in every way, break off, time out, and are refused; how many records they leave
    /// at least.
    pub(super) async fn drive(&self) -> usize {
        let mut calls = 0;
        // Those after which credentials are left alone come last.
        let (first, last) = WORDS.split_at(4);
        for word in first {
            calls += self.chats(word).await;
            calls += self.elsewhere(word).await;
        }
        calls += self.odd_ones().await;
        for word in last {
            calls += self.chats(word).await;
        }
        calls
    }

    /// Whole and streamed, with files and without, under a hard budget and without one.
    async fn chats(&self, word: &str) -> usize {
        for stream in [false, true] {
            send(&self.free, &request_with_files(word, stream)).await;
            send(&self.capped, &request(word, stream)).await;
        }
        4
    }

    async fn elsewhere(&self, word: &str) -> usize {
        let mut calls = 0;
        for (path, headers, body) in elsewhere(word) {
            let mut asked = client().post(format!("{}{path}", self.free.base)).bearer_auth(&self.free.key);
            for (name, value) in headers {
                asked = asked.header(name, value);
            }
            let reply = asked.json(&body).send().await.unwrap();
            let (status, text) = (reply.status(), reply.bytes().await.unwrap_or_default());
            assert!(word != "hello" || status == 200, "{path}: {status} {}", String::from_utf8_lossy(&text));
            calls += 1;
        }
        let asked =
            client().post(format!("{}/v1/audio/transcriptions", self.free.base)).bearer_auth(&self.free.key);
        let asked = asked.header("content-type", "multipart/form-data; boundary=b").body(recording(word));
        let reply = asked.send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap_or_default());
        assert!(word != "hello" || status == 200, "a recording: {status} {text}");
        calls + 1
    }

    /// What is refused, times out, is left, or is no JSON.
    async fn odd_ones(&self) -> usize {
        for (name, value) in [
            ("metadata", json!({"note": canary("metadata")})),
            ("unknown_field", json!(canary("metadata"))),
            ("max_tokens", json!(canary("metadata"))),
            ("model", json!("no/such-model")),
            ("providerOptions", json!({"gateway": {"zeroDataRetention": true}})),
            ("providerOptions", json!({"gateway": {"byok": {"mock": [{"apiKey": canary("brought")}]}}})),
        ] {
            let mut body = request("hello", false);
            body[name] = value;
            send(&self.capped, &body).await;
        }
        // The caller's own credential is given up after a second; then the operator's is asked, and the caller
        // leaves.
        let mut body = request("hang", false);
        body["providerOptions"] = json!({"gateway": {"byok": {"mock": [{"apiKey": canary("brought")}]},
            "providerTimeouts": {"byok": {"mock": 1_000}}}});
        let gone =
            client().post(format!("{}/v1/chat/completions", self.capped.base)).bearer_auth(&self.capped.key);
        drop(gone.timeout(seconds(3)).json(&body).send().await);
        // Gone before the answer, and no JSON at all.
        let gone =
            client().post(format!("{}/v1/chat/completions", self.capped.base)).bearer_auth(&self.capped.key);
        let gone =
            gone.timeout(std::time::Duration::from_millis(3)).json(&request("hello", true)).send().await;
        drop(gone);
        let broken = format!("{{\"messages\": [\"{}", canary("prompt"));
        let reply = client()
            .post(format!("{}/v1/messages", self.capped.base))
            .bearer_auth(&self.capped.key)
            .body(broken);
        reply.send().await.unwrap();
        6
    }

    /// A stream whose provider says one thing and then nothing; until its first words are with the caller.
    pub(super) async fn linger(&self, asked: &Asked) {
        let url = format!("{}/v1/chat/completions", self.free.base);
        let reply = client().post(url).bearer_auth(&self.free.key).json(&request_with_files("linger", true));
        let mut reply = reply.send().await.unwrap();
        let first = reply.chunk().await.unwrap().unwrap();
        assert!(holds(&first, &canary("chunk")), "{}", String::from_utf8_lossy(&first));
        let came = || async { asked.lock().unwrap().iter().any(|body| holds(body, "linger ")) };
        until("the provider is asked", seconds(10), came).await;
    }
}

pub(super) async fn send(app: &App, body: &Value) -> (u16, String) {
    let reply = client()
        .post(format!("{}/v1/chat/completions", app.base))
        .bearer_auth(&app.key)
        .header("x-client-note", canary("header"))
        .header("x-session-id", canary("header"))
        .json(body)
        .send()
        .await
        .unwrap();
    let status = reply.status().as_u16();
    (status, reply.text().await.unwrap_or_default())
}
