//! Garbage at every port: clear errors, no process falls, no panic, no secret in any log.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;
use tidegate_testkit::installation::{Installation, Program};
use tidegate_testkit::process::PATIENCE;

use crate::support::{App, Ask, apps, calls, full, install, nodes, seconds, until};

/// What a prompt says that no log may repeat.
const CANARY: &str = "canary-prompt-7f3a";
/// The provider's key, as the installation sets it.
const PROVIDER_KEY: &str = "sim-key";

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A request's body with something wrong in it.
    fn body(&mut self, valid: &str) -> Vec<u8> {
        let mut body = valid.as_bytes().to_vec();
        match self.below(6) {
            0 => body.truncate(self.below(valid.len())),
            1 => {
                for _ in 0..=self.below(4) {
                    let at = self.below(body.len());
                    body[at] = self.next().to_le_bytes()[0];
                }
            }
            2 => body = self.bytes(200),
            3 => body = [b"[".repeat(1 + self.below(5_000)), body].concat(),
            4 => {
                let (from, to) = (self.below(body.len()), self.below(body.len()));
                body.drain(from.min(to)..from.max(to));
            }
            _ => {
                body = valid
                    .replacen(
                        ':',
                        [": -1e400,\"x\":", ": null, \"y\":", ": \"\\ud800\", \"z\":"][self.below(3)],
                        1 + self.below(3),
                    )
                    .into_bytes()
            }
        }
        body
    }
}

/// Whether a log repeats any of these.
fn leaks(log: &str, secrets: &[&str]) -> Vec<String> {
    secrets.iter().filter(|secret| log.contains(**secret)).map(|secret| (*secret).to_owned()).collect()
}

fn programs(installation: &Installation) -> impl Iterator<Item = &Program> {
    installation.control_planes.iter().chain(&installation.nodes)
}

/// Every process runs, none has panicked, none has told a secret.
fn assert_unharmed(installation: &Installation, secrets: &[&str]) {
    for program in programs(installation) {
        let log = program.log();
        assert!(std::path::Path::new("/proc").join(program.pid().to_string()).join("exe").exists(), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        assert_eq!(leaks(&log, secrets), Vec::<String>::new(), "in this log: {log}");
    }
}

/// Host and port of every listener: gateway, management API, gRPC, metrics.
fn ports(installation: &Installation) -> Vec<String> {
    let (node, control) = (&installation.nodes[0], &installation.control_planes[0]);
    let urls = [
        node.url("gateway on "),
        node.url("metrics on "),
        control.url("management API on "),
        control.url("grpc on "),
        control.url("metrics on "),
    ];
    urls.into_iter().map(|url| url.unwrap().split("://").last().unwrap().to_owned()).collect()
}

/// Sends bytes and reads whatever comes, for a moment.
fn send(address: &str, bytes: &[u8]) {
    let mut socket = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.set_write_timeout(Some(seconds(5))).unwrap();
    // The other side may close at any byte; that is its right.
    let _sent = socket.write_all(bytes);
    let _closed = socket.shutdown(Shutdown::Write);
    let _read = socket.take(4_096).read_to_end(&mut Vec::new());
}

/// The first bytes of a TLS connection.
fn hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 0, 0x70, 1, 0, 0, 0x6c, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 0x41]);
    hello.resize(0x75, 0);
    hello
}

fn raw_requests(numbers: &mut Numbers, key: &str) -> Vec<Vec<u8>> {
    let wide = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-wide: {}\r\n\r\n", "a".repeat(1 << 20));
    let many: String = (0..5_000).map(|number| format!("x-{number}: {number}\r\n")).collect();
    let secret = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {key}\r\ncontent-length: 99999999999999999999\r\n\r\n{CANARY}"
    );
    vec![
        numbers.bytes(2_000),
        vec![0; 10_000],
        hello(),
        wide.into_bytes(),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").into_bytes(),
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        b"\r\n\r\n\r\nDELETE \xff\xfe HTTP/9.9\r\n\r\n".to_vec(),
        secret.into_bytes(),
    ]
}

/// The answer to a request, sent again while the database or Redis is too busy for it: what garbage does it does every
/// time.
async fn answered(request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
    let began = Instant::now();
    loop {
        let answer = request.try_clone().expect("a body that can be sent again").send().await?;
        if answer.status() != 503 || began.elapsed() > PATIENCE / 4 {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Bodies that are wrong somehow, at a surface of the gateway and at the management API.
async fn bodies(installation: &Installation, app: &App, count: usize) {
    let mut numbers = Numbers(2);
    let api = installation.control_planes[0].url("management API on ").unwrap();
    let (token, client) = (&installation.admin.token, &app.client);
    let mut requests = Vec::new();
    for number in 0..count {
        let valid = Ask::all(CANARY)[number % 4].body().to_string();
        let request = match number % 5 {
            0 | 1 => client.post(format!("{}/v1/chat/completions", app.base)).bearer_auth(&app.key),
            2 | 3 => client.post(format!("{}/v1/messages", app.base)).header("x-api-key", &app.key),
            _ => {
                let path =
                    ["keys", "teams", "budgets", "policies", "routes", "credentials"][numbers.below(6)];
                client.post(format!("{api}/api/v1/{path}")).bearer_auth(token)
            }
        };
        let body = numbers.body(&valid);
        requests.push(request.header("content-type", "application/json").body(body));
    }
    let mut answers = futures_util::stream::iter(requests.into_iter().map(answered)).buffer_unordered(16);
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap_or_else(|error| panic!("{error:?}"));
        let (status, url) = (answer.status().as_u16(), answer.url().clone());
        let text = answer.text().await.unwrap_or_default();
        assert!(status < 500, "{status} at {url}: {text}");
        assert!(
            status < 400 || serde_json::from_str::<serde_json::Value>(&text).is_ok(),
            "{status} at {url}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_harms_nothing_and_no_log_tells_a_secret() {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("app", "10", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let secrets =
        [key.as_str(), &key[30..], PROVIDER_KEY, &installation.admin.token, CANARY, "correct horse"];
    for secret in secrets {
        assert_eq!(leaks(&format!("a line with {secret} in it"), &[secret]).len(), 1, "positive control");
    }

    let ports = ports(&installation);
    for request in raw_requests(&mut Numbers(1), &key) {
        for address in &ports {
            send(address, &request);
        }
    }
    assert_unharmed(&installation, &secrets);
    bodies(&installation, &app, if full() { 20_000 } else { 1_000 }).await;
    assert_unharmed(&installation, &secrets);

    // Provider errors, too, are told to nobody but the caller.
    installation.script(json!([{"times": 4, "then": {"status": 400}}, {"times": 4, "then": {"ending": "garbage", "cut_after_bytes": 10}}])).await.unwrap();
    for ask in Ask::all(CANARY).iter().chain(&Ask::all(CANARY)) {
        app.call(ask).await.ok();
    }
    for ask in Ask::all(CANARY) {
        app.expect(&ask, 200).await;
    }
    until("the call records arrive", seconds(10), || async { calls(&installation.admin).await.len() > 4 })
        .await;
    assert_unharmed(&installation, &secrets);
    assert!(
        programs(&installation).all(|program| program.log().contains("INFO")),
        "positive control: the logs are read"
    );
}
