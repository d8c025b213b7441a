//! From the commit of a revocation to the first refusal, on every node.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use tidegate_testkit::installation::{Installation, Shape};

/// What p99 may be, in milliseconds; beyond it the run fails.
const GOAL_MS: u128 = 1_000;

pub(crate) async fn run(binary: &Path, keys: usize, nodes: usize) -> Result<()> {
    let installation = Installation::start(binary, Shape { nodes, ..Shape::default() }).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut latencies = Vec::new();
    for number in 0..keys {
        let (id, key) = installation.key(&format!("revoke-{number}"), &json!({})).await?;
        installation.admin.delete(&format!("/keys/{id}")).await?;
        // The answer to the revocation is sent after its commit.
        let committed = Instant::now();
        for node in 0..nodes {
            let url = format!("{}/v1/key", installation.gateway(node)?);
            while client.get(&url).bearer_auth(&key).send().await?.status() != 401 {
                anyhow::ensure!(
                    committed.elapsed() < Duration::from_secs(30),
                    "a revoked key still works after 30 s"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        latencies.push(committed.elapsed());
    }
    latencies.sort();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_millis();
    println!(
        "revocation, commit to refusal on all {nodes} nodes, {keys} keys: p50 {} ms, p90 {} ms, p99 {} ms, max {} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    anyhow::ensure!(at(0.99) <= GOAL_MS, "p99 is beyond the goal of {GOAL_MS} ms");
    Ok(())
}
