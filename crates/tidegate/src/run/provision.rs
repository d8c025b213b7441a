//! `tidegate provision`: what an unattended installation needs before anybody signs in.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_admin::AdminError;
use tidegate_types::Secret;

use super::control_plane;
use crate::config::Config;

/// Whom and what to make.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The first platform administrator's e-mail address.
    #[arg(long)]
    email: String,
    /// File with their first password, 12 characters at least.
    #[arg(long)]
    password_file: PathBuf,
    /// File with the seed of the service token with which `tidegate join` fetches join tokens.
    #[arg(long)]
    enroller_seed_file: Option<PathBuf>,
    /// A pool that there shall be; may be given several times.
    #[arg(long)]
    pool: Vec<String>,
}

/// Makes what is not there yet; what is there stays as it is.
pub(crate) async fn run(config: &Config, asked: &Arguments) -> Result<()> {
    let password = read(&asked.password_file)?;
    let seed = asked.enroller_seed_file.as_deref().map(read).transpose()?;
    let store = control_plane::connect(config).await?;
    let kek = control_plane::keyring(config, &store).await?.kek();
    let app = control_plane::open(config, store.clone(), kek, config.control_plane.listen).await?;
    let made = tidegate_admin::first_administrator(&app, &asked.email, password).await;
    report("the first administrator", made)?;
    if let Some(seed) = &seed {
        report("the enroller's service token", tidegate_admin::enroller(&app, seed).await)?;
    }
    for pool in &asked.pool {
        report(&format!("the pool {pool}"), tidegate_admin::pool(&app, pool).await)?;
    }
    store.close().await;
    Ok(())
}

fn report(what: &str, made: Result<(), AdminError>) -> Result<()> {
    match made {
        Ok(()) => println!("{what}: made"),
        Err(AdminError::AlreadyDone) => println!("{what}: there already"),
        Err(error) => return Err(error).with_context(|| format!("make {what}")),
    }
    Ok(())
}

/// The secret in a file.
pub(crate) fn read(file: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    anyhow::ensure!(!text.trim().is_empty(), "{} is empty", file.display());
    Ok(Secret::new(text.trim()))
}
