//! Two pools with a Redis and a node each: who is served where, and that a cap holds over a move.

use std::time::Instant;

use serde_json::json;
use tidegate_testkit::installation::Installation;
use tidegate_testkit::process::PATIENCE;

use crate::support::{App, Ask, bill, install, nano, nodes, seconds, until, usage};

/// The organization's own path.
async fn organization(installation: &Installation) -> String {
    let list = installation.admin.get("/organizations").await.unwrap();
    let acme = list["data"].as_array().unwrap().iter().find(|row| row["slug"] == "acme").unwrap();
    format!("/organizations/{}", acme["id"].as_str().unwrap())
}

/// Two pools: node 0 is in `default`, node 1 in `eu`.
async fn two_pools() -> Installation {
    let mut installation = install(nodes(1)).await;
    installation.add_pool("eu").await.unwrap();
    installation.add_node_in("eu").await.unwrap();
    installation
}

async fn place(installation: &Installation, pools: &[&str]) {
    let path = format!("{}?wait=fleet", organization(installation).await);
    let placed = installation.admin.patch(&path, &json!({"pools": pools})).await.unwrap();
    assert_eq!(placed["pools"], json!(pools));
    assert_eq!(placed["fleet"]["applied"], true, "{placed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_served_by_its_pools_and_by_no_other() {
    let installation = two_pools().await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let [here, there] = [0, 1].map(|node| App::new(&installation.gateway(node).unwrap(), &key));
    here.expect(&Ask::chat("Hello"), 200).await;
    there.expect(&Ask::chat("Hello"), 401).await;

    // In both: the operator's credentials, sealed before the pool was there, open in it as well.
    place(&installation, &["default", "eu"]).await;
    for app in [&here, &there] {
        for ask in Ask::all("Say 5 words") {
            app.expect(&ask, 200).await;
        }
    }
    place(&installation, &["eu"]).await;
    here.expect(&Ask::chat("Hello"), 401).await;
    there.expect(&Ask::chat("Hello"), 200).await;
    let admin = &installation.admin;
    until("usage shows the calls", seconds(10), || async { usage(admin).await.1 == 10 }).await;
    assert_eq!(usage(admin).await.0, bill(&installation).await, "our ledger and the provider's bill");
    let ready = || async {
        let fleet = admin.get("/fleet").await.unwrap();
        let nodes = fleet["data"].as_array().unwrap();
        nodes.iter().all(|node| node["lag"] == 0 && node["rejections"].as_array().unwrap().is_empty())
    };
    until("nodes of both pools have everything", seconds(10), ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_budget_has_one_pool_and_holds_when_its_organization_moves() {
    let installation = two_pools().await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let [here, there] = [0, 1].map(|node| App::new(&installation.gateway(node).unwrap(), &key));
    let limit = "0.001";
    let budget = installation.budget("cap", limit, json!({"key": id})).await.unwrap();
    let path = organization(&installation).await;
    let both = json!({"pools": ["default", "eu"]});
    let (status, refused) =
        installation.admin.send(reqwest::Method::PATCH, &path, Some(&both)).await.unwrap();
    assert_eq!((status, &refused["code"]), (422, &json!("hard_budget_needs_one_pool")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("\"cap\""), "{refused}");

    // About half of it is spent at home; then the organization moves, with a call still running.
    let ask = Ask::chat("Say 40 words").at_most(60);
    for _ in 0..4 {
        here.expect(&ask, 200).await;
    }
    place(&installation, &["eu"]).await;
    here.expect(&ask, 401).await;
    let (mut refused, began) = (0, Instant::now());
    while refused <= 3 {
        assert!(began.elapsed() < PATIENCE, "the budget never came to its end");
        let reply = there.call(&ask).await.unwrap();
        match reply.status {
            200 => {}
            402 => refused += 1,
            // The counters open once the old pool's nodes have said that they shipped.
            503 => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
            other => panic!("{other}: {}", reply.text),
        }
    }
    let spend = &installation.admin.get(&format!("/budgets/{budget}")).await.unwrap()["spend"];
    let (spent, billed) = (nano(&spend["spent"]), bill(&installation).await);
    assert!(billed <= 1_000_000, "{billed} nano-dollars were billed under a cap of {limit}");
    assert!(spent > 0 && spent <= 1_000_000, "{spent}");

    // While two pools serve it, no budget of it becomes hard.
    let lapse = json!({"enforcement": "soft"});
    installation.admin.patch(&format!("/budgets/{budget}"), &lapse).await.unwrap();
    place(&installation, &["eu", "default"]).await;
    let hard = json!({"enforcement": "hard"});
    let patch = reqwest::Method::PATCH;
    let (status, refused) =
        installation.admin.send(patch, &format!("/budgets/{budget}"), Some(&hard)).await.unwrap();
    assert_eq!((status, &refused["code"]), (422, &json!("hard_budget_needs_one_pool")), "{refused}");
    for app in [&here, &there] {
        app.expect(&ask, 200).await;
    }
}
