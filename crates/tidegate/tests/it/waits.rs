//! `--wait`: a change is done when every node has it; who has not, and who refuses, is named.

use std::process::{Command, Output};

use serde_json::json;
use tidegate_testkit::installation::Installation;

use crate::support::{binary, install, nodes, seconds, until};

fn team(installation: &Installation, name: &str, more: &[&str]) -> Output {
    let url = installation.control_planes[0].url("management API on ").unwrap();
    let mut command = Command::new(binary());
    command.args(["team", "create", name, "--wait", "--url", &url]).args(more);
    command.env("TIDEGATE_TOKEN", &installation.admin.token).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_names_the_node_that_stands_still_and_the_one_that_refuses() {
    let installation = install(nodes(2)).await;
    let done = team(&installation, "one", &[]);
    assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));

    installation.nodes[1].signal("STOP");
    let late = team(&installation, "two", &["-o", "json"]);
    installation.nodes[1].signal("CONT");
    assert_eq!(late.status.code(), Some(8), "{}", stderr(&late));
    assert!(stderr(&late).contains("not applied: node-1 (node_"), "{}", stderr(&late));
    assert!(!stderr(&late).contains("node-0"), "{}", stderr(&late));
    let answer: serde_json::Value = serde_json::from_slice(&late.stdout).unwrap();
    assert_eq!(
        (&answer["name"], &answer["fleet"]["applied"]),
        (&json!("two"), &json!(false)),
        "it is stored"
    );
    let caught_up = || async {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        fleet["data"].as_array().unwrap().iter().all(|node| node["lag"] == 0)
    };
    until("the node that stood still has it", seconds(15), caught_up).await;

    // A version that nodes cannot compile, as a newer control plane might store: past the API's checks.
    let spoil = "WITH head AS (UPDATE feed_head h SET n = h.n + 1 FROM organizations o JOIN config_resources c USING (organization_id)
                     WHERE o.slug = 'acme' AND c.kind = 'organization' AND h.shard = c.shard RETURNING h.n, c.organization_id)
                 UPDATE config_resources c SET content = jsonb_set(content, '{time_zone}', '\"Mars/Olympus\"'), n = head.n
                 FROM head WHERE c.organization_id = head.organization_id AND c.kind = 'organization'";
    installation.sql(spoil).unwrap();
    let refused = team(&installation, "three", &[]);
    assert_eq!(refused.status.code(), Some(8), "{}", stderr(&refused));
    for node in ["node-0", "node-1"] {
        let line = format!("rejected: {node} (node_");
        let said = stderr(&refused);
        let line = said.lines().find(|said| said.starts_with(&line)).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("refuses organization org_") && line.contains("time_zone"), "{line}");
    }
}
