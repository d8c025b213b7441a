//! The disaster drill of docs/backup.md: from a dump and the key-encryption key alone.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;
use tidegate_testkit::{binaries, postgres};

use crate::support::{App, Ask, bill, binary, calls, install, losing_redis, nano, seconds, until, usage};

/// Runs a program of Postgres.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(binaries::find(program).unwrap()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A URL that the control plane's configuration names.
fn url(installation: &Installation, key: &str) -> String {
    let text = std::fs::read_to_string(installation.folder().join("control-0.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

/// As the schema's owner, who needs no superuser: every row, past row-level security by its own policy.
pub(crate) fn dump(installation: &Installation, file: &Path) {
    let owner = url(installation, "migrate_url");
    run("pg_dump", &["--enable-row-security", "-Fc", "-f", file.to_str().unwrap(), &owner]);
}

/// Another, empty server takes the place of the one that is gone.
pub(crate) fn restore(installation: &mut Installation, file: &Path) {
    let fresh = postgres::Server::start().unwrap();
    let (old, new) = (installation.postgres.address().port, fresh.address().port);
    let config = installation.folder().join("control-0.toml");
    let owner = url(installation, "migrate_url");
    let password = owner.split([':', '@']).nth(2).unwrap().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&format!(":{old}/"), &format!(":{new}/"))).unwrap();
    installation.postgres = fresh;
    let superuser = installation.postgres.address().superuser_url("postgres");
    for statement in [
        "CREATE ROLE tidegate_app NOLOGIN",
        "CREATE ROLE tidegate_feed NOLOGIN",
        &format!("CREATE ROLE tg_owner LOGIN CREATEROLE PASSWORD '{password}'"),
        &format!("CREATE ROLE tg_app LOGIN PASSWORD '{password}' IN ROLE tidegate_app"),
        &format!("CREATE ROLE tg_feed LOGIN PASSWORD '{password}' IN ROLE tidegate_feed"),
        "CREATE DATABASE tidegate OWNER tg_owner",
    ] {
        run("psql", &["-qX", "-v", "ON_ERROR_STOP=1", "-c", statement, &superuser]);
    }
    let owner = url(installation, "migrate_url");
    run("pg_restore", &["--exit-on-error", "-d", &owner, file.to_str().unwrap()]);
}

pub(crate) fn tidegate(
    installation: &Installation,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> String {
    let mut command = Command::new(binary());
    command.args(arguments).envs(environment.iter().copied()).current_dir(installation.folder());
    let output = command.output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "tidegate {}: {}", arguments.join(" "), said.concat());
    said.concat()
}

/// `tidegate audit …` as the installation's administrator.
fn audit(installation: &Installation, arguments: &[&str]) -> String {
    let api = installation.control_planes[0].url("management API on ").unwrap();
    let connection = ["--url", &api, "--token", &installation.admin.token];
    tidegate(installation, &[&["audit"], arguments, &connection].concat(), &[])
}

async fn settled(installation: &Installation, requests: u64) {
    let admin = &installation.admin;
    let settled = || async {
        let used = usage(admin).await;
        used.1 == requests && used.0 == bill(installation).await
    };
    until("everything is on the books", seconds(15), settled).await;
}

async fn node_id(installation: &Installation, name: &str) -> String {
    let fleet = installation.admin.get("/fleet").await.unwrap();
    let nodes = fleet["data"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["name"] == name).unwrap();
    node["id"].as_str().unwrap().to_owned()
}

/// Calls until the budget has refused three times.
async fn spend_all(limited: &App, ask: &Ask) {
    let mut refused = 0;
    for _ in 0..40 {
        match limited.call(ask).await.unwrap().status {
            200 => {}
            402 => refused += 1,
            other => panic!("{other}"),
        }
        if refused > 2 {
            break;
        }
    }
    assert!(refused > 2, "the budget never came to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_from_a_dump_and_the_key_encryption_key() {
    let mut installation = install(losing_redis(1)).await;
    let (id, capped) = installation.key("capped", &json!({})).await.unwrap();
    let (_, free) = installation.key("free", &json!({})).await.unwrap();
    let budget = installation.budget("cap", "0.002", json!({"key": id})).await.unwrap();
    let ask = Ask::chat("Say 40 words").at_most(60);
    let first = App::new(&installation.gateway(0).unwrap(), &capped);
    for _ in 0..4 {
        first.expect(&ask, 200).await;
    }
    settled(&installation, 4).await;
    let file = installation.folder().join("backup.dump");
    dump(&installation, &file);
    let exports = ["audit-1.jsonl", "audit-2.jsonl"].map(|name| installation.folder().join(name));
    let [early, late] = [&exports[0], &exports[1]].map(|path| path.to_str().unwrap());
    audit(&installation, &["export", "--file", early]);
    let (at_dump, records) = (usage(&installation.admin).await, calls(&installation.admin).await);

    // After the dump: another node joins and spends; its calls are on the books of what will be lost.
    installation.add_node().await.unwrap();
    let second = App::new(&installation.gateway(1).unwrap(), &capped);
    for _ in 0..3 {
        second.expect(&ask, 200).await;
    }
    settled(&installation, 7).await;

    // All is gone but the dump, the key-encryption key, and the second node's volume.
    installation.control_planes[0].kill();
    installation.nodes.iter_mut().for_each(|node| node.kill());
    std::fs::remove_dir_all(installation.folder().join("node-0-state")).unwrap();
    installation.postgres.stop();
    installation.redis.as_mut().unwrap().start_again().unwrap();
    restore(&mut installation, &file);
    let config = installation.folder().join("control-0.toml").to_string_lossy().into_owned();
    tidegate(&installation, &["migrate", "--config", &config], &[]);
    installation.restart_control_plane(0).await.unwrap();

    // The books are those of the dump, call by call, and the audit's chain is whole.
    assert_eq!(usage(&installation.admin).await, at_dump);
    assert_eq!(calls(&installation.admin).await, records);
    let chain = installation.admin.get("/audit/verify").await.unwrap();
    assert_eq!(chain["whole"], true, "{chain}");

    // A new node serves keys and opens credentials; what is capped waits for the nodes that had counters.
    installation.add_node().await.unwrap();
    let [freely, limited] = [&free, &capped].map(|key| App::new(&installation.gateway(2).unwrap(), key));
    freely.expect(&Ask::chat("Hello"), 200).await;
    let refused = limited.call(&ask).await.unwrap();
    assert_eq!(refused.status, 503, "counters that nobody knows are not guessed: {}", refused.text);

    // The second node is younger than the dump: it enrols anew, and ships what it still holds, once.
    let roots = installation.admin.post("/join-tokens", &json!({})).await.unwrap();
    let token = roots["token"].as_str().unwrap();
    let node = installation.folder().join("node-1.toml").to_string_lossy().into_owned();
    let ship = ["journal", "ship", "--anew", "--retire", "--config", &node];
    let said = tidegate(&installation, &ship, &[("TIDEGATE_NODE__JOIN_TOKEN", token)]);
    assert!(said.contains("is retired"), "{said}");
    settled(&installation, 8).await;

    // An export of the time before is continued by what is restored, without asking anybody.
    let entries = std::fs::read_to_string(&exports[0]).unwrap().lines().count() - 1;
    audit(&installation, &["export", "--after", &entries.to_string(), "--file", late]);
    let said = audit(&installation, &["verify", early, late]);
    assert!(said.starts_with("holds: entries 1 to "), "{said}");

    // The first one is gone for good: an administrator says so, and the counters open from the books.
    let gone = node_id(&installation, "node-0").await;
    installation.admin.post(&format!("/fleet/{gone}/drained"), &json!({})).await.unwrap();
    let opened = || async { limited.status().await != 503 };
    until("capped calls are served again", seconds(20), opened).await;
    spend_all(&limited, &ask).await;
    let spend = &installation.admin.get(&format!("/budgets/{budget}")).await.unwrap()["spend"];
    assert!(nano(&spend["spent"]) <= 2_000_000, "{spend}");
    let by_cap: i128 = calls(&installation.admin)
        .await
        .iter()
        .filter(|call| call["key_id"] == Value::String(id.clone()))
        .map(|call| nano(&call["cost"]))
        .sum();
    assert!(by_cap <= 2_000_000, "{by_cap} nano-dollars over the cap's life, before and after the disaster");
    let agree = || async { usage(&installation.admin).await.0 == bill(&installation).await };
    until("the ledger and the provider's bill agree", seconds(10), agree).await;
}
