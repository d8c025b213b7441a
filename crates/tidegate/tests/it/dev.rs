//! `tidegate dev`: one command, also as root, in any folder, twice at once, and after `kill -9`.

mod provider_keys;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_testkit::process;

use crate::support::{App, Ask, binary, nano, seconds, until};

/// A running `tidegate dev`.
struct Dev {
    child: Child,
    state: PathBuf,
}

const KEYS: [&str; 14] = [
    "gateway_url",
    "control_url",
    "admin_email",
    "admin_password",
    "admin_token",
    "virtual_key",
    "model",
    "embedding_model",
    "image_model",
    "speech_model",
    "transcription_model",
    "reranking_model",
    "video_model",
    "simulator_url",
];

impl Dev {
    fn spawn(state: &Path, more: &[&str], environment: &[(&str, &str)]) -> Child {
        let log =
            fs::File::options().create(true).append(true).open(state.parent().unwrap().join("out")).unwrap();
        Command::new(binary())
            .args(["dev", "--gateway-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"])
            .args(more)
            .envs(environment.iter().copied())
            .current_dir(state.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Starts and waits for `dev.json`; one that a killed process left does not count.
    async fn start(state: &Path) -> Self {
        Self::start_with(state, &[]).await
    }

    /// The same with variables in its environment.
    async fn start_with(state: &Path, environment: &[(&str, &str)]) -> Self {
        let _stale = fs::remove_file(state.join("dev.json"));
        let child = Self::spawn(state, &["--state", &state.to_string_lossy()], environment);
        let mut dev = Self { child, state: state.to_owned() };
        dev.wait_for_file().await;
        dev
    }

    async fn wait_for_file(&mut self) {
        let deadline = tokio::time::Instant::now() + seconds(180);
        while !self.file().exists() {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && tokio::time::Instant::now() < deadline,
                "{ended:?}: {}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn file(&self) -> PathBuf {
        self.state.join("dev.json")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.state.parent().unwrap().join("out")).unwrap_or_default()
    }

    fn values(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    fn app(&self) -> App {
        let values = self.values();
        App::new(values["gateway_url"].as_str().unwrap(), values["virtual_key"].as_str().unwrap())
    }

    /// The model of `dev.json` answers in both surfaces, plain and streaming.
    async fn assert_serves(&self) {
        let model = self.values()["model"].as_str().unwrap().to_owned();
        for ask in Ask::all("Hello") {
            self.app().expect(&ask.model(&model), 200).await;
        }
    }

    /// The command that is shown to a person, as it is pasted.
    fn what_is_told_to_try_works(&self) {
        let output = self.output();
        let (_, told) = output.split_once("Try it:").unwrap();
        let (command, _) = told.trim_start().split_once("\n\n").unwrap();
        let answer = Command::new("sh").args(["-c", command]).output().unwrap();
        let text = String::from_utf8_lossy(&answer.stdout);
        let body: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"));
        assert!(body["choices"][0]["message"]["content"].is_string(), "{command}: {text}");
    }

    /// What `GET /usage` says was charged, in nano-dollars.
    async fn charged(&self) -> i128 {
        let values = self.values();
        let url = format!("{}/api/v1/usage", values["control_url"].as_str().unwrap());
        let request = self.app().client.get(url).bearer_auth(values["admin_token"].as_str().unwrap());
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        page["data"].as_array().unwrap().iter().map(|row| nano(&row["total_cost"])).sum()
    }

    /// Ctrl-C.
    async fn interrupt(mut self) {
        assert!(process::signal(self.child.id(), "INT"));
        let deadline = tokio::time::Instant::now() + seconds(180);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not end: {}", self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{status}: {}", self.output());
        assert!(!self.file().exists(), "dev.json goes with the process");
        assert!(!postgres_runs(&self.state), "Postgres is stopped");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _sent = process::signal(self.child.id(), "INT");
            let _ended = self.child.wait();
        }
    }
}

/// Whether some process has the cluster of this state folder on its command line.
fn postgres_runs(state: &Path) -> bool {
    let data = state.join("pg").to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).split('\0').any(|word| word == data))
}

#[tokio::test]
async fn dev_serves_and_writes_its_values_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("state")).await;
    assert!(postgres_runs(&dev.state), "positive control: the search finds a running Postgres");
    assert_eq!(fs::metadata(dev.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let values = dev.values();
    for key in KEYS {
        assert!(values[key].as_str().is_some_and(|value| !value.is_empty()), "{key} in dev.json");
    }
    dev.assert_serves().await;
    dev.what_is_told_to_try_works();
    dev.interrupt().await;
}

#[tokio::test]
async fn two_run_at_once_one_of_them_under_a_very_long_path_and_a_state_folder_has_one_owner() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = other.path().join("a-very-long-name-".repeat(6)).join("of-a-folder-".repeat(8));
    fs::create_dir_all(&long).unwrap();
    let (short, long) = (one.path().join("state"), long.join("state"));
    let (first, second) = tokio::join!(Dev::start(&short), Dev::start(&long));
    first.assert_serves().await;
    second.assert_serves().await;

    let mut third = Dev::spawn(&short, &["--state", &short.to_string_lossy()], &[]);
    let refused = third.wait().unwrap();
    assert!(!refused.success() && first.output().contains("another tidegate dev"), "{}", first.output());
    first.assert_serves().await;
    tokio::join!(first.interrupt(), second.interrupt());
}

#[tokio::test]
async fn after_a_kill_and_after_ctrl_c_the_next_start_has_the_same_key_and_what_was_spent() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut dev = Dev::start(&state).await;
    dev.assert_serves().await;
    until("the calls are on the books", seconds(10), || async { dev.charged().await > 0 }).await;
    let (before, charged) = (dev.values(), dev.charged().await);
    dev.kill();

    let dev = Dev::start(&state).await;
    let after = dev.values();
    for key in ["virtual_key", "admin_token", "admin_password", "admin_email"] {
        assert_eq!(before[key], after[key], "{key} stays");
    }
    assert!(dev.charged().await >= charged, "spend is kept");
    dev.assert_serves().await;
    until("new calls are added", seconds(10), || async { dev.charged().await > charged }).await;
    let charged = dev.charged().await;
    dev.interrupt().await;

    let dev = Dev::start(&state).await;
    assert_eq!(dev.values()["virtual_key"], before["virtual_key"]);
    assert!(dev.charged().await >= charged, "spend is kept");
    dev.assert_serves().await;
    dev.interrupt().await;
}

#[tokio::test]
async fn an_ephemeral_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let child = Command::new(binary())
        .args(["dev", "--ephemeral", "--gateway-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("out")).unwrap())
        .spawn()
        .unwrap();
    let mut dev = Dev { child, state: PathBuf::from("/nonexistent") };
    let states = || fs::read_dir(&temporary).unwrap().flatten().map(|entry| entry.path());
    let ready = || async { states().any(|state| state.join("dev.json").exists()) };
    until("it is ready", seconds(60), ready).await;
    dev.state = states().find(|state| state.join("dev.json").exists()).unwrap();
    dev.assert_serves().await;
    let state = dev.state.clone();
    dev.interrupt().await;
    assert!(!state.exists(), "its folder is gone");
    assert!(!folder.path().join(".tidegate").exists());
}

/// Silence of so many seconds: 8 kHz, 16 bits, one channel.
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

#[tokio::test]
async fn every_operation_is_on_the_books_as_the_simulator_bills_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("state")).await;
    let (values, client) = (dev.values(), dev.app().client);
    let post = |path: &str| {
        let url = format!("{}{path}", values["gateway_url"].as_str().unwrap());
        client.post(url).bearer_auth(values["virtual_key"].as_str().unwrap())
    };
    let json = |path: &str, body: Value| post(path).json(&body).send();
    let embed = json!({"model": values["embedding_model"], "input": ["a tide", "a gate"]});
    let rank =
        json!({"model": values["reranking_model"], "query": "tide", "documents": ["a gate", "a tide"]});
    let draw = json!({"model": values["image_model"], "prompt": "a gate", "n": 2});
    let speak = json!({"model": values["speech_model"], "input": "tide", "voice": "alloy"});
    for (path, body) in [
        ("/v1/embeddings", embed),
        ("/v1/rerank", rank),
        ("/v1/images/generations", draw),
        ("/v1/audio/speech", speak),
    ] {
        let answer = json(path, body).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text().await.unwrap_or_default());
    }
    let mut form = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n".to_vec();
    form.extend(values["transcription_model"].as_str().unwrap().bytes());
    form.extend(b"\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n");
    form.extend(wav(3));
    form.extend(b"\r\n--b--\r\n");
    let request = post("/v1/audio/transcriptions").header("content-type", "multipart/form-data; boundary=b");
    let answer = request.body(form).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());

    let film =
        post("/v4/ai/video-model/start").header("ai-model-id", values["video_model"].as_str().unwrap());
    let film = film.json(&json!({"prompt": "a tide", "n": 1, "duration": 4, "providerOptions": {}}));
    let answer = film.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());

    let bill = format!("{}/bill", values["simulator_url"].as_str().unwrap());
    let bill: Value = client.get(bill).send().await.unwrap().json().await.unwrap();
    assert_eq!(bill["calls"].as_array().unwrap().len(), 6);
    let billed = i128::from(bill["total_nano_usd"].as_i64().unwrap());
    until("the books say what is billed", seconds(10), || async { dev.charged().await == billed }).await;
    let url = format!("{}/api/v1/usage?group_by=model", values["control_url"].as_str().unwrap());
    let request = client.get(url).bearer_auth(values["admin_token"].as_str().unwrap());
    let page: Value = request.send().await.unwrap().json().await.unwrap();
    let sum = |unit: &str| {
        page["data"].as_array().unwrap().iter().filter_map(|row| row[unit].as_u64()).sum::<u64>()
    };
    let sums = [sum("images"), sum("characters"), sum("audio_seconds"), sum("video_seconds")];
    assert_eq!(sums, [2, 4, 3, 4], "{page}");
    dev.interrupt().await;
}
