//! `tidegate simulator`: simulated providers, for trials and tests.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tidegate_simulator::{Settings, Simulator};
use tokio_util::task::TaskTracker;

use crate::shutdown;

/// Serves until a signal comes.
pub(crate) async fn run(listen: SocketAddr) -> Result<()> {
    let tasks = TaskTracker::new();
    let stop = shutdown::on_signal(&tasks)?;
    let simulator = Simulator::start(listen, Settings::default()).await.context("start the simulator")?;
    println!("listening on {}", simulator.url());
    stop.cancelled().await;
    simulator.stop().await;
    Ok(())
}
