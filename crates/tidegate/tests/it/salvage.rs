//! A node dies and its pod never comes back: what lies on its volume is shipped by a job, once.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{
    Ask, apps, bill, bill_lines, binary, calls, install, nano, nodes, seconds, until, usage,
};

/// Runs `tidegate journal ship` as the job does.
fn ship(installation: &Installation, node: usize, more: &[&str]) -> Output {
    let config = installation.folder().join(format!("node-{node}.toml"));
    let mut command = Command::new(binary());
    command.args(["journal", "ship", "--timeout-seconds", "30", "--config"]).arg(config).args(more);
    command.current_dir(installation.folder()).output().unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_node_left_is_shipped_once_and_nobody_waits_for_it() {
    let mut installation = install(nodes(2)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let budget = installation.budget("all", "1000", json!({"key": id})).await.unwrap();
    let apps = apps(&installation, &key);
    apps[1].expect(&Ask::chat("Hello"), 200).await;
    until("the first call is on the books", seconds(10), || async {
        usage(&installation.admin).await.1 == 1
    })
    .await;

    // The control plane is away, so that nothing is shipped; one call is cut by the kill.
    installation.control_planes[0].kill();
    let mut completed = Vec::new();
    for _ in 0..5 {
        for ask in Ask::all("Say 7 words") {
            completed.push(apps[1].expect(&ask, 200).await.id());
        }
    }
    installation.script(json!([{"then": {"latency_ms": 30_000}}])).await.unwrap();
    let lines = bill_lines(&installation).await.len();
    let cut = tokio::spawn({
        let app = apps[1].clone();
        async move { app.call(&Ask::chat("Say 9 words")).await.is_err() }
    });
    // The journal's intents are in the kernel before the provider is asked.
    let asked = || async {
        let page = installation.simulator_get("/journal").await.unwrap();
        page.to_string().contains("Say 9 words") || bill_lines(&installation).await.len() > lines
    };
    until("the provider has the call", seconds(10), asked).await;
    installation.nodes[1].kill();
    assert!(cut.await.unwrap(), "the caller saw its connection break");
    installation.script(json!([])).await.unwrap();

    // A running node keeps its folder to itself, and an empty folder is no journal.
    installation.restart_control_plane(0).await.unwrap();
    let busy = ship(&installation, 0, &[]);
    assert!(!busy.status.success() && said(&busy).contains("another process"), "{}", said(&busy));
    let nothing = tempfile::tempdir().unwrap();
    let empty = ship(&installation, 1, &["--dir", nothing.path().to_str().unwrap()]);
    assert!(empty.status.success() && said(&empty).contains("no journal"), "{}", said(&empty));

    let first = ship(&installation, 1, &[]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("records shipped, none left"), "{}", said(&first));
    let records = calls(&installation.admin).await;
    let on_the_books = |id: &String| records.iter().filter(|call| call["id"] == **id).count();
    assert!(completed.iter().all(|id| on_the_books(id) == 1), "every completed call, once");
    let charged = usage(&installation.admin).await.0;
    let spend = &installation.admin.get(&format!("/budgets/{budget}")).await.unwrap()["spend"];
    let unresolved = nano(&spend["unresolved"]);
    assert!(unresolved > 0, "the call that was cut stays against the cap: {spend}");
    assert!(charged <= bill(&installation).await && bill(&installation).await <= charged + unresolved);

    // Again, as a job that is repeated would: nothing is doubled; then the node ends for good.
    let again = ship(&installation, 1, &["--retire"]);
    assert!(again.status.success() && said(&again).contains("is retired"), "{}", said(&again));
    assert_eq!(usage(&installation.admin).await.0, charged);
    let fleet = installation.admin.get("/fleet").await.unwrap();
    let state = |name: &str| {
        let node = fleet["data"].as_array().unwrap().iter().find(|node| node["name"] == name);
        node.map_or(Value::Null, |node| node["state"].clone())
    };
    assert_eq!((state("node-0"), state("node-1")), (json!("enrolled"), json!("drained")));
    let once_more = ship(&installation, 1, &["--retire"]);
    assert!(once_more.status.success() && said(&once_more).contains("no journal"), "{}", said(&once_more));

    // Nobody waits for it: counters that are lost open again without it.
    installation.redis.as_ref().unwrap().flush().unwrap();
    let served = || async { apps[0].status().await == 200 };
    until("capped calls are served again", seconds(20), served).await;
}
