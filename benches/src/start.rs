//! How long a node takes until it is ready while control plane and Postgres are away: from its own disk, and by the copy of
//! the configuration without one (RELIABILITY P1.2).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tidegate_testkit::installation::{Admin, Installation, Shape};

use crate::process::Usage;

/// From its own disk.
const DISK_GOAL: Duration = Duration::from_secs(2);
/// By the copy, the two seconds included for which it asks the control plane first.
const COPY_GOAL: Duration = Duration::from_secs(5);
/// Starts of each kind; a copy of this bench holds one identity more.
const STARTS: usize = 3;
/// A node that is killed while what it applied is on trial starts, after the second time, by what was good before.
const TRIAL: Duration = Duration::from_secs(35);
/// Requests to the management API at a time.
const LANES: usize = 16;

pub(crate) async fn run(binary: &Path, organizations: usize, keys: usize) -> Result<()> {
    let shape = Shape { nodes: 1, redis: true, ..Shape::default() };
    let mut installation = Installation::start(binary, shape).await?;
    let began = Instant::now();
    let each = keys.div_ceil(organizations.max(1));
    try_join_all((0..LANES).map(|lane| {
        let admin = &installation.admin;
        async move {
            for number in (lane..organizations).step_by(LANES) {
                fill(admin, number, each).await?;
            }
            anyhow::Ok(())
        }
    }))
    .await?;
    println!(
        "{organizations} organizations with a team and {each} keys each made in {} s",
        began.elapsed().as_secs()
    );
    let (_, last) = installation.key("last", &json!({})).await?;
    until_opens(&installation, 0, &last).await?;
    // The first copy holds everything.
    let copy = installation.publish_copies(60).await?;
    until_published(&installation, &copy).await?;
    println!("the copy has {} bytes", copy.metadata()?.len());
    installation.control_planes[0].kill();
    installation.postgres.kill();

    let mut disk = Vec::new();
    for _ in 0..STARTS {
        tokio::time::sleep(TRIAL).await;
        let began = Instant::now();
        installation.start_node(0)?;
        disk.push(until_serves(&installation, 0, &last, began).await?);
    }
    let mut copied = Vec::new();
    for _ in 0..STARTS {
        let (began, node) = (Instant::now(), installation.nodes.len());
        installation.start_fresh_node(0)?;
        copied.push(until_serves(&installation, node, &last, began).await?);
        installation.nodes[node].kill();
    }
    for (what, took, goal) in [("its own disk", disk, DISK_GOAL), ("the copy", copied, COPY_GOAL)] {
        println!("a node serves by {what} after {took:?} (goal: {goal:?})");
        ensure!(took.iter().all(|took| *took <= goal), "{what}: beyond the goal");
    }
    Ok(())
}

/// An organization with a team and its keys.
async fn fill(admin: &Admin, number: usize, keys: usize) -> Result<()> {
    let slug = format!("tenant-{number}");
    let made = admin.post("/organizations", &json!({"slug": slug, "name": slug})).await?;
    let within = format!("organization={}", id(&made)?);
    let team = admin.post(&format!("/teams?{within}"), &json!({"name": "core"})).await?;
    let team = id(&team)?;
    for number in 0..keys {
        let key = json!({"team_id": team, "name": format!("key-{number}")});
        admin.post(&format!("/keys?{within}"), &key).await?;
    }
    Ok(())
}

fn id(made: &Value) -> Result<&str> {
    made["id"].as_str().context("an answer without an id")
}

/// Waits until there is a copy, and nodes have told one another of it over Redis.
async fn until_published(installation: &Installation, copy: &Path) -> Result<()> {
    let redis = installation.redis.as_ref().context("no Redis")?;
    let told = || async {
        copy.exists() && redis.command(&["XLEN", "tg:{fleet}:copies"]).is_ok_and(|said| said != "0")
    };
    Installation::wait_until("nodes know of a copy", Duration::from_secs(300), told).await
}

async fn until_opens(installation: &Installation, node: usize, key: &str) -> Result<()> {
    let url = format!("{}/v1/key", installation.gateway(node)?);
    let client = reqwest::Client::builder().no_proxy().build()?;
    Installation::wait_until("the last key opens", Duration::from_secs(300), || async {
        client.get(&url).bearer_auth(key).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await
}

/// From the start of the process to the first answer to a key.
async fn until_serves(
    installation: &Installation,
    node: usize,
    key: &str,
    began: Instant,
) -> Result<Duration> {
    Installation::wait_until("the node is ready", Duration::from_secs(120), || async {
        installation.nodes[node].log().contains("node is ready")
    })
    .await?;
    until_opens(installation, node, key).await?;
    let took = began.elapsed();
    println!("{took:?}, {} kiB resident", Usage::of(&[installation.nodes[node].pid()]).resident_kib);
    Ok(took)
}
