//! `tidegate migrate`: brings the schema up to date, as its owner.

use anyhow::{Context as _, Result};

use crate::config::{Config, required};

/// Whether the configuration has what this command needs.
pub(crate) fn check(config: &Config) -> Result<()> {
    required(config.database.migrate_url.as_ref(), "database.migrate_url").map(|_| ())
}

/// Runs the migrations that are missing; several at once are safe.
pub(crate) async fn run(config: &Config) -> Result<()> {
    let url = required(config.database.migrate_url.as_deref(), "database.migrate_url")?;
    tidegate_store::migrate(url).await.context("migrate the database")?;
    println!("the schema is up to date");
    Ok(())
}
