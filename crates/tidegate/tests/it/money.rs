//! Credit, alerts, re-rating and exports over running processes: what is paid is what can be spent, and
//! every charge can be computed again.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::support::{
    Ask, OwnBudget, apps, bill, binary, charge, install, nano, nodes, open_to_deliveries, seconds, until,
};

async fn command(installation: &Installation, arguments: &[&str]) -> Output {
    let api = installation.control_planes[0].url("management API on ").unwrap();
    let mut command = Command::new(binary());
    command.args(arguments).args(["--url", &api, "--token", &installation.admin.token]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A receiver of webhooks on loopback: its port, and the bodies that it got. It ends with the set.
fn receiver(tasks: &mut JoinSet<()>) -> (u16, UnboundedReceiver<Value>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let (out, heard) = unbounded_channel();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let body = loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let whole = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
                if let Some(body) = whole {
                    break body;
                }
                if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    break Value::Null;
                }
            };
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            if socket.write_all(answer).await.is_err() || out.send(body).is_err() {
                return;
            }
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_spends_what_it_paid_hears_of_it_and_every_charge_is_reproduced() {
    let mut installation = install(nodes(1)).await;
    let mut tasks = JoinSet::new();
    let (port, mut heard) = receiver(&mut tasks);
    let organization = installation.admin.get("/organizations").await.unwrap()["data"][0]["id"].clone();
    open_to_deliveries(&mut installation, &[port]).await;
    let admin = &installation.admin;

    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    let hook = json!({"name": "pager", "url": format!("http://127.0.0.1:{port}/hook")});
    admin.post("/webhooks", &hook).await.unwrap();
    let within = |path: &str| format!("{path}?wait=fleet&organization={}", organization.as_str().unwrap());
    admin.patch(&within("/credits"), &json!({"markup_percent": "25"})).await.unwrap();
    app.expect(&Ask::chat("Hello"), 402).await;
    let top_up = |reference: &str| json!({"amount": "0.01", "reference": reference});
    admin.post(&within("/credits/top-ups"), &top_up("one")).await.unwrap();

    let mut served = 0;
    let refusal = loop {
        let reply = app.call(&Ask::chat("Hello").at_most(400)).await.unwrap();
        match reply.status {
            200 => served += 1,
            402 => break reply,
            other => panic!("{other}: {}", reply.text),
        }
        assert!(served < 1_000, "the credit never ends");
    };
    assert!(served > 0 && refusal.message().contains("'credit'"), "{}", refusal.text);
    until("nothing is held", seconds(30), || async {
        OwnBudget::of(&app).await.is_some_and(|budget| budget.held == 0)
    })
    .await;
    let billed = bill(&installation).await;
    until("the ledger has every call", seconds(30), || async { charge(admin).await == billed }).await;
    let credit = admin.get("/credits").await.unwrap();
    let drawn = (billed * 125).div_euclid(100) + i128::from((billed * 125).rem_euclid(100) != 0);
    assert_eq!(nano(&credit["drawn"]), drawn, "{credit}");
    assert_eq!(nano(&credit["balance"]), 10_000_000 - drawn);
    assert!(billed <= 8_000_000, "0.01 at 25 % afford 0.008: {billed}");
    let (status, shown) = app.get("/v1/credits").await.unwrap();
    assert_eq!((status, nano(&shown["balance"])), (200, 8_000_000 - billed), "{shown}");
    let told = heard.recv().await.unwrap();
    assert_eq!(
        (&told["type"], &told["data"]["budget"]),
        (&json!("budget.exhausted"), &json!("credit")),
        "{told}"
    );

    admin.post(&within("/credits/top-ups"), &top_up("two")).await.unwrap();
    app.expect(&Ask::chat("Hello").at_most(400), 200).await;
    let billed = bill(&installation).await;
    until("the ledger has it too", seconds(30), || async { charge(admin).await == billed }).await;
    reproduced(&installation, organization.as_str().unwrap(), served + 1, billed).await;
}

/// Every charge is computed again, and the export's lines add up to the provider's bill.
async fn reproduced(installation: &Installation, organization: &str, calls: u32, billed: i128) {
    let span = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"];
    let none = command(installation, &[&["rerate", "--output", "json"], &span[..]].concat()).await;
    let none: Value = serde_json::from_slice(&none.stdout).unwrap();
    assert_eq!((&none["lines"], &none["differing"]), (&json!(0), &json!(0)));
    let day = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at =
        |seconds: u64| tidegate_types::Timestamp::from_seconds(i64::try_from(seconds).unwrap()).to_string();
    let (from, to) = (at(day - 43_200), at(day + 43_200));
    let again = command(installation, &["rerate", "--output", "json", "--from", &from, "--to", &to]).await;
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["lines"], &again["reproduced"]), (&json!(calls), &json!(calls)), "{again}");

    let export = command(installation, &["usage", "export", "--organization", organization]).await;
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let text = String::from_utf8(export.stdout).unwrap();
    let mut lines = text.lines();
    let column = lines.next().unwrap().split(',').position(|name| name == "total_cost").unwrap();
    let total: i128 = lines.map(|line| nano(&json!(line.split(',').nth(column).unwrap()))).sum();
    assert_eq!(total, billed, "{text}");
}
