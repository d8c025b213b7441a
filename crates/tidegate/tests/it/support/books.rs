//! The books of an installation: our ledger, our call records, and the simulator's own bill.

use super::client;
use serde_json::Value;
use tidegate_testkit::installation::{Admin, Installation};

use super::App;

/// USD as decimal text, in nano-dollars.
pub(crate) fn nano(value: &Value) -> i128 {
    let text = value.as_str().unwrap_or_else(|| panic!("an amount of money is text, not {value}"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 9, "finer than a nano-dollar: {text}");
    format!("{whole}{part:0<9}").parse().unwrap()
}

/// Charge and requests of the organization, as `GET /usage` tells.
pub(crate) async fn usage(admin: &Admin) -> (i128, u64) {
    let page = admin.get("/usage").await.unwrap_or_else(|error| panic!("{error:#}"));
    let rows = page["data"].as_array().unwrap();
    let requests = rows.iter().map(|row| row["request_count"].as_u64().unwrap()).sum();
    (rows.iter().map(|row| nano(&row["total_cost"])).sum(), requests)
}

/// What `GET /usage` says was charged.
pub(crate) async fn charge(admin: &Admin) -> i128 {
    usage(admin).await.0
}

/// The simulator's total.
pub(crate) async fn bill(installation: &Installation) -> i128 {
    installation.bill().await.unwrap()["total_nano_usd"].as_i64().unwrap().into()
}

/// The simulator's lines.
pub(crate) async fn bill_lines(installation: &Installation) -> Vec<Value> {
    installation.bill().await.unwrap()["calls"].as_array().unwrap().clone()
}

/// Every call record.
pub(crate) async fn calls(admin: &Admin) -> Vec<Value> {
    let (mut found, mut path) = (Vec::new(), "/calls?limit=1000".to_owned());
    loop {
        let page = admin.get(&path).await.unwrap_or_else(|error| panic!("{error:#}"));
        found.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return found };
        path = format!("/calls?limit=1000&cursor={cursor}");
    }
}

/// A budget as `GET /v1/key` shows it, in nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnBudget {
    pub(crate) limit: i128,
    pub(crate) spent: i128,
    pub(crate) held: i128,
    pub(crate) unresolved: i128,
}

impl OwnBudget {
    /// The key's only budget; `None` while nobody can tell.
    pub(crate) async fn of(app: &App) -> Option<Self> {
        let (status, key) = app.get("/v1/key").await.ok()?;
        assert_eq!(status, 200, "{key}");
        let budgets = key["budgets"].as_array().unwrap();
        assert_eq!(budgets.len(), 1, "{key}");
        let budget = &budgets[0];
        if budget["spent"].is_null() {
            return None;
        }
        let [limit, spent, held, unresolved] =
            ["limit", "spent", "held", "unresolved"].map(|name| nano(&budget[name]));
        Some(Self { limit, spent, held, unresolved })
    }
}

/// What a node tells of one metric, labels included in its name.
pub(crate) async fn metric(installation: &Installation, node: usize, name: &str) -> Option<f64> {
    let url = format!("{}/metrics", installation.nodes[node].url("metrics on ").unwrap());
    let text = client().get(url).send().await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
