//! A provider's usage file settles what nobody could know: afterwards ledger and bill are one.

use std::process::Command;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{
    App, Ask, OwnBudget, apps, bill, binary, calls, charge, install, nano, nodes, seconds, until,
};

/// Runs `tidegate reconcile` for a provider with the simulator's bill, or a file's text.
pub(crate) async fn reconcile(
    installation: &Installation,
    provider: &str,
    file: &std::path::Path,
    dry: bool,
) -> Value {
    let api = installation.control_planes[0].url("management API on ").unwrap();
    let mut command = Command::new(binary());
    command.args(["reconcile", "--provider", provider, "--format", "simulator", "--output", "json"]);
    command.arg("--file").arg(file);
    command.args(["--url", &api, "--token", &installation.admin.token]);
    if dry {
        command.arg("--dry-run");
    }
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Reads a few frames and goes away.
async fn leave(app: &App, ask: &Ask) {
    let answer = app.request(ask).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut frames = answer.bytes_stream();
    for _ in 0..2 {
        let _ = frames.next().await;
    }
}

async fn unresolved(installation: &Installation) -> i128 {
    let page = installation.admin.get("/budgets").await.unwrap();
    nano(&page["data"][0]["spend"]["unresolved"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_file_settles_cut_streams_and_hidden_reasoning_to_the_nano_dollar() {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("app", "5", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let rules = json!([
        {"when": {"contains": "cut"}, "then": {"cut_after_bytes": 900, "ending": "reset", "output_tokens": 90,
            "hidden_reasoning": true, "bill_after_abort": true}},
        {"when": {"contains": "silent"}, "then": {"cut_after_bytes": 0, "ending": "reset", "bill_after_abort": true}},
        {"then": {"output_tokens": 90, "tokens_per_chunk": 3, "chunk_delay_ms": 5, "hidden_reasoning": true,
            "bill_after_abort": true}},
    ]);
    installation.script(rules).await.unwrap();
    for ask in Ask::all("cut me off").into_iter().chain(Ask::all("stay silent")).chain(Ask::all("Hello")) {
        let _ = app.call(&ask).await;
    }
    for ask in Ask::all("Hello").into_iter().filter(|ask| ask.stream) {
        leave(&app, &ask).await;
    }
    // Everything has ended and been shipped.
    let quiet = || async { OwnBudget::of(&app).await.is_some_and(|budget| budget.held == 0) };
    until("nothing is held", seconds(30), quiet).await;
    until("every call is recorded", seconds(30), || async { calls(&installation.admin).await.len() == 14 })
        .await;
    let before = OwnBudget::of(&app).await.unwrap();
    assert!(before.unresolved > 0, "{before:?}");
    until("the books have what the counters have", seconds(30), || async {
        charge(&installation.admin).await == before.spent
            && unresolved(&installation).await == before.unresolved
    })
    .await;
    let billed = bill(&installation).await;
    assert!(billed <= before.spent + before.unresolved, "{before:?} {billed}");

    let file = installation.folder().join("bill.json");
    std::fs::write(&file, installation.bill().await.unwrap().to_string()).unwrap();
    let dry = reconcile(&installation, "sim-openai", &file, true).await;
    assert!(dry["charged"].as_u64().unwrap() > 0, "{dry}");
    assert_eq!(charge(&installation.admin).await, before.spent, "a dry run changes nothing");
    for provider in ["sim-openai", "sim-anthropic"] {
        reconcile(&installation, provider, &file, false).await;
    }
    assert_eq!(charge(&installation.admin).await, billed, "ledger and bill");
    assert_eq!(unresolved(&installation).await, 0);
    for provider in ["sim-openai", "sim-anthropic"] {
        let again = reconcile(&installation, provider, &file, false).await;
        assert_eq!((&again["charged"], &again["voided"]), (&json!(0), &json!(0)), "{again}");
        assert_eq!(again["differing"], 0, "{again}");
    }
    assert_eq!(charge(&installation.admin).await, billed, "nothing is counted twice");
    until("the counters are written anew", seconds(30), || async {
        OwnBudget::of(&app).await.is_some_and(|now| now.unresolved == 0 && now.spent == billed)
    })
    .await;
    app.expect(&Ask::chat("Hello"), 200).await;
}
