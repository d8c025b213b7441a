//! A price that is recorded late: booked charges are computed again and adjusted, over the command line and over
//! the API, and ledger, budgets, reports and live counters follow; asking again changes nothing.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tidegate_telemetry::SystemClock;
use tidegate_testkit::installation::Installation;
use tidegate_types::{Clock, Timestamp};

use crate::support::{
    App, Ask, OwnBudget, apps, binary, calls, charge, install, nano, nodes, seconds, until,
};

const MODEL: &str = "sim/rated";
const CALLS: usize = 6;

/// `tidegate rerate` over a span around now.
async fn rerate(installation: &Installation, more: &[&str]) -> (Option<i32>, Value) {
    let api = installation.control_planes[0].url("management API on ").unwrap();
    let now = SystemClock.now();
    let (from, to) = (now.plus_millis(-3_600_000), now.plus_millis(3_600_000));
    let mut command = Command::new(binary());
    command.args(["rerate", "--from", &from.to_string(), "--to", &to.to_string(), "--output", "json"]);
    command.args(["--url", &api, "--token", &installation.admin.token]).args(more);
    let done: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = serde_json::from_slice(&done.stdout);
    let why = String::from_utf8_lossy(&done.stderr);
    (done.status.code(), told.unwrap_or_else(|_| panic!("{why}")))
}

/// Records a price of the model's offering that holds since `since`, so many times the first one.
async fn price(installation: &Installation, since: Timestamp, times: u64) {
    let offerings = installation.admin.get("/offerings?limit=1000").await.unwrap();
    let rows = offerings["data"].as_array().unwrap();
    let offering = rows.iter().find(|row| row["upstream_name"] == "sim-rated").expect("the offering");
    let usd = |nano: u64| format!("0.{:09}", nano * times);
    let prices = json!([{"unit": "input_token", "price": usd(2_500)}, {"unit": "output_token", "price": usd(10_000)},
        {"unit": "cached_input_token", "price": usd(2_500)}]);
    let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
    let body = json!({"offering_id": offering["id"], "tiers": tiers, "source": "late", "valid_from": since.to_string()});
    installation.admin.post("/prices?wait=fleet", &body).await.unwrap();
}

/// Calls of a model whose first price is known, on the books; the moment between the two.
async fn world() -> (Installation, App, String, Timestamp) {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let budget = installation.budget("app", "5", json!({"key": id})).await.unwrap();
    let admin = &installation.admin;
    let model = json!({"name": MODEL, "context_window": 128_000, "max_output_tokens": 16_384});
    admin.post("/models", &model).await.unwrap();
    let offering = json!({"model": MODEL, "provider": "sim-openai", "upstream_name": "sim-rated"});
    admin.post("/offerings", &offering).await.unwrap();
    price(&installation, SystemClock.now().plus_millis(-60_000), 1).await;
    let since = SystemClock.now();
    let app = apps(&installation, &key).remove(0);
    for _ in 0..CALLS {
        app.expect(&Ask::chat("Say 20 words").model(MODEL), 200).await;
    }
    until("every call is on the books", seconds(30), || async { calls(admin).await.len() == CALLS }).await;
    (installation, app, budget, since)
}

/// Usage, ledger, budget and the node's counters all say that so much was charged.
async fn everywhere(installation: &Installation, app: &App, budget: &str, expected: i128) {
    let all = || async {
        let accounts = installation.admin.get("/ledger").await.unwrap();
        let rows = accounts["data"].as_array().unwrap().clone();
        let charges = rows.iter().filter(|row| row["account"] == "charges").map(|row| nano(&row["sum"]));
        let spend = installation.admin.get(&format!("/budgets/{budget}")).await.unwrap();
        let counters = OwnBudget::of(app).await.map_or(-1, |own| own.spent);
        let told =
            [charge(&installation.admin).await, charges.sum(), nano(&spend["spend"]["spent"]), counters];
        told == [expected; 4]
    };
    until("usage, ledger, budget and counters agree", seconds(30), all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_recorded_late_is_applied_once_to_every_book() {
    let (installation, app, budget, since) = world().await;
    let booked = charge(&installation.admin).await;
    assert!(booked > 0);

    let (code, same) = rerate(&installation, &[]).await;
    assert_eq!(
        (code, &same["lines"], &same["reproduced"]),
        (Some(0), &json!(CALLS), &json!(CALLS)),
        "{same}"
    );
    price(&installation, since, 2).await;
    let (code, same) = rerate(&installation, &["--apply"]).await;
    assert_eq!((code, &same["adjusted"]), (Some(0), &json!(0)), "by their own price nothing differs: {same}");

    // Told, and not touched.
    let (code, told) = rerate(&installation, &["--known-prices"]).await;
    assert_eq!((code, &told["differing"], &told["adjusted"]), (Some(1), &json!(CALLS), &json!(0)), "{told}");
    let first = &told["differences"][0];
    assert_eq!(nano(&first["computed"]), 2 * nano(&first["booked"]), "{first}");
    everywhere(&installation, &app, &budget, booked).await;

    // By the command line.
    let (code, done) = rerate(&installation, &["--known-prices", "--apply"]).await;
    assert_eq!((code, &done["adjusted"]), (Some(0), &json!(CALLS)), "{done}");
    assert_eq!(done["reopened"].as_array().unwrap().len(), 1, "the counters are written anew: {done}");
    everywhere(&installation, &app, &budget, 2 * booked).await;
    let (code, again) = rerate(&installation, &["--known-prices", "--apply"]).await;
    assert_eq!(
        (code, &again["adjusted"], &again["reproduced"]),
        (Some(0), &json!(0), &json!(CALLS)),
        "{again}"
    );

    // By the API, back below what was booked at first: an adjustment may give back.
    price(&installation, since.plus_millis(1), 1).await;
    let now = SystemClock.now();
    let body = json!({"from": now.plus_millis(-3_600_000), "to": now.plus_millis(3_600_000), "prices": "known",
        "apply": true});
    let done = installation.admin.post("/ledger/rerate", &body).await.unwrap();
    assert_eq!((&done["adjusted"], &done["differing"]), (&json!(CALLS), &json!(CALLS)), "{done}");
    everywhere(&installation, &app, &budget, booked).await;
    let again = installation.admin.post("/ledger/rerate", &body).await.unwrap();
    assert_eq!((&again["adjusted"], &again["reproduced"]), (&json!(0), &json!(CALLS)), "{again}");
    everywhere(&installation, &app, &budget, booked).await;
    app.expect(&Ask::chat("Say 20 words").model(MODEL), 200).await;
}
