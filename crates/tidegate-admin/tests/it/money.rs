//! Credit, ledger and exports over the API: who may move money, and that no amount loses a digit.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::World;

#[tokio::test]
async fn credit_is_set_up_by_the_platform_caps_the_organization_and_is_seen_by_it() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let within = |path: &str| format!("{path}?organization={}", tenant.id);
    let none = world.get(&tenant.owner, "/credits").await.expect(StatusCode::OK);
    assert_eq!((none.body["enabled"].as_bool(), none.str("/balance")), (Some(false), "0".into()));
    let top_up = json!({"amount": "100", "reference": "invoice-1"});
    world.post(&tenant.owner, "/credits/top-ups", &top_up).await.refused(403, "forbidden");
    world.post(&world.root, &within("/credits/top-ups"), &top_up).await.refused(409, "credit_not_set_up");
    let setup = json!({"markup_percent": "25", "allowance": {"amount": "5", "every": "month"}});
    world.patch(&tenant.owner, "/credits", &setup).await.refused(403, "forbidden");
    let made = world.patch(&world.root, &within("/credits"), &setup).await.expect(StatusCode::OK);
    assert_eq!(
        (made.str("/balance"), made.str("/allowance_left"), made.str("/markup_percent")),
        ("5".into(), "5".into(), "25.00".into())
    );
    world.post(&world.root, &within("/credits/top-ups"), &top_up).await.expect(StatusCode::CREATED);
    world.post(&world.root, &within("/credits/top-ups"), &top_up).await.refused(409, "already_exists");
    let seen = world.get(&tenant.owner, "/credits").await.expect(StatusCode::OK);
    assert_eq!((seen.str("/balance"), seen.str("/allowance_left")), ("105".into(), "5".into()));
    let budget = world
        .get(&tenant.owner, &format!("/budgets/{}", seen.str("/budget_id")))
        .await
        .expect(StatusCode::OK);
    // 100 / 1.25 for good, and 5 / 1.25 until the month ends.
    assert_eq!(
        (budget.str("/limit"), budget.str("/limit_now"), budget.str("/enforcement")),
        ("80".into(), "84".into(), "hard".into())
    );

    // The cap is not the tenant's to change.
    let path = format!("/budgets/{}", seen.str("/budget_id"));
    world.patch(&tenant.owner, &path, &json!({"limit": "1000000"})).await.refused(409, "immutable");
    let raise = json!({"amount": "9", "until": "2100-01-01T00:00:00Z", "reason": "x"});
    world.post(&tenant.owner, &format!("{path}/raises"), &raise).await.refused(409, "immutable");
    world.delete(&tenant.owner, &format!("{path}/raises")).await;
    assert!(world.delete(&tenant.owner, &path).await.status.is_client_error());
    let after = world.get(&tenant.owner, &path).await.expect(StatusCode::OK);
    assert_eq!(after.str("/limit_now"), "84");

    let entries = world.get(&tenant.owner, "/credits/entries").await.expect(StatusCode::OK);
    let kinds: Vec<&str> = entries.rows().iter().filter_map(|row| row["kind"].as_str()).collect();
    assert_eq!(kinds, ["allowance", "top_up"]);
    let correction = json!({"corrects": entries.rows()[1]["id"], "amount": "-40", "reference": "invoice-1-typo", "note": "typo"});
    world.post(&world.root, &within("/credits/adjustments"), &correction).await.expect(StatusCode::CREATED);
    let unknown = json!({"corrects": "centry_00000000000000000000000001", "amount": "-40", "reference": "y", "note": "n"});
    world
        .post(&world.root, &within("/credits/adjustments"), &unknown)
        .await
        .refused(422, "unknown_reference");
    assert_eq!(world.get(&tenant.owner, "/credits").await.str("/balance"), "65");
    let ledger = world.get(&tenant.owner, "/ledger").await.expect(StatusCode::OK);
    let sum =
        |name: &str| ledger.rows().iter().find(|row| row["account"] == name).map(|row| row["sum"].clone());
    assert_eq!(
        (sum("credit"), sum("payments"), sum("allowances")),
        (Some(json!("-65")), Some(json!("60")), Some(json!("5")))
    );
    let other = world.tenant("other").await;
    assert_eq!(world.get(&other.owner, "/credits").await.body["enabled"], false);
    assert!(world.get(&other.owner, "/credits/entries").await.rows().is_empty());
}

#[tokio::test]
async fn no_amount_loses_a_digit_at_the_boundaries_of_doubles_and_of_lua() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    // 2^53 - 1, 2^53, 10^14 - 1, 10^14, 10^14 + 1 nano-USD.
    for (n, amount) in [
        "9007199.254740991",
        "9007199.254740992",
        "99999.999999999",
        "100000",
        "100000.000000001",
        "0.000000001",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({"name": format!("b{n}"), "limit": amount, "window": {"every": "month"}});
        let made = world.post(&tenant.owner, "/budgets", &body).await.expect(StatusCode::CREATED);
        assert_eq!(made.str("/limit"), *amount);
        let read = world.get(&tenant.owner, &format!("/budgets/{}", made.str("/id"))).await;
        assert_eq!(read.body["limit"], json!(amount), "text, which JavaScript's numbers could not hold");
    }
    // One nano-USD more than nodes can count, more places than there are, and numbers.
    for limit in [
        json!("9007199.254740993"),
        json!("0.0000000001"),
        json!("-1"),
        json!(1),
        json!(1.5),
        json!("1e3"),
        json!("9223372036854775808"),
        json!(""),
    ] {
        let body = json!({"name": "x", "limit": limit, "window": {"every": "month"}});
        let refused = world.post(&tenant.owner, "/budgets", &body).await;
        assert!(refused.status.is_client_error(), "{limit}: {}", refused.text);
    }
    let within = |path: &str| format!("{path}?organization={}", tenant.id);
    world.patch(&world.root, &within("/credits"), &json!({})).await.expect(StatusCode::OK);
    let top_up = |amount: &str, reference: &str| json!({"amount": amount, "reference": reference});
    world
        .post(&world.root, &within("/credits/top-ups"), &top_up("9007199.254740991", "a"))
        .await
        .expect(StatusCode::CREATED);
    world
        .post(&world.root, &within("/credits/top-ups"), &top_up("0.000000001", "b"))
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(world.get(&tenant.owner, "/credits").await.str("/balance"), "9007199.254740992");
    let beyond = world.post(&world.root, &within("/credits/top-ups"), &top_up("0.000000001", "c")).await;
    assert!(beyond.status.is_client_error(), "{}", beyond.text);
    assert_eq!(world.get(&tenant.owner, "/credits").await.str("/balance"), "9007199.254740992");
}

#[tokio::test]
async fn usage_is_exported_as_csv_focus_and_parquet_or_says_why_not() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let usage = world.get(&tenant.owner, "/usage/export").await.expect(StatusCode::OK);
    assert_eq!(usage.headers["content-type"], "text/csv; charset=utf-8");
    assert!(usage.text.starts_with("start,team_id,team,key_id,key,model,provider,"), "{}", usage.text);
    let focus = world.get(&tenant.owner, "/usage/export?columns=focus").await.expect(StatusCode::OK);
    let head = focus.text.lines().next().unwrap();
    assert_eq!(
        (head.split(',').count(), head.contains("BilledCost"), head.contains("ServiceCategory")),
        (43, true, true)
    );
    let parquet = world.get(&tenant.owner, "/usage/export?format=parquet").await.expect(StatusCode::OK);
    assert!(parquet.text.starts_with("PAR1") && parquet.text.ends_with("PAR1"));
    for (query, field) in [
        ("format=xls", "format"),
        ("columns=all", "columns"),
        ("group_by=weather", "group_by"),
        ("time_zone=Mars", "time_zone"),
    ] {
        let refused = world.get(&tenant.owner, &format!("/usage/export?{query}")).await;
        assert_eq!(refused.refused(400, "invalid_request").fields(), [field]);
    }
    for query in [
        "group_by=user,month",
        "group_by=tag",
        "group_by=credential_type&credential_type=byok",
        "user=ada&tag=a=b&time_zone=Asia/Kolkata",
    ] {
        world.get(&tenant.owner, &format!("/usage?{query}")).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn only_the_platform_rates_again_and_only_within_a_month() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = |to: &str| json!({"from": "2026-11-01T00:00:00Z", "to": to});
    world
        .post(&tenant.owner, "/ledger/rerate", &body("2026-11-02T00:00:00Z"))
        .await
        .refused(403, "forbidden");
    let found =
        world.post(&world.root, "/ledger/rerate", &body("2026-11-02T00:00:00Z")).await.expect(StatusCode::OK);
    assert_eq!((&found.body["lines"], &found.body["differing"]), (&Value::from(0), &Value::from(0)));
    for to in ["2026-11-01T00:00:00Z", "2027-11-01T00:00:00Z"] {
        let refused =
            world.post(&world.root, "/ledger/rerate", &body(to)).await.refused(422, "validation_failed");
        assert_eq!(refused.fields(), ["to"]);
    }
}
