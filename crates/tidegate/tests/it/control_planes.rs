//! Two control planes at once.

use serde_json::json;
use tidegate_testkit::installation::Shape;

use crate::support::{App, Ask, apps, bill, install, seconds, until, usage};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_at_either_control_plane_is_on_every_node_and_either_may_die() {
    // The first node has connected to the first control plane, the second to the second.
    let mut installation = install(Shape { control_planes: 2, nodes: 2, ..Shape::default() }).await;
    let second = installation.admin.at(&installation.control_planes[1].url("management API on ").unwrap());
    let (id, key) = installation.key("first", &json!({})).await.unwrap();
    let body = json!({"team_id": installation.team, "name": "second"});
    let other = second.post("/keys?wait=fleet", &body).await.unwrap();
    let other = other["key"].as_str().unwrap().to_owned();
    let both: Vec<App> = apps(&installation, &key).into_iter().chain(apps(&installation, &other)).collect();
    for app in &both {
        app.expect(&Ask::chat("Hello"), 200).await;
    }

    installation.control_planes[0].kill();
    for app in &both {
        app.expect(&Ask::chat("Hello"), 200).await;
    }
    second.delete(&format!("/keys/{id}")).await.unwrap();
    let refused = || async { both[1].status().await == 401 };
    until("the node of the other control plane follows", seconds(5), refused).await;
    both[0].expect(&Ask::chat("Hello"), 200).await;

    installation.restart_control_plane(0).await.unwrap();
    let refused = || async { both[0].status().await == 401 };
    until("the node catches up when its own is back", seconds(15), refused).await;
    let agree = || async { usage(&second).await.0 == bill(&installation).await };
    until("every call is on the books", seconds(15), agree).await;
}
