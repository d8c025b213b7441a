//! Nodes enrol by the token of their pod's service account, which a stand-in for the API server reviews.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{binary, install, nodes, seconds, until};

/// What the API server knows of a token: who, and for whom it was made.
fn whose(token: &str) -> Option<(&'static str, &'static str)> {
    match token {
        "pod.one.s" => Some(("system:serviceaccount:gateways:node", "tidegate")),
        "pod.vault.s" => Some(("system:serviceaccount:gateways:node", "vault")),
        "pod.stranger.s" => Some(("system:serviceaccount:gateways:stranger", "tidegate")),
        "pod.person.s" => Some(("alice", "tidegate")),
        _ => None,
    }
}

/// One request and its answer.
fn serve(stream: TcpStream, reviews: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_review = head.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews ");
    let allowed = is_review && head.contains("Bearer control-planes-own\r");
    reviews.fetch_add(1, Ordering::SeqCst);
    let found = whose(asked["spec"]["token"].as_str().unwrap_or_default())
        .filter(|(_, audience)| asked["spec"]["audiences"] == json!([audience]));
    let status = match found {
        Some((user, audience)) => {
            json!({"authenticated": true, "audiences": [audience], "user": {"username": user,
            "extra": {"authentication.kubernetes.io/pod-uid": ["2b6f3d5c"]}}})
        }
        None => json!({"authenticated": false, "error": "not accepted"}),
    };
    let text = json!({"kind": "TokenReview", "status": status}).to_string();
    let code = if allowed { "201 Created" } else { "403 Forbidden" };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// An API server that ends with the test's process.
fn api_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, reviews) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&reviews);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = serve(stream, &counted);
        }
    });
    (address, reviews)
}

/// A node whose pod has `token`, with a state folder of its own.
fn pod(installation: &Installation, name: &str, token: &str) -> Child {
    let folder = installation.folder();
    std::fs::write(folder.join(format!("{name}.token")), token).unwrap();
    let text = std::fs::read_to_string(folder.join("node-0.toml")).unwrap();
    let kept: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("join_token"))
        .map(|line| line.replace("node-0", name))
        .collect();
    let config = folder.join(format!("{name}.toml"));
    std::fs::write(&config, kept.join("\n")).unwrap();
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    Command::new(binary())
        .args(["node", "--config", config.to_str().unwrap()])
        .env("TIDEGATE_NODE__LISTEN", "127.0.0.1:0")
        .env("TIDEGATE_NODE__METRICS_LISTEN", "127.0.0.1:0")
        .env("TIDEGATE_NODE__SERVICE_ACCOUNT_TOKEN_FILE", folder.join(format!("{name}.token")))
        .current_dir(folder)
        .stdout(log.try_clone().unwrap())
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap()
}

async fn names(installation: &Installation) -> Vec<String> {
    let fleet = installation.admin.get("/fleet").await.unwrap();
    let live = fleet["data"].as_array().unwrap().iter().filter(|node| node["live"] == true);
    live.map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_joins_by_its_service_account_and_only_an_allowed_one() {
    let mut installation = install(nodes(1)).await;
    let (address, reviews) = api_server();
    let (config, own) = (installation.folder().join("control-0.toml"), installation.folder().join("own"));
    std::fs::write(&own, "control-planes-own\n").unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let section = format!(
        "\n[control_plane.kubernetes]\napi_url = \"http://{address}\"\ntoken_file = {own:?}\n\
         [[control_plane.kubernetes.allow]]\npool = \"default\"\nnamespace = \"gateways\"\nservice_account = \"node\"\n"
    );
    // The section has the pod's own roots by default; a plain stand-in has none.
    let roots = installation.folder().join("roots.pem");
    let section = section.replace("token_file", &format!("ca_file = {roots:?}\ntoken_file"));
    std::fs::write(&config, format!("{text}{section}")).unwrap();
    installation.restart_control_plane(0).await.unwrap();

    for (name, token) in [
        ("garbage", "no-token-at-all"),
        ("forged", "pod.forged.s"),
        ("vault", "pod.vault.s"),
        ("stranger", "pod.stranger.s"),
        ("person", "pod.person.s"),
    ] {
        let mut refused = pod(&installation, name, token);
        let mut ended = None;
        until("the node gives up", seconds(20), || {
            ended = ended.or(refused.try_wait().unwrap());
            std::future::ready(ended.is_some())
        })
        .await;
        assert!(!ended.unwrap().success(), "{name}");
        let log = std::fs::read_to_string(installation.folder().join(format!("{name}.log"))).unwrap();
        assert!(log.contains("Unauthenticated") || log.contains("PermissionDenied"), "{name}: {log}");
        assert!(!log.contains(token), "{name}: the token is in the log");
    }
    assert_eq!(
        reviews.load(Ordering::SeqCst),
        4,
        "each token that could be one is reviewed once, garbage never"
    );
    assert_eq!(names(&installation).await, ["node-0"]);

    let mut joined = pod(&installation, "pod", "pod.one.s");
    until("the pod is in the fleet", seconds(20), || async {
        names(&installation).await.iter().any(|name| name == "pod")
    })
    .await;
    joined.kill().unwrap();
    joined.wait().unwrap();

    // Without the right to ask, nobody new joins; who is in goes on, and a node with an identity asks nobody.
    std::fs::write(&own, "another\n").unwrap();
    let mut waits = pod(&installation, "late", "pod.one.s");
    let asked = reviews.load(Ordering::SeqCst);
    until("it asks again and again", seconds(20), || {
        std::future::ready(reviews.load(Ordering::SeqCst) >= asked + 2)
    })
    .await;
    assert!(waits.try_wait().unwrap().is_none(), "it waits for the cluster");
    waits.kill().unwrap();
    waits.wait().unwrap();
    let again = reviews.load(Ordering::SeqCst);
    let mut joined = pod(&installation, "pod", "pod.one.s");
    until("the pod is back", seconds(45), || async {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        let node = fleet["data"].as_array().unwrap().iter().find(|node| node["name"] == "pod").cloned();
        node.is_some_and(|node| node["live"] == true && node["lag"] == 0)
    })
    .await;
    assert_eq!(reviews.load(Ordering::SeqCst), again, "its certificate is enough");
    joined.kill().unwrap();
    joined.wait().unwrap();
}
