//! Separate processes between programs that others wrote, as `tests/clients/run` installs them: the mock
//! `@copilotkit/aimock` as upstream, and the providers' own SDKs as callers.
//! Not run by a plain `cargo test`: it needs node, and AIMOCK, the path of the mock's program; for the rest see
//! `three_nodes`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "../it/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the stories of `it`")]
mod support;
mod three_nodes;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tidegate_testkit::installation::Installation;
use tidegate_testkit::port;

use support::{Ask, apps, client, install, nodes, seconds, until, usage};

/// Ends with the test.
struct Mock(Child);

impl Drop for Mock {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Starts the mock's `llmock` with one answer and one tool call.
async fn start(program: &Path, folder: &Path, port: u16) -> Mock {
    let fixtures = json!({"fixtures": [
        {"match": {"userMessage": "weather"}, "response": {"toolCalls": [{"name": "get_weather", "arguments": "{\"city\":\"Berlin\"}"}]}},
        {"match": {"userMessage": "Hello"}, "response": {"content": "The mock greets you back."}},
    ]});
    std::fs::write(folder.join("fixtures.json"), fixtures.to_string()).unwrap();
    let child = Command::new("node")
        .arg(program)
        .args(["-p", &port.to_string(), "-f", "fixtures.json", "--log-level", "silent"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("node is installed");
    let mock = Mock(child);
    let (client, url) = (client(), format!("http://127.0.0.1:{port}/health"));
    until("the mock listens", seconds(20), || async { client.get(&url).send().await.is_ok() }).await;
    mock
}

async fn providers(installation: &Installation, port: u16) {
    let base = format!("http://127.0.0.1:{port}/v1");
    for (slug, dialect, auth) in
        [("mock-openai", "openai_chat", "bearer"), ("mock-anthropic", "anthropic_messages", "x_api_key")]
    {
        let model = json!({"name": format!("{slug}/chat"), "context_window": 128_000, "max_output_tokens": 16_384, "capabilities": {"tools": true}});
        installation.admin.post("/models", &model).await.unwrap();
        installation.provider(slug, dialect, auth, &base, &format!("{slug}/chat"), "gpt-4o").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_surfaces_reach_both_dialects_of_the_mock_plain_and_streaming() {
    let program = std::env::var_os("AIMOCK").expect("AIMOCK names the mock's program");
    let mut installation = install(nodes(0)).await;
    let port = port::free().unwrap();
    let _mock = start(Path::new(&program), installation.folder(), port).await;
    installation.upstream_ports.push(port);
    installation.add_node().await.unwrap();
    providers(&installation, port).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("app", "10", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let mut made = 0;
    for model in ["mock-openai/chat", "mock-anthropic/chat"] {
        for ask in Ask::all("Hello") {
            let reply = app.expect(&ask.model(model), 200).await;
            assert!(reply.text.contains("greets") && !reply.text.contains("\"error\""), "{}", reply.text);
            made += 1;
        }
        for ask in Ask::all("How is the weather?") {
            let (ask, mut body) = (ask.clone().model(model), ask.model(model).body());
            let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
            body["tools"] = if ask.messages {
                json!([{"name": "get_weather", "input_schema": schema}])
            } else {
                json!([{"type": "function", "function": {"name": "get_weather", "parameters": schema}}])
            };
            let text = app.request(&ask).json(&body).send().await.unwrap().text().await.unwrap();
            assert!(text.contains("get_weather") && text.contains("Berlin"), "{text}");
            made += 1;
        }
    }
    until("usage shows the calls", seconds(10), || async { usage(&installation.admin).await.1 == made })
        .await;
}
