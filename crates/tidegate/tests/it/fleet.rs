//! Three nodes, two control planes, Redis: the main job, and what each part says of it.

use serde_json::json;
use tidegate_testkit::installation::Shape;

use crate::support::{Ask, apps, bill, calls, install, seconds, until, usage, within};

#[tokio::test(flavor = "multi_thread")]
async fn every_call_on_every_node_is_answered_and_on_the_books_to_the_nano_dollar() {
    let installation = install(Shape { control_planes: 2, nodes: 3, ..Shape::default() }).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let mut ids = Vec::new();
    for app in apps(&installation, &key) {
        for ask in Ask::all("Say 12 words") {
            ids.push(app.expect(&ask, 200).await.id());
        }
    }
    let admin = &installation.admin;
    within("usage shows the calls", seconds(10), || async { usage(admin).await.1 == 12 }).await;
    assert_eq!(usage(admin).await.0, bill(&installation).await, "our ledger and the provider's bill");

    let mut recorded: Vec<String> =
        calls(admin).await.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect();
    recorded.sort();
    ids.sort();
    assert_eq!(recorded, ids, "one record for each call, under the id that the caller got");

    let other = admin.at(&installation.control_planes[1].url("management API on ").unwrap());
    for admin in [admin, &other] {
        let ready = || async {
            let fleet = admin.get("/fleet").await.unwrap();
            let nodes = fleet["data"].as_array().unwrap();
            assert_eq!(nodes.len(), 3, "{fleet}");
            nodes.iter().all(|node| {
                let clean = node["rejections"].as_array().is_some_and(Vec::is_empty);
                node["live"] == true && node["lag"] == 0 && clean && node["applied"] == nodes[0]["applied"]
            })
        };
        until("three live nodes are at the same revision", seconds(10), ready).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_of_the_organization_and_of_a_model_hold_over_all_nodes_and_are_named_when_met() {
    let installation = install(Shape { nodes: 2, ..Shape::default() }).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    let (_, second) = installation.key("other", &json!({})).await.unwrap();
    let apps = [apps(&installation, &key), apps(&installation, &second)].concat();
    let admin = &installation.admin;
    let organizations = admin.get("/organizations").await.unwrap();
    let path = format!("/organizations/{}?wait=fleet", organizations["data"][0]["id"].as_str().unwrap());
    let ask = Ask::chat("Say a word");
    let model = ask.model.clone();
    let limited = json!({"limits": {"requests_per_minute": 6}, "model_limits": {model.clone(): {"requests_per_minute": 4}}});
    for (limits, most, named) in [
        (limited, 4, format!("of the organization for model {model}")),
        (
            json!({"limits": {"requests_per_minute": 2}, "model_limits": {model: null}}),
            2,
            "of the organization is".to_owned(),
        ),
    ] {
        admin.patch(&path, &limits).await.unwrap();
        let mut answered = 0;
        let mut messages = Vec::new();
        for number in 0..12 {
            let reply = apps[number % apps.len()].call(&ask).await.unwrap();
            match reply.status {
                200 => answered += 1,
                429 => messages.push(reply.message()),
                other => panic!("{other}: {}", reply.text),
            }
        }
        assert!(answered <= most, "{answered} of {most}");
        assert!(
            messages.len() >= 12 - most && messages.iter().all(|text| text.contains(&named)),
            "{messages:?}"
        );
    }
}
