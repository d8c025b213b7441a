//! The key-encryption key: whoever keeps it wraps and opens, and opens what the database has.

use anyhow::{Context as _, Result, ensure};
use std::sync::Arc;

use tidegate_keyring::Keyring;
use tidegate_secrets::kek::KeyWrapper;
use tidegate_secrets::places;
use tidegate_telemetry::SystemClock;

use super::finding::Findings;
use crate::config::Config;
use crate::run::{control_plane, keeper};

/// Looks at the keeper, and, when the database may be used, at what is sealed.
pub(super) async fn look(config: &Config, database: bool, findings: &mut Findings) {
    let Ok(wrappers) = keeper::wrappers(&config.encryption) else { return };
    match wraps(&*wrappers.current).await {
        Ok(name) => findings.ok("encryption keeper", format!("{name} wraps and opens")),
        Err(error) => findings.failed(
            "encryption keeper",
            format!("{error:#}"),
            "look at address, key name and rights of the key's keeper",
        ),
    }
    if !database {
        findings.warning(
            "encryption sealed",
            "not looked at: the database cannot be used yet",
            "look again once it can",
        );
        return;
    }
    let opened = async {
        let store = control_plane::connect(config).await?;
        let opened = Keyring::examine(store.clone(), Arc::new(SystemClock), wrappers).await;
        store.close().await;
        anyhow::Ok(opened?)
    };
    match opened.await {
        Ok(0) => findings.ok("encryption sealed", "nothing is sealed yet"),
        Ok(count) => findings.ok("encryption sealed", format!("opens all {count} keys in the database")),
        Err(error) => findings.failed(
            "encryption sealed",
            format!("does not open what the database has: {error:#}"),
            "give the key that sealed it, also as encryption.previous_…; without it no credential can be read",
        ),
    }
}

async fn wraps(keeper: &dyn KeyWrapper) -> Result<String> {
    let (place, probe) = (places::installation("doctor"), [7; 32]);
    let wrapped = keeper.wrap(&place, &probe).await.context("it wraps nothing")?;
    let opened = keeper.unwrap(&place, &wrapped).await.context("it does not open what it wrapped")?;
    ensure!(opened.as_slice() == probe, "it opens something else than it wrapped");
    Ok(keeper.name())
}
