//! `tidegate bootstrap`: the first platform administrator, once.

use anyhow::{Context as _, Result};

use super::control_plane;
use crate::config::Config;

/// Makes the administrator and prints the single-use sign-in link.
pub(crate) async fn run(config: &Config, email: &str) -> Result<()> {
    let store = control_plane::connect(config).await?;
    let kek = control_plane::keyring(config, &store).await?.kek();
    let app = control_plane::open(config, store.clone(), kek, config.control_plane.listen).await?;
    let link = tidegate_admin::bootstrap(&app, email).await.context("bootstrap")?;
    println!("{}", link.expose());
    eprintln!("Use it within a day, once: `tidegate session redeem LINK` asks for a password and signs in.");
    store.close().await;
    Ok(())
}
