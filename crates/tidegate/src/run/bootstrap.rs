//! `tidegate bootstrap`: the first platform administrator, once.

use anyhow::{Context as _, Result};

use super::control_plane;
use crate::config::Config;

/// Makes the administrator and prints the single-use sign-in link.
pub(crate) async fn run(config: &Config, email: &str) -> Result<()> {
    let store = control_plane::connect(config).await?;
    let app = control_plane::open(config, store.clone(), config.control_plane.listen).await?;
    let link = tidegate_admin::bootstrap(&app, email).await.context("bootstrap")?;
    println!("{}", link.expose());
    eprintln!("Open it within a day to choose a password; it works once.");
    store.close().await;
    Ok(())
}
