//! The systemd units' filters of system calls, around the processes that they are for: `deploy/confine` has the kernel
//! refuse what systemd would.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::json;
use tidegate_testkit::host::Host;
use tidegate_testkit::installation::Shape;

use crate::support::{Ask, apps, install, seconds, until};

const CONFINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/confine");

/// What runs a command under a unit's filters.
fn under(unit: &str) -> Vec<String> {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd/").to_owned() + unit;
    vec![CONFINE.to_owned(), unit]
}

/// How a shell's command ends under a unit's filters.
fn ends(unit: &str, command: &str) -> Option<i32> {
    let wrapper = under(unit);
    let ended = Command::new(&wrapper[0]).arg(&wrapper[1]).args(["/bin/sh", "-c", command]).output();
    ended.unwrap().status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn control_plane_and_node_do_all_their_work_under_their_units_filters() {
    let (control, node) = ("tidegate-control-plane.service", "tidegate-node.service");
    // `./test` says so.
    if ends(node, "exit 0") == Some(77) {
        return;
    }
    for unit in [control, node, "tidegate-migrate.service"] {
        assert_eq!(ends(unit, "exit 3"), Some(3), "{unit}");
        // The positive control: what anybody may do to himself, and no unit needs.
        assert_eq!(ends(unit, "renice -n 1 -p $$"), Some(1), "{unit}");
    }
    let unconfined = Command::new("/bin/sh").args(["-c", "renice -n 1 -p $$"]).output().unwrap();
    assert!(unconfined.status.success());
    let host = |unit| Host { wrapper: under(unit), ..Host::default() };
    let hosts = BTreeMap::from([
        ("control-0".to_owned(), host(control)),
        ("node-0".to_owned(), host(node)),
        ("simulator".to_owned(), host(node)),
    ]);
    let mut installation = install(Shape { hosts, ..Shape::default() }).await;
    for program in installation.nodes.iter().chain(&installation.control_planes) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
        let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")).unwrap();
        assert!(filters.trim().parse::<u32>().unwrap() > 1, "the unit's, and the process's own: {filters}");
    }
    let (id, key) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("capped", "10", json!({"key": id})).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    for ask in Ask::all("Hello") {
        app.expect(&ask, 200).await;
    }
    installation.nodes[0].signal("TERM");
    assert!(installation.nodes[0].wait(seconds(60)).await.unwrap(), "it ends in order");
    installation.restart_node(0).await.unwrap();
    let app = apps(&installation, &key).remove(0);
    app.expect(&Ask::chat("Hello"), 200).await;
    installation.restart_control_plane(0).await.unwrap();
    let stored = Ask::all("Hello").len() + 1;
    let booked = || async {
        let count = installation.query("SELECT count(*) FROM call_records").unwrap();
        count[0][0].parse::<usize>().unwrap() >= stored
    };
    until("every call is in the books", seconds(30), booked).await;
}
