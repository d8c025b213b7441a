//! Keys that are revoked while a node cannot hear the control plane.

use serde_json::json;
use tidegate_testkit::installation::{Line, Shape};

use crate::support::{App, Ask, apps, install, nodes, seconds, until, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_hear_the_control_plane_refuses_a_revoked_key_by_the_others_word() {
    let mut installation = install(Shape { lines: true, ..nodes(2) }).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let (_, stays) = installation.key("stays", &json!({})).await.unwrap();
    let [revoked, others] = [key, stays].map(|key| apps(&installation, &key));
    for app in revoked.iter().chain(&others) {
        app.expect(&Ask::chat("Hello"), 200).await;
    }
    installation.lines.to_control[1].set(Line::Silent);
    installation.admin.delete(&format!("/keys/{id}")).await.unwrap();
    let refused = |app: &App| {
        let app = app.clone();
        move || {
            let app = app.clone();
            async move { app.status().await == 401 }
        }
    };
    within("whoever hears the control plane refuses it", seconds(5), refused(&revoked[0])).await;
    within("so does who does not", seconds(10), refused(&revoked[1])).await;
    others[1].expect(&Ask::chat("Hello"), 200).await;

    // Its disk has the key as it was.
    installation.restart_node(1).await.unwrap();
    within("also when it starts by its disk", seconds(10), refused(&revoked[1])).await;
    others[1].expect(&Ask::chat("Hello"), 200).await;

    installation.lines.to_control[1].set(Line::Open);
    let there = || async {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        fleet["data"].as_array().unwrap().iter().all(|node| node["live"] == true && node["lag"] == 0)
    };
    until("it hears the control plane again", seconds(30), there).await;
    revoked[1].expect(&Ask::chat("Hello"), 401).await;
    others[1].expect(&Ask::chat("Hello"), 200).await;
}
