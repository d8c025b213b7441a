//! Three nodes, two control planes, Redis: the main job, and what each part says of it.

use serde_json::json;
use tidegate_testkit::installation::Shape;

use crate::support::{Ask, apps, bill, calls, install, seconds, until, usage};

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
    until("usage shows the calls", seconds(10), || async { usage(admin).await.1 == 12 }).await;
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
