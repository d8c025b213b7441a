//! A key for the union only, over running processes: who may answer it, what happens when that one fails, what is
//! explained beforehand and what was signed afterwards.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{Ask, apps, bill_lines, binary, install, nodes, seconds, until};

/// States where the simulated provider's `sim/chat` runs.
async fn runs_in(installation: &Installation, provider: &str, areas: &[&str], until: &str) {
    let all = installation.admin.get("/offerings?limit=1000").await.unwrap();
    let mine = |one: &&Value| one["model"] == "sim/chat" && one["provider"] == provider;
    let offering = all["data"].as_array().unwrap().iter().find(mine).unwrap();
    let path = format!("/offerings/{}?organization=system&wait=fleet", offering["id"].as_str().unwrap());
    let fact = json!({"areas": areas, "source": format!("https://{provider}.example/where"),
        "read_at": "2026-01-01T00:00:00Z", "expires_at": until});
    installation.admin.patch(&path, &json!({ "locations": [fact] })).await.unwrap();
}

/// The providers that were asked, by their own books.
async fn asked(installation: &Installation) -> Vec<String> {
    let lines = bill_lines(installation).await;
    lines.iter().map(|line| line["provider"].as_str().unwrap().to_owned()).collect()
}

async fn decisions(installation: &Installation, wanted: usize) -> Value {
    let count = |file: &Value| -> usize {
        let links = file["links"].as_array().unwrap();
        links.iter().map(|link| link["decisions"].as_array().unwrap().len()).sum()
    };
    let there = || async { count(&installation.admin.get("/zdr/records").await.unwrap()) >= wanted };
    until("the decisions arrive", seconds(60), there).await;
    installation.admin.get("/zdr/records").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_the_union_is_served_there_or_not_at_all() {
    let installation = install(nodes(1)).await;
    let (confined, key) = installation.key("eu", &json!({})).await.unwrap();
    let (_, free) = installation.key("free", &json!({})).await.unwrap();
    let (eu, anywhere) = (apps(&installation, &key).remove(0), apps(&installation, &free).remove(0));
    let wrong = json!({"name": "x", "privacy": {"inference_regions": ["mars"]}});
    assert!(installation.admin.post("/policies", &wrong).await.is_err());
    let wrong = json!({"name": "x", "privacy": {"headquarters": ["US", "!CN"]}});
    let refused = installation.admin.post("/policies", &wrong).await.unwrap_err().to_string();
    assert!(refused.contains("privacy.headquarters"), "{refused}");
    let policy =
        json!({"name": "eu-only", "scope": {"key": confined}, "privacy": {"inference_regions": ["eu"]}});
    let made = installation.admin.post("/policies?wait=fleet", &policy).await.unwrap();
    assert_eq!(made["privacy"]["inference_regions"], json!(["eu"]), "{made}");
    // Nothing is known: nobody is asked, and the caller reads which setting it is.
    let refused = eu.expect(&Ask::chat("Hello"), 400).await;
    assert!(refused.text.contains("`privacy.inference_regions` of policy 'eu-only'"), "{}", refused.text);
    runs_in(&installation, "sim-openai", &["eu"], "2099-01-01T00:00:00Z").await;
    runs_in(&installation, "sim-anthropic", &["us"], "2099-01-01T00:00:00Z").await;
    let question = json!({"key_id": confined, "model": "sim/chat"});
    let told = installation.admin.post("/explain", &question).await.unwrap();
    assert_eq!(told["now"]["inference_regions"], json!(["eu"]), "{told}");
    assert_eq!(told["now"]["candidates"].as_array().unwrap().len(), 1, "{told}");
    let why = told["now"]["removed"][0]["reason"].as_str().unwrap();
    assert!(why.contains("eu only; it runs in us"), "{told}");
    eu.expect(&Ask::chat("Hello"), 200).await;
    assert_eq!(asked(&installation).await, ["sim-openai"]);
    // The one that may answer fails: the other one is there for everybody else.
    let failing = json!([{"when": {"provider": "sim-openai"}, "then": {"status": 503}}]);
    installation.script(failing).await.unwrap();
    for _ in 0..5 {
        let refused = eu.call(&Ask::chat("Hello")).await.unwrap();
        assert!(refused.status >= 500, "{} {}", refused.status, refused.text);
    }
    assert!(!asked(&installation).await.iter().any(|provider| provider == "sim-anthropic"));
    anywhere.expect(&Ask::chat("Hello"), 200).await;
    assert_eq!(
        asked(&installation).await.last().map(String::as_str),
        Some("sim-anthropic"),
        "positive control"
    );
    // A fact that is over is none.
    installation.script(json!([])).await.unwrap();
    runs_in(&installation, "sim-openai", &["eu"], "2026-01-02T00:00:00Z").await;
    eu.expect(&Ask::chat("Hello"), 400).await;
    signed(&installation).await;
}

/// What was signed says where each call might go, and by what it was allowed.
async fn signed(installation: &Installation) {
    let file = decisions(installation, 9).await;
    let links = file["links"].as_array().unwrap();
    let all: Vec<&Value> = links.iter().flat_map(|link| link["decisions"].as_array().unwrap()).collect();
    let confined: Vec<_> = all.iter().filter(|one| one["inference_regions"] == json!(["eu"])).collect();
    assert_eq!((all.len(), confined.len()), (9, 8), "{file}");
    let answered = confined.iter().find(|one| one["status"] == 200).unwrap();
    let evidence = &answered["attempts"][0]["evidence"][0];
    assert_eq!((&evidence["areas"], &evidence["tier"]), (&json!(["eu"]), &json!("none")), "{answered}");
    assert_eq!(evidence["source"], "https://sim-openai.example/where");
    let verify = |document: &Value| {
        let path = installation.folder().join("places.json");
        fs::write(&path, serde_json::to_vec(document).unwrap()).unwrap();
        let output = Command::new(binary()).args(["zdr", "verify"]).arg(&path).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (holds, said) = verify(&file);
    assert!(holds, "{said}");
    // Positive control: whoever has the database changes where a call might go.
    installation.sql("UPDATE call_records SET inference_regions = 'eu,us' WHERE status = 200").unwrap();
    let (holds, said) = verify(&installation.admin.get("/zdr/records").await.unwrap());
    assert!(!holds && said.contains("not the one that was signed"), "{said}");
}
