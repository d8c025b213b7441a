//! What `tidegate dev` keeps in its state folder: secrets made once, and the lock.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tidegate_telemetry::entropy;

/// The state folder, locked by this process.
pub(crate) struct State {
    folder: PathBuf,
    pub(crate) secrets: Secrets,
    // Freed by the kernel when the process ends, however it ends.
    _lock: File,
    // Removed at the end, with --ephemeral.
    _throw_away: Option<TempDir>,
}

/// Secrets of one installation, made at its first start and never printed by default.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) superuser_password: String,
    pub(crate) owner_password: String,
    pub(crate) app_password: String,
    pub(crate) feed_password: String,
    /// The key-encryption key, as `tidegate keygen` writes it.
    pub(crate) key_encryption_key: String,
    pub(crate) admin_password: String,
    /// Made by the control plane at the first start.
    #[serde(default)]
    pub(crate) admin_token: Option<String>,
    /// Made by the control plane at the first start.
    #[serde(default)]
    pub(crate) virtual_key: Option<String>,
    /// Where the simulator listened, so that the catalogue stays true.
    #[serde(default)]
    pub(crate) simulator_port: Option<u16>,
    /// By provider: what its key in the environment is known by. Not the key.
    #[serde(default)]
    pub(crate) provider_keys: BTreeMap<String, String>,
}

impl State {
    /// Opens the folder, or makes it.
    pub(crate) fn open(folder: &Path, ephemeral: bool) -> Result<Self> {
        let throw_away =
            if ephemeral { Some(tempfile::Builder::new().prefix("tidegate-dev-").tempdir()?) } else { None };
        let folder = throw_away.as_ref().map_or(folder, TempDir::path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("make the state folder {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let lock = private_file(&folder.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!(
                "another tidegate dev is using {}; give this one its own with --state DIR",
                folder.display()
            );
        }
        let secrets = match fs::read(folder.join("secrets.json")) {
            Ok(text) => serde_json::from_slice(&text).context("read secrets.json of the state folder")?,
            Err(_) => Secrets::generate(),
        };
        let state = Self { folder, secrets, _lock: lock, _throw_away: throw_away };
        state.save()?;
        Ok(state)
    }

    /// The folder's absolute path.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the secrets, whole or not at all.
    pub(crate) fn save(&self) -> Result<()> {
        write_private(&self.folder.join("secrets.json"), &serde_json::to_vec_pretty(&self.secrets)?)
    }
}

impl Secrets {
    fn generate() -> Self {
        Self {
            superuser_password: random_hex(16),
            owner_password: random_hex(16),
            app_password: random_hex(16),
            feed_password: random_hex(16),
            key_encryption_key: tidegate_secrets::keygen::key_encryption_key().expose().to_owned(),
            admin_password: random_hex(12),
            admin_token: None,
            virtual_key: None,
            simulator_port: None,
            provider_keys: BTreeMap::new(),
        }
    }
}

/// So many random bytes as hexadecimal text.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut raw = vec![0u8; bytes];
    entropy::fill(&mut raw);
    raw.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn private_file(path: &Path) -> Result<File> {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.with_context(|| format!("open {}", path.display()))
}

/// Writes a file that only its owner can read, by way of a temporary one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = private_file(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path).with_context(|| format!("write {}", path.display()))
}
