//! The node's state folder: one process at a time, files for its owner only, small files
//! encrypted under the node's own secret.
//!
//! The secret lies in the same folder (0600): this protects backups of single files and what is
//! copied out of them, not a machine that is taken over.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tidegate_secrets::envelope::{self, Aad, DataKey};
use tidegate_telemetry::entropy;
use zeroize::Zeroizing;

use crate::error::NodeError;

/// An open state folder. The lock lasts as long as this value.
pub(crate) struct State {
    folder: PathBuf,
    key: DataKey,
    _lock: File,
}

impl State {
    /// Opens the folder, making it (0700) and its secret when they are missing.
    pub(crate) fn open(folder: &Path) -> Result<Self, NodeError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(NodeError::io("make the state folder"))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(NodeError::io("open the state folder's lock"))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => NodeError::InUse,
            std::fs::TryLockError::Error(error) => NodeError::io("lock the state folder")(error),
        })?;
        let key = DataKey::from_bytes(&*secret(&folder.join("secret"))?);
        Ok(Self { folder: folder.to_owned(), key, _lock: lock })
    }

    /// Reads a sealed file of a folder that another process may be using; changes nothing. `None` when there is no
    /// such file.
    pub(crate) fn peek(folder: &Path, name: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, NodeError> {
        let read = |file: &Path| match std::fs::read(file).map(Zeroizing::new) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NodeError::state(name, error)),
        };
        let Some(sealed) = read(&folder.join(name))? else { return Ok(None) };
        let secret = read(&folder.join("secret"))?.ok_or_else(|| NodeError::state("secret", "it is gone"))?;
        let bytes: &[u8; 32] =
            secret.as_slice().try_into().map_err(|_| NodeError::state("secret", "not 32 bytes"))?;
        let opened = envelope::open(&DataKey::from_bytes(bytes), &aad(name), &sealed);
        opened.map(Some).map_err(|error| NodeError::state(name, error))
    }

    /// A folder or file within.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The key under which the node keeps things on disk.
    pub(crate) fn key(&self) -> &DataKey {
        &self.key
    }

    /// Reads a sealed file; `None` when it does not exist.
    pub(crate) fn read(&self, name: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, NodeError> {
        let sealed = match std::fs::read(self.path(name)) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(NodeError::state(name, error)),
        };
        let opened = envelope::open(&self.key, &aad(name), &sealed);
        opened.map(Some).map_err(|error| NodeError::state(name, error))
    }

    /// Removes a sealed file, durably.
    pub(crate) fn remove(&self, name: &'static str) -> Result<(), NodeError> {
        let removed = match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.and_then(|()| File::open(&self.folder)?.sync_all()),
        };
        removed.map_err(NodeError::io("remove from the state folder"))
    }

    /// Replaces a sealed file, durably.
    pub(crate) fn write(&self, name: &'static str, plain: &[u8]) -> Result<(), NodeError> {
        let sealed = envelope::seal(&self.key, &aad(name), plain).map_err(|e| NodeError::state(name, e))?;
        replace(&self.path(name), &sealed).map_err(NodeError::io("write to the state folder"))
    }
}

fn aad(name: &str) -> Aad {
    Aad::new("node state").with(name)
}

/// Replaces a file as a whole: draft, sync, rename, sync of the folder.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The node's own secret, made at the first start.
fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, NodeError> {
    let mut secret = Zeroizing::new([0; 32]);
    match std::fs::read(path).map(Zeroizing::new) {
        Ok(bytes) => {
            let bytes: &[u8; 32] =
                bytes.as_slice().try_into().map_err(|_| NodeError::state("secret", "not 32 bytes"))?;
            secret.copy_from_slice(bytes);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            entropy::fill(secret.as_mut());
            replace(path, secret.as_ref()).map_err(NodeError::io("write the node's secret"))?;
        }
        Err(error) => return Err(NodeError::io("read the node's secret")(error)),
    }
    Ok(secret)
}
