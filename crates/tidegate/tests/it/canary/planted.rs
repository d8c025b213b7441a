//! The positive control: what is put where it must not be is found there, in every form.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;
use tidegate_testkit::installation::Installation;

use super::drive::send;
use super::outside::Outside;
use super::surfaces::{of_process, surfaces};
use super::{canary, forms, holds, leaks, mark, tiny_budget};
use crate::support::{App, client, seconds, until};

/// Surfaces in which leaks are planted.
const PLANTED: [&str; 39] = [
    "dump of the database",
    "files of the database",
    "write-ahead log of the database",
    "log of the database",
    "keys and values of the counters",
    "file of the counters",
    "journal",
    "configuration and identity of the node on disk",
    "configuration files",
    "log of the node",
    "log of the control plane",
    "metrics of the node",
    "arguments of the bait",
    "environment of the bait",
    "answer of /keys",
    "answer of /teams",
    "answer of /credentials",
    "answer of /credentials?scope=system",
    "answer of /policies",
    "answer of /budgets",
    "answer of /routes",
    "answer of /audit?limit=1000",
    "answer of /audit?organization=system&limit=1000",
    "answer of /webhooks",
    "answer of /exporters",
    "answer of /notices",
    "answer of /organizations",
    "answer of /members",
    "answer of /service-tokens",
    "answer of /providers",
    "answer of /offerings",
    "answer of /models",
    "explanation",
    "node's answer of /v1/models",
    "node's answer of /v1/key",
    "node's answer of /v1/generation",
    "webhooks",
    "traces",
    "disk of a killed node",
];

/// Where leaks are planted.
pub(super) struct Place<'a> {
    pub(super) installation: &'a Installation,
    pub(super) outside: &'a Outside,
    pub(super) app: &'a App,
    pub(super) key_name: &'a str,
    pub(super) upstream: &'a str,
}

/// A process with a leak in its arguments and its environment.
struct Bait(Child);

impl Bait {
    fn start(leak: &str) -> Self {
        let mut command = Command::new("sh");
        // It waits for a line that does not come.
        command.args(["-c", "read -r line", leak]).env("PLANTED", leak).stdin(Stdio::piped());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place<'_> {
    pub(super) async fn planted_leaks_are_found(&self, secrets: &[(String, String)]) {
        let leak = canary("prompt");
        for form in forms(&leak) {
            assert!(holds(&[b"before ".as_slice(), &form, b" behind"].concat(), &leak));
        }
        let shifted = STANDARD_NO_PAD.encode(format!("{{\"x\":\"{leak}\"}}"));
        assert!(holds(shifted.as_bytes(), &leak));
        let (id, key) = self.names(&leak).await;
        self.files(&leak);
        self.calls(&leak, (&id, &key)).await;
        let bait = Bait::start(&leak);
        let app = App { key: key.clone(), ..self.app.clone() };
        let mut all = surfaces(self.installation, self.outside, &app, self.key_name).await;
        all.extend(of_process("bait", bait.0.id(), "read"));
        all.push(super::surfaces::of_killed_node(self.installation));
        let found = leaks(&all, secrets);
        let hidden: Vec<_> =
            PLANTED.iter().filter(|surface| !found.contains(&format!("content in {surface}"))).collect();
        assert!(hidden.is_empty(), "leaks in {hidden:?} were not found, only those in {found:?}");
    }

    /// Everything that people name; a key of the name, its id and itself.
    async fn names(&self, leak: &str) -> (String, String) {
        let (admin, low) = (&self.installation.admin, mark().to_lowercase());
        let team = json!({"team": self.installation.team});
        admin.post("/teams", &json!({"name": leak})).await.unwrap();
        for (path, body) in [
            ("/policies", json!({"name": leak})),
            ("/routes", json!({"name": low, "targets": [{"model": "sim/chat"}]})),
            ("/service-tokens", json!({"name": leak, "role": "viewer"})),
            ("/webhooks", json!({"name": leak, "url": self.outside.hook(), "enabled": false})),
            ("/exporters", json!({"name": leak, "url": self.outside.hook(), "enabled": false})),
            ("/members", json!({"email": format!("{low}@example.com"), "role": "viewer"})),
            ("/organizations", json!({"slug": low, "name": leak})),
            (
                "/credentials",
                json!({"name": leak, "provider": "mock", "scope": "organization", "secret": {"api_key": "k"}}),
            ),
        ] {
            admin.post(path, &body).await.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        }
        self.installation.model(&format!("sim/{low}"), "mock", "sim").await.unwrap();
        self.installation
            .provider(&low, "openai_chat", "bearer", self.upstream, "sim/chat", "sim")
            .await
            .unwrap();
        self.installation.budget(leak, "1.00", team).await.unwrap();
        // What people name reaches webhooks (a budget) and traces (an end user whom a budget names).
        self.installation.budget("of a user", "5.00", json!({"end_user": leak})).await.unwrap();
        tiny_budget(self.installation, &format!("tiny {leak}")).await;
        self.installation.key(leak, &json!({})).await.unwrap()
    }

    /// What processes write.
    fn files(&self, leak: &str) {
        let folder = self.installation.folder();
        self.installation.redis.as_ref().unwrap().command(&["SET", "planted", leak]).unwrap();
        let state = folder.join("node-0-state");
        fs::write(state.join("journal").join("planted"), STANDARD_NO_PAD.encode(leak)).unwrap();
        fs::write(state.join("planted"), leak).unwrap();
        for file in ["node-0.log", "control-0.log", "node-0.toml"] {
            let mut file = File::options().append(true).open(folder.join(file)).unwrap();
            writeln!(file, "\n# prompt: {leak}").unwrap();
        }
        let statement = format!("SELECT '{leak}'::int");
        self.installation.sql(&statement).unwrap_err();
    }

    /// Calls of the model that bears the name, by an end user and a key that bear it.
    async fn calls(&self, leak: &str, (id, key): (&str, &str)) {
        let low = mark().to_lowercase();
        let app = App { key: key.to_owned(), ..self.app.clone() };
        let body = json!({
            "model": format!("sim/{low}"), "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}],
            "providerOptions": {"gateway": {"user": leak}},
        });
        let (status, answer) = send(&app, &body).await;
        assert_eq!(status, 200, "{answer}");
        self.outside.heard(leak, leak).await;
        let metrics = format!("{}/metrics", self.installation.nodes[0].url("metrics on ").unwrap());
        let counted = || async {
            let text = client().get(&metrics).send().await.unwrap().text().await.unwrap();
            text.contains(&low)
        };
        until("the node's metrics count the call", seconds(30), counted).await;
        let told = || async {
            let newest = self.installation.admin.get("/calls?limit=1").await.unwrap();
            newest["data"][0]["key_id"] == id
        };
        until("the call is on the books", seconds(30), told).await;
        let noticed = || async {
            let all = self.installation.admin.get("/notices").await.unwrap();
            holds(all.to_string().as_bytes(), leak)
        };
        until("the notice is there", seconds(30), noticed).await;
    }
}
