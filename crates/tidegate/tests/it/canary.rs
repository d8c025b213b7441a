//! Content and secrets are looked for in everything that an installation writes, keeps or tells: prompts,
//! answers, provider errors, credentials, keys. Each surface shows that it was read, and leaks that are planted
//! are found.

mod outside;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};

use self::outside::Outside;
use crate::support::{App, apps, client, install, seconds, until};

/// Where secrets and content come from; each has a canary of its own.
const SOURCES: [&str; 14] = [
    "system", "prompt", "tool", "file", "metadata", "user", "header", "answer", "error", "stored", "brought",
    "schema", "image", "chunk",
];

/// What the provider is told to do, by the first word of a prompt. From the fourth on credentials cool down.
const WORDS: [&str; 6] = ["hello", "fail-400", "break-off", "fail-500", "fail-401", "fail-429"];

/// The canary of a source: of this process alone, and long enough never to come about by chance.
fn canary(source: &str) -> String {
    format!("{}{source}x9f3Kq7", mark())
}

/// What all canaries begin with, of sixteen characters at least.
fn mark() -> String {
    format!("CNRY{:012}x", std::process::id())
}

/// Every form in which bytes may hold a text.
fn forms(text: &str) -> Vec<Vec<u8>> {
    if text.len() < 16 {
        return vec![text.as_bytes().to_vec()];
    }
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![text.as_bytes().to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), utf16];
    for shift in 0..3 {
        // What of the text lies on whole groups, whatever stands before it.
        let padded = [&b"\0\0"[..shift], text.as_bytes()].concat();
        let whole = STANDARD_NO_PAD.encode(&padded);
        let (from, to) = (if shift == 0 { 0 } else { 4 }, whole.len() / 4 * 4 - 4);
        forms.push(whole.as_bytes()[from..to].to_vec());
    }
    forms
}

fn holds(bytes: &[u8], text: &str) -> bool {
    forms(text).iter().any(|form| memchr::memmem::find(bytes, form).is_some())
}

/// A place where something may have been left, and what shows that it was read.
struct Surface {
    name: String,
    bytes: Vec<u8>,
    witness: String,
}

/// A provider that repeats what it is told: in answers, streams and errors.
async fn echo() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn answer(State(asked): State<Arc<Mutex<Vec<String>>>>, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    let request: Value = serde_json::from_slice(&body).unwrap();
    asked.lock().unwrap().push(text.clone());
    let json = [(header::CONTENT_TYPE, "application/json")];
    if let Some(status) = ["400", "401", "429", "500"].iter().find(|s| text.contains(&format!("fail-{s}"))) {
        let message = format!("{} could not do: {text}", canary("error"));
        let error = json!({"error": {"message": message, "type": "invalid_request_error", "param": canary("error"), "code": null}});
        let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
        return (status, json, error.to_string()).into_response();
    }
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18});
    if request["stream"] == true {
        let chunk = |text: &str| {
            let choice = json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]);
            format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "choices": choice}))
        };
        let mut body = chunk(&canary("chunk"));
        if !text.contains("break-off") {
            let end = json!({"id": "c", "object": "chat.completion.chunk", "usage": usage,
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            body = format!("{body}data: {end}\n\ndata: [DONE]\n\n");
        }
        return ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
    }
    let message = json!({"role": "assistant", "content": canary("answer")});
    let choice = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    let whole = json!({"id": "c", "object": "chat.completion", "choices": choice, "usage": usage});
    (json, whole.to_string()).into_response()
}

/// A request with a canary in every part of it, an image and a file among them. What those cost has no upper
/// bound: only a credential that no hard budget covers takes it, the organization's own until it cools down.
fn request_with_files(word: &str, stream: bool) -> Value {
    let image = format!("data:image/png;base64,{}", STANDARD_NO_PAD.encode(canary("image")));
    let file = json!({"filename": canary("file"), "file_data": "data:text/plain;base64,aGk="});
    let mut body = request(word, stream);
    let parts = body["messages"][1]["content"].as_array_mut().unwrap();
    parts.push(json!({"type": "image_url", "image_url": {"url": image}}));
    parts.push(json!({"type": "file", "file": file}));
    body
}

/// The same of text alone: it is served whoever pays.
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

async fn send(app: &App, body: &Value) -> (u16, String) {
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

/// Calls that succeed, fail in every way, break off, and are refused.
async fn drive(app: &App) {
    for (place, word) in WORDS.into_iter().enumerate() {
        for stream in [false, true] {
            let body = if place < 3 { request_with_files(word, stream) } else { request(word, stream) };
            send(app, &body).await;
        }
    }
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
        send(app, &body).await;
    }
    // Gone before the answer, and no JSON at all.
    let gone = client().post(format!("{}/v1/chat/completions", app.base)).bearer_auth(&app.key);
    let gone = gone.timeout(std::time::Duration::from_millis(3)).json(&request("hello", true)).send().await;
    drop(gone);
    let broken = format!("{{\"messages\": [\"{}", canary("prompt"));
    let reply = client().post(format!("{}/v1/messages", app.base)).bearer_auth(&app.key).body(broken);
    reply.send().await.unwrap();
}

fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(tree(&path)) } else { found.push(path) }
    }
    found
}

/// All files below a folder, with their names.
fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in tree(folder) {
        bytes.extend_from_slice(path.to_string_lossy().as_bytes());
        bytes.extend(fs::read(&path).unwrap_or_default());
    }
    bytes
}

async fn text(url: &str) -> Vec<u8> {
    client().get(url).send().await.unwrap().bytes().await.unwrap().to_vec()
}

/// What the processes write and keep.
async fn of_processes(installation: &Installation, key_name: &str) -> Vec<Surface> {
    let mut all = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, witness: &str| {
        all.push(Surface { name: name.to_owned(), bytes, witness: witness.to_owned() });
    };
    let folder = installation.folder();
    for (name, program, said) in [
        ("control plane", &installation.control_planes[0], "control plane is ready"),
        ("node", &installation.nodes[0], "metrics on "),
    ] {
        add(&format!("log of the {name}"), program.log().into_bytes(), said);
        let metrics = format!("{}/metrics", program.url("metrics on ").unwrap());
        add(&format!("metrics of the {name}"), text(&metrics).await, "tidegate_");
        let process = Path::new("/proc").join(program.pid().to_string());
        add(&format!("arguments of the {name}"), fs::read(process.join("cmdline")).unwrap(), "tidegate");
        add(&format!("environment of the {name}"), fs::read(process.join("environ")).unwrap(), "PATH");
    }
    installation.sql("CHECKPOINT").unwrap();
    let url = installation.postgres.address().superuser_url("tidegate");
    let dump = Command::new("pg_dump").arg("--dbname").arg(&url).output().unwrap();
    add("dump of the database", dump.stdout, key_name);
    let data = installation.postgres.folder().join("data");
    add("files of the database", files(&data.join("base")), key_name);
    add("write-ahead log of the database", files(&data.join("pg_wal")), key_name);
    add(
        "log of the database",
        fs::read(installation.postgres.folder().join("log")).unwrap(),
        "ready to accept",
    );
    let redis = installation.redis.as_ref().unwrap();
    let script = "local out={} for _,k in ipairs(redis.call('KEYS','*')) do out[#out+1]=k \
                  local t=redis.call('TYPE',k).ok local v={} if t=='hash' then v=redis.call('HGETALL',k) \
                  elseif t=='string' then v={redis.call('GET',k)} elseif t=='zset' then v=redis.call('ZRANGE',k,0,-1) elseif t=='stream' then for _,e in ipairs(redis.call('XRANGE',k,'-','+')) do for _,f in ipairs(e[2]) do v[#v+1]=f end end end \
                  for _,x in ipairs(v) do out[#out+1]=x end end return table.concat(out,' ')";
    add("keys and values of the counters", redis.command(&["EVAL", script, "0"]).unwrap().into_bytes(), "{");
    redis.command(&["SAVE"]).unwrap();
    add("file of the counters", files(redis.folder()), "REDIS");
    let state = folder.join("node-0-state");
    add("journal", files(&state.join("journal")), "journal");
    let others: Vec<u8> = tree(&state)
        .iter()
        .filter(|path| !path.starts_with(state.join("journal")))
        .flat_map(|path| {
            [path.to_string_lossy().into_owned().into_bytes(), fs::read(path).unwrap_or_default()].concat()
        })
        .collect();
    add("configuration and identity of the node on disk", others, "node-0-state");
    let configurations: Vec<u8> = ["control-0.toml", "node-0.toml", "roots.pem"]
        .iter()
        .flat_map(|name| fs::read(folder.join(name)).unwrap_or_default())
        .collect();
    add("configuration files", configurations, "[database]");
    all
}

/// What the management API and the node tell.
async fn of_answers(installation: &Installation, app: &App, key_name: &str) -> Vec<Surface> {
    let calls = installation.admin.get("/calls?limit=100").await.unwrap();
    let call = calls["data"][0]["call_id"].as_str().or(calls["data"][0]["id"].as_str()).unwrap().to_owned();
    let paths = [
        ("/calls?limit=1000", "attempts"),
        (&*format!("/calls/{call}"), "attempts"),
        ("/keys", key_name),
        ("/teams", "core"),
        ("/credentials", "own"),
        ("/credentials?scope=system", "mock"),
        ("/policies", "data"),
        ("/budgets", "all"),
        ("/routes", "data"),
        ("/usage", "data"),
        ("/usage?by=key,model", "data"),
        ("/audit?limit=1000", "credential.create"),
        ("/audit?organization=system&limit=1000", "data"),
        ("/fleet", "node-0"),
        ("/webhooks", "data"),
        ("/notices", "data"),
        ("/zdr/records", "manifest"),
        ("/encryption/rotations?organization=system", "root_keys"),
        ("/organizations", "acme"),
        ("/members", "data"),
        ("/service-tokens", "test"),
        ("/providers", "mock"),
        ("/offerings", "sim/chat"),
        ("/models", "sim/chat"),
        ("/credits", "{"),
        ("/me", "{"),
    ];
    let mut all = Vec::new();
    for (path, witness) in paths {
        let told =
            installation.admin.get(path).await.unwrap_or_else(|error| json!(format!("{{data: {error}}}")));
        all.push(Surface {
            name: format!("answer of {path}"),
            bytes: told.to_string().into_bytes(),
            witness: witness.to_owned(),
        });
    }
    let question = json!({"model": "sim/chat"});
    let told = installation.admin.post("/explain", &question).await.unwrap();
    all.push(Surface {
        name: "explanation".into(),
        bytes: told.to_string().into_bytes(),
        witness: "mock".into(),
    });
    for (path, witness) in [("/v1/models", "sim/chat"), ("/v1/credits", "{"), ("/v1/nonsense", "error")] {
        let reply = client().get(format!("{}{path}", app.base)).bearer_auth(&app.key).send().await.unwrap();
        let bytes = reply.bytes().await.unwrap().to_vec();
        all.push(Surface { name: format!("node's answer of {path}"), bytes, witness: witness.to_owned() });
    }
    all
}

async fn surfaces(installation: &Installation, outside: &Outside, app: &App, key_name: &str) -> Vec<Surface> {
    let mut all = of_processes(installation, key_name).await;
    all.extend(of_answers(installation, app, key_name).await);
    all.extend(outside.surfaces());
    all
}

/// A budget that the next call uses up.
async fn tiny_budget(installation: &Installation, name: &str) {
    let body = json!({"name": name, "limit": "0.000000001", "window": {"every": "month"}, "enforcement": "soft",
        "scope": {"team": installation.team}, "count_byok": true, "alert_at_percent": [50]});
    installation.admin.post("/budgets?wait=fleet", &body).await.unwrap();
}

/// Everything that must not be found, with the names of what it is.
fn secrets(installation: &Installation, key: &str) -> Vec<(String, String)> {
    assert!(SOURCES.iter().all(|source| canary(source).starts_with(&mark())));
    let mut all = vec![("content".to_owned(), mark())];
    all.push(("virtual key".to_owned(), key.to_owned()));
    all.push(("service token".to_owned(), installation.admin.token.clone()));
    let kek = fs::read_to_string(installation.folder().join("key-encryption-key")).unwrap();
    all.push(("key-encryption key".to_owned(), kek.trim().to_owned()));
    all
}

/// Names of the surfaces that hold any of these.
fn leaks(surfaces: &[Surface], secrets: &[(String, String)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for surface in surfaces {
        for (what, secret) in secrets {
            if holds(&surface.bytes, secret) {
                found.insert(format!("{} in {}", what, surface.name));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn content_and_secrets_are_nowhere_and_planted_leaks_are_found() {
    let (upstream, asked) = echo().await;
    let mut installation = install(Shape { upstream: Some(upstream), ..Shape::default() }).await;
    let outside = Outside::start().await;
    outside.subscribe(&mut installation).await;
    let own = json!({"name": "own", "provider": "mock", "scope": "organization", "secret": {"api_key": canary("stored")}});
    installation.admin.post("/credentials?wait=fleet", &own).await.unwrap();
    let key_name = "witness-of-the-surfaces";
    let (id, key) = installation.key(key_name, &json!({})).await.unwrap();
    installation.budget("all", "50.00", json!({"key": id})).await.unwrap();
    tiny_budget(&installation, "tiny").await;
    let app = apps(&installation, &key).remove(0);
    // The canaries are on their way: callers see those of answers and of errors.
    for (word, source) in [("hello", "answer"), ("fail-400", "error")] {
        let (status, body) = send(&app, &request_with_files(word, false)).await;
        assert!(body.contains(&canary(source)), "{word}: {status} {body}");
    }
    // What is kept to be given again stays in the node's memory: it is in nothing that is looked at below.
    for told in ["miss", "hit"] {
        let url = format!("{}/v1/chat/completions", app.base);
        let asked = client().post(url).bearer_auth(&app.key).header("x-tidegate-cache", "on");
        let reply = asked.json(&request_with_files("kept", false)).send().await.unwrap();
        assert_eq!(reply.headers()["x-tidegate-cache"], told);
        assert!(reply.text().await.unwrap().contains(&canary("answer")));
    }
    drive(&app).await;
    let arrived = || async {
        let all = installation.admin.get("/calls?limit=1000").await.unwrap();
        all["data"].as_array().is_some_and(|all| all.len() >= 14)
    };
    until("the records arrive", seconds(30), arrived).await;
    // The provider has seen those of requests.
    let seen = asked.lock().unwrap().concat();
    for source in ["system", "prompt", "tool", "file", "image", "schema"] {
        assert!(holds(seen.as_bytes(), &canary(source)), "{source} was never sent");
    }
    for word in WORDS {
        assert!(seen.contains(&format!("{word} ")), "{word} never came to the provider");
    }

    outside.heard("credential.failing", "gen_ai.").await;
    let secrets = secrets(&installation, &key);
    let all = surfaces(&installation, &outside, &app, key_name).await;
    assert!(all.len() >= 30, "{} surfaces", all.len());
    for surface in &all {
        assert!(
            holds(&surface.bytes, &surface.witness),
            "{} was not read: no {:?}",
            surface.name,
            surface.witness
        );
    }
    assert_eq!(leaks(&all, &secrets), BTreeSet::new());
    planted_leaks_are_found(&installation, &outside, &app, key_name, &secrets).await;
}

/// The positive control: what is put where it must not be is found there, in every form.
async fn planted_leaks_are_found(
    installation: &Installation,
    outside: &Outside,
    app: &App,
    key_name: &str,
    secrets: &[(String, String)],
) {
    let leak = canary("prompt");
    for form in forms(&leak) {
        assert!(holds(&[b"before ".as_slice(), &form, b" behind"].concat(), &leak));
    }
    let shifted = STANDARD_NO_PAD.encode(format!("{{\"x\":\"{leak}\"}}"));
    assert!(holds(shifted.as_bytes(), &leak));
    let admin = &installation.admin;
    admin.post("/teams", &json!({"name": leak})).await.unwrap();
    admin.post("/policies", &json!({"name": leak, "scope": {"scope": "organization"}})).await.ok();
    installation.budget(&leak, "1.00", json!({"team": installation.team})).await.unwrap();
    installation.key(&leak, &json!({})).await.unwrap();
    installation.redis.as_ref().unwrap().command(&["SET", "planted", &leak]).unwrap();
    let state = installation.folder().join("node-0-state");
    fs::write(state.join("journal").join("planted"), STANDARD_NO_PAD.encode(&leak)).unwrap();
    fs::write(state.join("planted"), &leak).unwrap();
    for program in ["node-0", "control-0"] {
        let log = fs::read_dir(installation.folder()).unwrap().flatten().map(|entry| entry.path());
        let log = log.into_iter().find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(program))
                && path.extension().is_some_and(|kind| kind == "log")
        });
        let log = log.unwrap();
        let text = fs::read_to_string(&log).unwrap();
        fs::write(&log, format!("{text}\nprompt: {leak}\n")).unwrap();
    }
    installation
        .sql(&format!("UPDATE call_records SET outcome = '\"{leak}\"' WHERE false; SELECT '{leak}'::int"))
        .ok();
    // What people name reaches webhooks (a budget) and traces (an end user whom a budget names).
    installation.budget("of a user", "5.00", json!({"end_user": leak})).await.unwrap();
    tiny_budget(installation, &format!("tiny {leak}")).await;
    let mut body = request("hello", false);
    body["providerOptions"] = json!({"gateway": {"user": leak}});
    let (status, answer) = send(app, &body).await;
    assert_eq!(status, 200, "{answer}");
    outside.heard(&leak, &leak).await;
    let all = surfaces(installation, outside, app, key_name).await;
    let found = leaks(&all, secrets);
    for surface in [
        "dump of the database",
        "files of the database",
        "write-ahead log of the database",
        "log of the database",
        "keys and values of the counters",
        "file of the counters",
        "journal",
        "configuration and identity of the node on disk",
        "log of the node",
        "log of the control plane",
        "answer of /teams",
        "answer of /keys",
        "answer of /budgets",
        "answer of /audit?limit=1000",
        "webhooks",
        "traces",
    ] {
        assert!(found.contains(&format!("content in {surface}")), "{surface} hides a leak: {found:?}");
    }
}
