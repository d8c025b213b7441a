//! A database that was restored to an earlier day, under nodes that know of later changes.

use serde_json::json;
use tidegate_testkit::installation::Installation;

use crate::disaster::{dump, restore, tidegate};
use crate::support::{App, Ask, apps, install, nodes, seconds, until};

/// The secret that the provider saw last.
async fn seen(installation: &Installation) -> String {
    let journal = installation.simulator_get("/journal").await.unwrap();
    let headers = journal.as_array().unwrap().last().unwrap()["headers"].as_array().unwrap().clone();
    let signed = headers.iter().find(|header| header[0] == "authorization");
    signed.and_then(|header| header[1].as_str()).unwrap_or_default().trim_start_matches("Bearer ").to_owned()
}

/// Calls, until they come with this secret.
async fn comes_with(installation: &Installation, app: &App, secret: &str) {
    let comes = || async {
        app.expect(&Ask::chat("Hello"), 200).await;
        seen(installation).await == secret
    };
    until("calls come with the newest secret", seconds(10), comes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_go_on_over_a_restore_hear_of_every_change_after_it() {
    let mut installation = install(nodes(2)).await;
    let own = json!({"name": "own", "provider": "sim-openai", "scope": "organization", "secret": {"api_key": "sk-first"}});
    let own = installation.admin.post("/credentials", &own).await.unwrap()["id"].as_str().unwrap().to_owned();
    let policy = json!({"name": "own", "allow_providers": ["sim-openai"], "allow_system_credentials": false});
    installation.admin.post("/policies?wait=fleet", &policy).await.unwrap();
    let key = async |installation: &Installation, name: &str| {
        let (id, key) = installation.key(name, &json!({})).await.unwrap();
        (id, apps(installation, &key))
    };
    let (first, to_revoke) = key(&installation, "to revoke").await;
    let (_, stays) = key(&installation, "stays").await;
    let (gone, revoked) = key(&installation, "revoked after the dump").await;
    let file = installation.folder().join("backup.dump");
    dump(&installation, &file);

    // Changes that will be lost: nodes have heard of them, and hold later numbers of them than the database will have.
    for name in ["renamed", "again", "and again"] {
        let path = format!("/keys/{first}");
        installation.admin.patch(&path, &json!({"name": name})).await.unwrap();
    }
    installation.admin.delete(&format!("/keys/{gone}")).await.unwrap();
    let secret = |secret: &str| json!({"secret": {"api_key": secret}});
    installation.admin.patch(&format!("/credentials/{own}"), &secret("sk-lost")).await.unwrap();
    let (_, late) = key(&installation, "issued after the dump").await;
    let status = |app: &App, wanted: u16| {
        let app = app.clone();
        move || {
            let app = app.clone();
            async move { app.status().await == wanted }
        }
    };
    for node in 0..2 {
        until("it is refused", seconds(5), status(&revoked[node], 401)).await;
        until("it is served", seconds(5), status(&late[node], 200)).await;
        comes_with(&installation, &stays[node], "sk-lost").await;
    }

    // One node goes on; the other one is down, and comes when the database has counted beyond what it holds.
    installation.control_planes[0].kill();
    installation.nodes[1].kill();
    installation.postgres.stop();
    restore(&mut installation, &file);
    let config = installation.folder().join("control-0.toml").to_string_lossy().into_owned();
    tidegate(&installation, &["migrate", "--config", &config], &[]);
    installation.restart_control_plane(0).await.unwrap();
    installation.admin.delete(&format!("/keys/{first}")).await.unwrap();
    installation.admin.patch(&format!("/credentials/{own}"), &secret("sk-new")).await.unwrap();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        installation.key(name, &json!({})).await.unwrap();
    }
    installation.restart_node(1).await.unwrap();
    for node in 0..2 {
        until("what is revoked now is refused", seconds(5), status(&to_revoke[node], 401)).await;
        comes_with(&installation, &stays[node], "sk-new").await;
        assert_eq!(revoked[node].status().await, 401, "what was revoked is not taken back");
        until("what the database has not is gone", seconds(30), status(&late[node], 401)).await;
    }
    let there = || async {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        fleet["data"].as_array().unwrap().iter().all(|node| node["live"] == true && node["lag"] == 0)
    };
    until("both nodes have everything", seconds(30), there).await;
}
