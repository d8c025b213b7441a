//! Who keeps the root keys, by the configuration: a key in a file or in the environment, Vault, or AWS KMS.

mod kms;
mod vault;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidegate_keyring::Wrappers;
use tidegate_secrets::SecretsError;
use tidegate_secrets::kek::{KeyWrapper, RootKey};
use zeroize::Zeroizing;

use super::roots::Rooted;
use crate::config::{Encryption, required, secret};

/// For one question to a keeper elsewhere.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Its answers are a few kilobytes at most.
const MOST: usize = 64 * 1024;

/// Whoever keeps root keys, and kept them before.
pub(crate) fn wrappers(config: &Encryption) -> Result<Wrappers> {
    let elsewhere = [config.vault.is_some(), config.kms.is_some()];
    let given = [config.key.is_some(), config.key_file.is_some()].into_iter().chain(elsewhere);
    ensure!(
        given.filter(|given| *given).count() <= 1,
        "configuration: give one of encryption.key, encryption.key_file, encryption.vault and encryption.kms"
    );
    let mut local = Vec::new();
    let current: Arc<dyn KeyWrapper> = match (&config.vault, &config.kms) {
        (Some(vault), _) => Arc::new(vault::Transit::new(vault).context("encryption.vault")?),
        (None, Some(kms)) => Arc::new(kms::Kms::new(kms).context("encryption.kms")?),
        (None, None) => {
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
    if let Some(kms) = &config.previous_kms {
        previous.push(Arc::new(kms::Kms::new(kms).context("encryption.previous_kms")?));
    }
    Ok(Wrappers { current, previous, local })
}

/// For a keeper elsewhere: no redirects, no proxy from the environment.
fn client(ca_file: Option<&Path>) -> Result<Rooted> {
    Rooted::new(ca_file, "ca_file", |roots| {
        let builder = reqwest::Client::builder();
        let builder = builder.timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
        let roots = roots.into_iter().flatten();
        roots.fold(builder, reqwest::ClientBuilder::add_root_certificate).build()
    })
}

/// The address of a keeper elsewhere, without a slash at its end.
fn address(text: &str) -> Result<String> {
    let address = text.trim_end_matches('/').to_owned();
    let local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    ensure!(
        address.starts_with("https://") || local.iter().any(|local| address.starts_with(local)),
        "address must be https://… (plain http to this machine only)"
    );
    Ok(address)
}

/// A token or a key as it lies in a file now.
fn read(file: &Path) -> Result<Zeroizing<String>, SecretsError> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|_| SecretsError::Wrapper("the file with its token or key cannot be read"))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
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
