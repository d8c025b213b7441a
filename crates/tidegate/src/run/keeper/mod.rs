//! Who keeps the root keys, by the configuration: a key in a file or in the environment, or Vault.

mod vault;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tidegate_keyring::Wrappers;
use tidegate_secrets::kek::{KeyWrapper, RootKey};

use crate::config::{Encryption, required, secret};

/// Whoever keeps root keys, and kept them before.
pub(crate) fn wrappers(config: &Encryption) -> Result<Wrappers> {
    let given = [config.key.is_some(), config.key_file.is_some(), config.vault.is_some()];
    ensure!(
        given.into_iter().filter(|given| *given).count() <= 1,
        "configuration: give one of encryption.key, encryption.key_file and encryption.vault"
    );
    let mut local = Vec::new();
    let current: Arc<dyn KeyWrapper> = match &config.vault {
        Some(vault) => Arc::new(vault::Transit::new(vault).context("encryption.vault")?),
        None => {
            let key = present_key(config)?;
            local.push(key.clone());
            Arc::new(key)
        }
    };
    let mut previous: Vec<Arc<dyn KeyWrapper>> = Vec::new();
    for path in &config.previous_key_files {
        let key = file(path, "encryption.previous_key_files")?;
        local.push(key.clone());
        previous.push(Arc::new(key));
    }
    if let Some(text) = secret(config.previous_key.as_deref(), None, "encryption.previous_key")? {
        let key = RootKey::from_secret(&text).context("encryption.previous_key")?;
        local.push(key.clone());
        previous.push(Arc::new(key));
    }
    if let Some(vault) = &config.previous_vault {
        previous.push(Arc::new(vault::Transit::new(vault).context("encryption.previous_vault")?));
    }
    Ok(Wrappers { current, previous, local })
}

fn present_key(config: &Encryption) -> Result<RootKey> {
    if let Some(path) = &config.key_file {
        return file(path, "encryption.key_file");
    }
    let text = secret(config.key.as_deref(), None, "encryption.key")?;
    let text = required(text, "encryption.key_file (make one with `tidegate keygen`)")?;
    RootKey::from_secret(&text).context("encryption.key")
}

fn file(path: &Path, key: &str) -> Result<RootKey> {
    RootKey::from_file(path).with_context(|| format!("{key} {}", path.display()))
}
