//! The response cache over running processes: a provider is asked once, the books say what was given again
//! and what that cost, every charge is reproduced, and a purge reaches every node.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{
    App, Ask, Reply, apps, bill, bill_lines, binary, calls, charge, install, nano, nodes, seconds, until,
};

async fn command(installation: &Installation, arguments: &[&str]) -> Output {
    let api = installation.control_planes[0].url("management API on ").unwrap();
    let mut command = Command::new(binary());
    command.args(arguments).args(["--url", &api, "--token", &installation.admin.token]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn told(reply: &Reply) -> String {
    reply.headers.get("x-tidegate-cache").map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

async fn ask(app: &App, ask: &Ask) -> String {
    told(&app.expect(ask, 200).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_again_is_billed_by_nobody_booked_by_its_rules_and_purged_everywhere() {
    let installation = install(nodes(2)).await;
    let admin = &installation.admin;
    let rules = json!({"name": "cached", "cache": {"mode": "on", "charge_percent": 50, "ttl_seconds": 3600}});
    let policy = admin.post("/policies?wait=fleet", &rules).await.unwrap();
    assert_eq!(policy["cache"]["charge_percent"], 50, "{policy}");
    let wrong = json!({"name": "wrong", "cache": {"ttl_seconds": 0}});
    let refused = admin.post("/policies", &wrong).await.unwrap_err().to_string();
    assert!(refused.contains("cache.ttl_seconds"), "{refused}");
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("all", "10.00", json!({"key": id})).await.unwrap();
    let [app, elsewhere] = <[App; 2]>::try_from(apps(&installation, &key)).unwrap();

    let asked = Ask::all("What is given again?");
    let mut first = Vec::new();
    for one in &asked {
        let reply = app.expect(one, 200).await;
        assert_eq!(told(&reply), "miss", "{one:?}");
        first.push(reply);
    }
    let billed = bill(&installation).await;
    for (one, first) in asked.iter().zip(&first) {
        let reply = app.expect(one, 200).await;
        assert_eq!(told(&reply), "hit", "{one:?}");
        assert_eq!(reply.headers["content-type"], first.headers["content-type"], "{one:?}");
        if !one.messages && !one.stream {
            let text = |reply: &Reply| reply.json()["choices"][0]["message"]["content"].clone();
            assert_eq!(text(&reply), text(first));
        }
    }
    assert_eq!(
        (bill(&installation).await, bill_lines(&installation).await.len()),
        (billed, 4),
        "nobody was asked"
    );
    assert_eq!(ask(&elsewhere, &asked[0]).await, "miss", "what is kept stays on its node");
    books(&installation, &asked).await;

    let purged = command(&installation, &["cache", "purge", "--wait", "--output", "json"]).await;
    assert!(purged.status.success(), "{}", String::from_utf8_lossy(&purged.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&purged.stdout).unwrap()["purges"], 1);
    for app in [&app, &elsewhere] {
        assert_eq!(ask(app, &asked[0]).await, "miss", "purged on every node");
        assert_eq!(ask(app, &asked[0]).await, "hit");
    }
    let audit = admin.get("/audit?limit=5").await.unwrap();
    assert!(audit.to_string().contains("cache.purge"), "{audit}");
}

/// Five calls were made and four given again, at half their price.
async fn books(installation: &Installation, asked: &[Ask]) {
    let admin = &installation.admin;
    let lines = bill_lines(installation).await;
    let halves = |call: &str| {
        let line = lines.iter().find(|line| line["call_id"] == call).unwrap_or_else(|| panic!("no {call}"));
        i128::from(line["nano_usd"].as_i64().unwrap() + 1) / 2
    };
    until("every record is there", seconds(30), || async { calls(admin).await.len() == asked.len() * 2 + 1 })
        .await;
    let all = calls(admin).await;
    let given: Vec<&Value> = all.iter().filter(|call| call["cached_from"].is_string()).collect();
    assert_eq!(given.len(), asked.len(), "{all:?}");
    let mut expected = bill(installation).await;
    for call in &given {
        let half = halves(call["cached_from"].as_str().unwrap());
        assert_eq!(nano(&call["cost"]), half, "{call}");
        assert_eq!((&call["attempts"], &call["input_tokens"]), (&json!([]), &json!(0)), "{call}");
        expected += half;
    }
    until("the ledger has it", seconds(30), || async { charge(admin).await == expected }).await;
    for path in ["/usage", "/usage?group_by=credential_type"] {
        let usage = admin.get(path).await.unwrap();
        let sum = |name: &str| -> u64 {
            usage["data"].as_array().unwrap().iter().map(|row| row[name].as_u64().unwrap()).sum()
        };
        let counts = (sum("request_count"), sum("cache_hit_count"), sum("refused_count"));
        assert_eq!(counts, (5, 4, 0), "{path}: {usage}");
        let tokens: u64 = lines.iter().map(|line| line["usage"]["input_tokens"].as_u64().unwrap()).sum();
        assert_eq!(sum("input_tokens"), tokens, "{path}: tokens are those that providers saw");
    }
    let ledger = admin.get("/ledger").await.unwrap();
    let account = |name: &str| -> i128 {
        let accounts = ledger["data"].as_array().or(ledger["accounts"].as_array()).unwrap().iter();
        accounts.filter(|row| row["account"] == name).map(|row| signed(&row["sum"])).sum()
    };
    assert_eq!(account("charges"), expected, "{ledger}");
    assert_eq!(account("providers"), -bill(installation).await, "what providers billed, and nothing else");
    assert_eq!(account("cache"), -(expected - bill(installation).await), "{ledger}");
    let day = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at =
        |seconds: u64| tidegate_types::Timestamp::from_seconds(i64::try_from(seconds).unwrap()).to_string();
    let (from, to) = (at(day - 43_200), at(day + 43_200));
    let again = command(installation, &["rerate", "--output", "json", "--from", &from, "--to", &to]).await;
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["lines"], &again["reproduced"]), (&json!(9), &json!(9)), "{again}");
}

fn signed(amount: &Value) -> i128 {
    let text = amount.as_str().unwrap();
    text.strip_prefix('-').map_or_else(|| nano(amount), |rest| -nano(&json!(rest)))
}
