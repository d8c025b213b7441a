//! `tidegate doctor`: looks at everything that a configuration names, one thing after the other, before and after
//! an installation: what was seen, and what to do. Leaves nothing behind, prints no secret, asks only whom the
//! configuration or the caller names.

mod clock;
mod cluster;
mod counters;
mod database;
mod files;
mod finding;
mod keys;
mod outside;
mod plane;
mod state;
mod validity;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use self::finding::Findings;
use super::{control_plane, node};
use crate::config::Config;

/// What to look at.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration file (TOML) of a control plane or a node; the environment counts as it does for them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A URL that must be reachable as providers are (address table, proxy, roots); may be repeated.
    #[arg(long, value_name = "URL")]
    reach: Vec<String>,
    /// One JSON object in place of lines.
    #[arg(long)]
    json: bool,
}

/// Looks at everything; the exit code is 1 when something failed.
pub(crate) async fn run(asked: &Arguments) -> Result<ExitCode> {
    let mut findings = Findings::default();
    match Config::load(asked.config.as_deref()) {
        Ok(config) => look(&config, asked, &mut findings).await,
        Err(error) => findings.failed(
            "configuration",
            format!("{error:#}"),
            "mend the file or the environment; docs/configuration.md has every key",
        ),
    }
    match asked.json {
        true => println!("{}", serde_json::to_string_pretty(&findings)?),
        false => print!("{}", findings.text()),
    }
    Ok(if findings.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look(config: &Config, asked: &Arguments, findings: &mut Findings) {
    let database = &config.database;
    let controls = database.url.is_some() || database.feed_url.is_some();
    let serves = config.node.control_plane_url.is_some();
    if !controls && !serves {
        findings.failed(
            "configuration",
            "neither database.url nor node.control_plane_url is given",
            "give the configuration of a control plane or of a node",
        );
    }
    if let Some(file) = &asked.config {
        files::exposed(file, findings);
    }
    if controls {
        settings("control plane", control_plane::check(config), findings);
        let reached = database::look(database, findings).await;
        keys::look(config, reached, findings).await;
        files::service_account(config, findings);
        let plane = &config.control_plane;
        for (key, address) in [
            ("control_plane.listen", plane.listen),
            ("control_plane.grpc_listen", plane.grpc_listen),
            ("control_plane.metrics_listen", plane.metrics_listen),
        ] {
            outside::port(key, address, findings).await;
        }
    }
    if serves {
        settings("node", node::check(config), findings);
        counters::look(&config.redis, findings).await;
        state::look(&config.node, findings);
        plane::look(&config.node, findings).await;
        files::gateway_tls(config, findings);
        for (key, address) in
            [("node.listen", config.node.listen), ("node.metrics_listen", config.node.metrics_listen)]
        {
            outside::port(key, address, findings).await;
        }
    }
    outside::proxy(&config.upstream, findings).await;
    for url in &asked.reach {
        outside::reach(&config.upstream, url, findings).await;
    }
}

/// What the process itself checks before it starts: keys, files and secrets that it reads.
fn settings(whose: &str, checked: Result<()>, findings: &mut Findings) {
    match checked {
        Ok(()) => findings
            .ok("configuration", format!("a {whose}'s; every file and secret that it names can be read")),
        Err(error) => findings.failed(
            "configuration",
            format!("{error:#}"),
            format!("without this no {whose} starts; docs/configuration.md has every key"),
        ),
    }
}
