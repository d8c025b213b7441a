//! Records what a release says on the wire between the planes, for the releases after it to read:
//!
//! `TIDEGATE_RECORD=name TIDEGATE_OLD=path/to/its/tidegate cargo nextest run -p tidegate recording`
//!
//! writes `proto/recorded/name` (without `TIDEGATE_OLD`: of this executable). The tests `recorded` of `tidegate-proto`,
//! `-node` and `-push` read every folder there. Without `TIDEGATE_RECORD` the same is recorded into a folder that is
//! thrown away, so that the way to record does not rust.

mod between;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tidegate_testkit::installation::{Installation, Shape};
use tidegate_testkit::{port, redis};

use crate::support::{App, Ask, binary, seconds, until, usage};
use between::Between;

/// A node that knows the control plane only through the recorder.
struct Node {
    process: Child,
    log: PathBuf,
    gateway: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    async fn start(binary: &Path, installation: &Installation, between: &Between, token: &str) -> Self {
        let folder = installation.folder();
        let roots = folder.join("recorder.pem");
        std::fs::write(&roots, between.roots_pem()).unwrap();
        let (gateway, metrics) = (port::free().unwrap(), port::free().unwrap());
        let counters = installation.redis.as_ref().map(redis::Server::url).unwrap();
        let settings = format!(
            "log.format = \"text\"\n[redis]\nurl = {counters:?}\n[node]\nlisten = \"127.0.0.1:{gateway}\"\n\
             metrics_listen = \"127.0.0.1:{metrics}\"\nstate_dir = {:?}\ncontrol_plane_url = {:?}\n\
             join_token = {token:?}\ntrust_roots_file = {roots:?}\nname = \"recorded\"\n\
             [[upstream.private]]\ncidr = \"127.0.0.0/8\"\nports = {:?}\nhttp = true\n",
            folder.join("recorded-state"),
            between.url(),
            installation.upstream_ports,
        );
        let (file, log) = (folder.join("recorded.toml"), folder.join("recorded.log"));
        std::fs::write(&file, settings).unwrap();
        let out = std::fs::File::create(&log).unwrap();
        let process = Command::new(binary)
            .args(["node", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let node = Self { process, log, gateway: format!("http://127.0.0.1:{gateway}") };
        until("the node is ready", seconds(30), async || node.says("node is ready")).await;
        node
    }

    fn says(&self, part: &str) -> bool {
        std::fs::read_to_string(&self.log).unwrap_or_default().contains(part)
    }
}

/// Something of every kind that there was from the first release on.
async fn configure(installation: &Installation) -> String {
    let (id, key) = installation.key("app", &json!({"tags": {"of": "recording"}})).await.unwrap();
    installation.budget("app", "100", json!({"key": id})).await.unwrap();
    let route = json!({"name": "best", "targets": [{"model": "sim/chat", "weight": 1}]});
    installation.admin.post("/routes", &route).await.unwrap();
    let policy = json!({"name": "all", "default_max_output_tokens": 200});
    installation.admin.post("/policies", &policy).await.unwrap();
    let own = json!({"scope": "organization", "name": "own", "provider": "sim-openai", "secret": {"api_key": "sim-key"}});
    installation.admin.post("/credentials", &own).await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_between_the_planes_is_recorded() {
    let binary = std::env::var_os("TIDEGATE_OLD").map_or_else(|| binary().to_owned(), PathBuf::from);
    let shape = Shape {
        nodes: 0,
        drain_lead_seconds: None,
        decision_timeout_ms: None,
        wave_seconds: None,
        ..Shape::default()
    };
    let installation = Installation::start(&binary, shape).await.unwrap_or_else(|error| panic!("{error:#}"));
    let token = installation.admin.post("/join-tokens", &json!({"pool": "default"})).await.unwrap();
    let grpc = installation.control_planes[0].url("grpc on ").unwrap();
    let between = Between::start(&grpc, token["trust_roots"].as_str().unwrap()).await;
    let mut node = Node::start(&binary, &installation, &between, token["token"].as_str().unwrap()).await;

    let key = configure(&installation).await;
    let app = App::new(&node.gateway, &key);
    let mut answered = 0;
    for ask in Ask::all("Hello") {
        let reply = app.call(&ask).await.unwrap();
        assert!(reply.status == 200 && reply.whole, "{}: {}", reply.status, reply.text);
        answered += 1;
    }
    until("every call is on the books", seconds(30), async || usage(&installation.admin).await.1 >= answered)
        .await;
    // A deletion and a revocation, while it listens.
    let gone = json!({"team_id": installation.team, "name": "gone"});
    let gone =
        installation.admin.post("/keys?wait=fleet", &gone).await.unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/keys/{gone}?wait=fleet");
    let (status, answer) = installation.admin.send(Method::DELETE, &path, None).await.unwrap();
    assert!(status < 300, "{status} {answer}");
    let process = node.process.id();
    assert!(tidegate_testkit::process::signal(process, "TERM"));
    let ended = || {
        let ended = node.process.try_wait().unwrap().is_some();
        async move { ended }
    };
    until("the node has ended", seconds(40), ended).await;

    let scratch = TempDir::new().unwrap();
    let folder = match std::env::var("TIDEGATE_RECORD") {
        Ok(name) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/recorded").join(name),
        Err(_) => scratch.path().join("recorded"),
    };
    let written = between.write(&folder);
    for part in [
        "ConfigService.Stream",
        "UsageService.Report",
        "BudgetService.OpenEpoch",
        "BudgetService.ConfirmEpoch",
    ] {
        for who in ["node", "control"] {
            let found = written.iter().any(|name| name.contains(part) && name.ends_with(who));
            assert!(found, "{part} of the {who}: {written:?}");
        }
    }
}
