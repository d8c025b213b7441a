//! A node without a disk of its own starts while the control plane and its database are gone: by the copy of the
//! configuration on a volume.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use tidegate_secrets::copy::{Header, peek};
use tidegate_testkit::installation::Installation;

use crate::monitoring::{rules, target};
use crate::support::{App, Ask, Prometheus, apps, bill, install, nodes, seconds, until, usage};

fn header(copy: &PathBuf) -> Option<Header> {
    peek(File::open(copy).ok()?).ok()
}

/// Waits for a copy that holds everything, of which the nodes have told one another.
async fn published(installation: &Installation, copy: &PathBuf) -> Header {
    let heads = || -> Vec<u64> {
        let rows = installation.query("SELECT n FROM feed_head ORDER BY shard").unwrap();
        rows.iter().map(|row| row[0].parse().unwrap()).collect()
    };
    let whole = || async {
        header(copy).is_some_and(|header| {
            let told =
                installation.redis.as_ref().unwrap().command(&["XRANGE", "tg:{fleet}:copies", "-", "+"]);
            header.positions == heads() && told.unwrap().contains(&header.issued_at.as_micros().to_string())
        })
    };
    until("a copy holds everything, and nodes know of it", seconds(30), whole).await;
    header(copy).unwrap()
}

/// Calls until the budget refuses; how many were served.
async fn spend_all(app: &App) -> u64 {
    let ask = Ask::chat("Say 40 words").at_most(60);
    let mut served = 0;
    for _ in 0..60 {
        match app.call(&ask).await.unwrap().status {
            200 => served += 1,
            402 => return served,
            other => panic!("{other}"),
        }
    }
    panic!("the budget never came to its end");
}

async fn fleet(installation: &Installation) -> Vec<serde_json::Value> {
    installation.admin.get("/fleet").await.unwrap()["data"].as_array().unwrap().clone()
}

/// The control plane and its database are back: all nodes are in the fleet, and everything is on the books once.
async fn come_back(installation: &mut Installation, served: u64) {
    installation.postgres.start_again().unwrap();
    installation.restart_control_plane(0).await.unwrap();
    let there = || async {
        let nodes = fleet(installation).await;
        nodes.len() == 3 && nodes.iter().all(|node| node["live"] == true && node["lag"] == 0)
    };
    until("they are nodes of the fleet", seconds(60), there).await;
    let settled = || async {
        let (charged, requests) = usage(&installation.admin).await;
        requests == served && charged == bill(installation).await
    };
    until("everything is on the books", seconds(60), settled).await;
    let journals =
        || async { fleet(installation).await.iter().all(|node| node["journal_pending_records"] == 0) };
    until("nothing is left to be shipped", seconds(60), journals).await;
    assert!(settled().await, "everything is on the books once");
}

/// An alert is raised where no copy can be written.
async fn is_told_of(installation: &Installation) {
    let scraped = target("tidegate-control", "control-0", &installation.control_planes[0]);
    let sooner = rules(&[("tidegate_copy_age_seconds) > 3600", "tidegate_copy_age_seconds) > 5")]);
    let prometheus = Prometheus::start(&[scraped], &sooner).await;
    let (alert, says) = ("TidegateCopyOld", "newest copy");
    let raised = || async { prometheus.alerts().await.get(alert).is_some_and(|text| text.contains(says)) };
    until("the copy is said to be old", seconds(60), raised).await;
}

async fn is_ready(installation: &Installation, node: usize) {
    let ready = || async { installation.nodes[node].log().contains("node is ready") };
    until("the newest one is taken", seconds(30), ready).await;
}

/// Where nodes reach the control plane.
fn control_port(installation: &Installation) -> u16 {
    let text = std::fs::read_to_string(installation.folder().join("node-0.toml")).unwrap();
    let url = text.lines().find_map(|line| line.strip_prefix("control_plane_url = ")).unwrap();
    url.trim_matches('"').rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_serves_by_the_copy_while_the_control_plane_and_its_database_are_gone() {
    let mut installation = install(nodes(1)).await;
    let copy = installation.publish_copies(1).await.unwrap();
    let (doomed_id, doomed) = installation.key("doomed", &json!({})).await.unwrap();
    let (capped_id, capped) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("cap", "0.002", json!({"key": capped_id})).await.unwrap();
    let ordinary = App::new(&installation.gateway(0).unwrap(), &capped);
    let first = Ask::chat("Say 40 words").at_most(60);
    ordinary.expect(&first, 200).await;
    let mut served = 1;
    published(&installation, &copy).await;
    let old = std::fs::read(&copy).unwrap();
    let (_, free) = installation.key("free", &json!({})).await.unwrap();
    let newest = published(&installation, &copy).await;
    let secret = |text: &str| old.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!secret("doomed") && !secret("acme"), "nothing in it can be read");

    // No further copy can be written: what happens from now on is in none.
    let (folder, aside) = (copy.parent().unwrap(), copy.parent().unwrap().with_extension("aside"));
    // Between the two a control plane that runs would make the folder anew.
    installation.control_planes[0].signal("STOP");
    std::fs::rename(folder, &aside).unwrap();
    std::fs::write(folder, "").unwrap();
    installation.control_planes[0].signal("CONT");
    is_told_of(&installation).await;
    installation.admin.delete(&format!("/keys/{doomed_id}")).await.unwrap();
    let told = || async {
        let words = installation.redis.as_ref().unwrap().command(&["XLEN", "tg:{fleet}:revoked"]).unwrap();
        !words.trim().is_empty() && words.trim() != "0"
    };
    until("the ordinary node has told of the revoked key", seconds(10), told).await;
    assert_eq!(fleet(&installation).await.len(), 1, "reserves are no nodes");
    installation.control_planes[0].kill();
    installation.postgres.kill();
    std::fs::remove_file(folder).unwrap();
    std::fs::rename(&aside, folder).unwrap();
    assert_eq!(header(&copy).unwrap(), newest);

    // Somebody puts an older copy back.
    let kept = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, old).unwrap();
    installation.start_fresh_node(0).unwrap();
    let refused = || async { installation.nodes[1].log().contains("is older than the one of") };
    until("an older copy is refused", seconds(30), refused).await;
    std::fs::write(&copy, kept).unwrap();
    let began = Instant::now();
    is_ready(&installation, 1).await;
    println!("ready {:?} after a good copy was there", began.elapsed());
    // Something takes connections in the control plane's place, and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", control_port(&installation))).unwrap();
    let began = Instant::now();
    installation.start_fresh_node(0).unwrap();
    is_ready(&installation, 2).await;
    println!("ready {:?} after its start beside a control plane that says nothing", began.elapsed());

    let [_, fresh, second] = apps(&installation, &free).try_into().unwrap();
    fresh.expect(&Ask::chat("Hello"), 200).await;
    second.expect(&Ask::chat("Hello"), 200).await;
    served += 2;
    let [_, revoked, there_too] = apps(&installation, &doomed).try_into().unwrap();
    revoked.expect(&Ask::chat("Hello"), 401).await;
    there_too.expect(&Ask::chat("Hello"), 401).await;
    let [_, limited, _] = apps(&installation, &capped).try_into().unwrap();
    served += spend_all(&limited).await;
    // What one has spent the other has not.
    let left = spend_all(&ordinary).await;
    assert!(left <= 1, "the ordinary node had {left} more calls of a budget that was spent");
    served += left;

    drop(silent);
    come_back(&mut installation, served).await;
    revoked.expect(&Ask::chat("Hello"), 401).await;
    fresh.expect(&Ask::chat("Hello"), 200).await;

    // Its identity is its own: it begins by its disk from now on.
    installation.control_planes[0].kill();
    installation.restart_node(1).await.unwrap();
    let again = App::new(&installation.gateway(1).unwrap(), &free);
    again.expect(&Ask::chat("Hello"), 200).await;
}
