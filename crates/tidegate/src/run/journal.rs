//! `tidegate journal ship`: gets out what a dead node left on its volume.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use tidegate_node::{Salvage, Salvaged};
use tidegate_telemetry::SystemClock;

use super::node;
use crate::config::Config;

/// What is done with a dead node's journal.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Ships everything that a dead node's state folder holds, exactly once, then ends.
    Ship(Arguments),
}

/// Whose journal.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Configuration file of the node or of another one of its pool (TOML).
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// The dead node's state folder; absent: node.state_dir.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How long to go on.
    #[arg(long, default_value_t = 600)]
    timeout_seconds: u64,
    /// Enrol anew: the control plane does not know the node, since its database was restored to a time
    /// before it joined. Needs a join token or a service account.
    #[arg(long)]
    anew: bool,
    /// Afterwards the node gives up its identity: no budget waits for it, and a later start on this
    /// folder enrols anew.
    #[arg(long)]
    retire: bool,
}

/// Whether the configuration has what this command needs.
pub(crate) fn check(config: &Config) -> Result<()> {
    node::enrolling(config).map(|_| ())
}

/// Ships until nothing is left.
pub(crate) async fn run(config: &Config, asked: Arguments) -> Result<()> {
    let state = asked.dir.unwrap_or_else(|| config.node.state_dir.clone());
    anyhow::ensure!(state.is_dir(), "{} is no folder", state.display());
    let salvage = Salvage {
        state: state.clone(),
        enrolling: node::enrolling(config)?,
        patience: Duration::from_secs(asked.timeout_seconds),
        anew: asked.anew,
        retire: asked.retire,
    };
    let Salvaged { node_id, records, retired } =
        salvage.run(Arc::new(SystemClock)).await.with_context(|| state.display().to_string())?;
    match node_id {
        None => println!("{} holds no journal", state.display()),
        Some(node) => println!("node {node}: {records} records shipped, none left"),
    }
    if retired {
        println!("the node is retired; its volume can be deleted");
    }
    Ok(())
}
