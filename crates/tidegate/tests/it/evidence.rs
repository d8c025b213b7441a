//! What was decided about data handling is signed by the node, kept, and verified by whoever has the document.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{App, Ask, apps, binary, client, install, nodes, seconds, until};

/// What `tidegate zdr verify` says of a document, and whether it holds.
fn verify(folder: &Path, document: &Value, roots: bool) -> (bool, String) {
    let file = folder.join("decisions.json");
    fs::write(&file, serde_json::to_vec(document).unwrap()).unwrap();
    let mut command = Command::new(binary());
    command.args(["zdr", "verify"]).arg(&file);
    if roots {
        command.arg("--roots").arg(folder.join("roots.pem"));
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn facts(installation: &Installation, handling: &Value) {
    let all = installation.admin.get("/offerings?limit=1000").await.unwrap();
    let mine = all["data"].as_array().unwrap().iter().filter(|one| one["model"] == "sim/chat");
    for offering in mine {
        let path = format!("/offerings/{}?organization=system&wait=fleet", offering["id"].as_str().unwrap());
        installation.admin.patch(&path, &json!({ "data_handling": handling })).await.unwrap();
    }
}

async fn strict(app: &App, tool: Option<&str>) -> (u16, String) {
    let mut body = json!({
        "model": "sim/chat", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}],
        "providerOptions": {"gateway": {"zeroDataRetention": true}},
    });
    if let Some(tool) = tool {
        body["tools"] = json!([{ "type": tool }]);
    }
    let url = format!("{}/v1/chat/completions", app.base.trim_end_matches("/v1"));
    let reply = client().post(url).bearer_auth(&app.key).json(&body).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn document(installation: &Installation, decisions: usize) -> Value {
    let count = |file: &Value| -> usize {
        let links = file["links"].as_array().unwrap();
        links.iter().map(|link| link["decisions"].as_array().unwrap().len()).sum()
    };
    let there = || async { count(&installation.admin.get("/zdr/records").await.unwrap()) >= decisions };
    until("the decisions arrive", seconds(20), there).await;
    installation.admin.get("/zdr/records").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_signed_and_what_was_changed_since_is_found() {
    let mut installation = install(nodes(1)).await;
    let (_, key) = installation.key("first", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    // Nothing is known: refused, and nobody is called.
    until("the key is known", seconds(10), async || strict(&app, None).await.0 != 401).await;
    let (status, body) = strict(&app, None).await;
    assert!(status >= 400 && body.contains("data handling tier zdr"), "{status} {body}");
    document(&installation, 2).await;
    let known = json!({
        "retention": "none", "training": "never", "source": "https://sim.example/terms",
        "read_at": "2026-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z",
    });
    facts(&installation, &known).await;
    assert_eq!(strict(&app, None).await.0, 200);
    let (status, body) = strict(&app, Some("web_search_20260209")).await;
    assert!(status == 400 && body.contains("web_search_20260209"), "{status} {body}");
    // Three batches at least: a link that is taken out has neighbours.
    document(&installation, 4).await;
    for _ in 0..5 {
        app.expect(&Ask::chat("Hello"), 200).await;
    }
    // Another process of the node, another chain.
    document(&installation, 9).await;
    installation.restart_node(0).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    assert_eq!(strict(&app, None).await.0, 200);
    installation.restart_control_plane(0).await.unwrap();
    assert_eq!(strict(&app, None).await.0, 200);
    let file = document(&installation, 11).await;
    let (holds, said) = verify(installation.folder(), &file, true);
    assert!(holds && said.contains("holds: 11 decisions") && said.contains("2 chains"), "{said}");
    let text = file.to_string();
    assert!(text.contains("https://sim.example/terms") && !text.contains("Hello"), "{text}");
    let tiers = |file: &Value| {
        let links = file["links"].as_array().unwrap().clone();
        let all = links.into_iter().flat_map(|link| link["decisions"].as_array().unwrap().clone());
        all.filter(|one| one["zdr"] == "zdr").collect::<Vec<_>>()
    };
    assert_eq!(tiers(&file).len(), 6, "three refusals, three answers");
    let answered = tiers(&file).into_iter().find(|one| one["status"] == 200).unwrap();
    let evidence = &answered["attempts"][0]["evidence"][0];
    assert_eq!(evidence["expires_at"].as_str().map(|at| &at[..4]), Some("2099"), "{answered}");
    changed_in_the_database(&installation, &answered).await;
}

/// Whoever has the database can change it; not so that nobody notices.
async fn changed_in_the_database(installation: &Installation, answered: &Value) {
    let harms = [
        (
            "UPDATE call_records SET zdr = 'none' WHERE zdr = 'zdr' AND status = 200".to_owned(),
            "not the one that was signed",
        ),
        ("DELETE FROM call_records WHERE status = 200".to_owned(), "are missing"),
        (
            "SET session_replication_role = replica; DELETE FROM decision_links WHERE number = 2".to_owned(),
            "was to come",
        ),
    ];
    assert!(answered["call_id"].is_string());
    for (statement, said) in harms {
        installation.sql(&statement).unwrap();
        let file = installation.admin.get("/zdr/records").await.unwrap();
        let (holds, found) = verify(installation.folder(), &file, false);
        assert!(!holds && found.contains(said) && found.contains("DOES NOT HOLD"), "{statement}: {found}");
    }
}
