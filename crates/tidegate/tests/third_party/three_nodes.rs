//! The providers' own SDKs through three nodes: an installation of separate processes, a balancer in front of it, and a
//! file like that of `tidegate dev`, by which the suites of `tests/clients` find it.
//! It needs SUITES, the path of `tests/clients/run`, which runs it.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use tidegate_testkit::installation::Program;

use super::support::{Balancer, install, nodes};

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_own_sdks_through_three_nodes() {
    let suites = std::env::var_os("SUITES").expect("SUITES names the program that runs the suites");
    let installation = install(nodes(3)).await;
    let said = |program: &Program, part: &str| program.url(part).unwrap();
    let gateways: Vec<String> = installation.nodes.iter().map(|node| said(node, "gateway on ")).collect();
    let metrics: Vec<String> = installation.nodes.iter().map(|node| said(node, "metrics on ")).collect();
    let servers: Vec<_> = gateways.iter().cloned().zip(metrics.iter().cloned()).collect();
    let balancer = Balancer::start(&servers).await;
    let (_, key) = installation.key("suites", &json!({})).await.unwrap();
    let values = json!({
        "gateway_url": balancer.url,
        "gateway_urls": gateways,
        "gateway_metrics_urls": metrics,
        "control_url": said(&installation.control_planes[0], "management API on "),
        "simulator_url": said(installation.simulator.as_ref().unwrap(), "listening on "),
        "admin_token": installation.admin.token,
        "virtual_key": key,
        "model": "sim/chat",
    });
    let file = installation.folder().join("installation.json");
    fs::write(&file, values.to_string()).unwrap();
    let ended = Command::new(suites).arg("--nodes").arg(&file).stdin(Stdio::null()).status().unwrap();
    assert!(ended.success(), "the suites say what they met: {ended}");
}
