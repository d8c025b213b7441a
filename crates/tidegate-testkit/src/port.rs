//! Free TCP ports, each for one test process alone.
//!
//! Between the choice of a port and the server's start, and while a server is down in the middle of a story,
//! nobody listens on it: what keeps the other tests of the machine away is a lock on a file named like the port.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Below what systems give to connections that go out, so that none of them takes the port of a server that
/// is down for a moment.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A TCP port of 127.0.0.1 on which nobody listens at this moment, and that no other test process gets before
/// this one ends.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    let folder = folder()?;
    for attempt in 0..1_000_u64 {
        let drawn = RandomState::new().hash_one(attempt) % u64::from(COUNT);
        let port = FIRST + u16::try_from(drawn)?;
        if reserve(&folder, port)? && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Takes the port's lock until this process ends; false when somebody has it, this process too.
fn reserve(folder: &Path, port: u16) -> Result<bool> {
    let file = File::create(folder.join(port.to_string())).context("make a port's lock")?;
    match file.try_lock() {
        Ok(()) => {
            // Closed, and so unlocked, by the end of the process.
            std::mem::forget(file);
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).context("lock a port"),
    }
}

/// The folder of the locks: this user's, the same for all runs on this machine.
fn folder() -> Result<PathBuf> {
    let user = fs::metadata("/proc/self")?.uid();
    let folder = std::env::temp_dir().join(format!("tg-ports-{user}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).context("make a folder")
        }
        _ => Ok(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let folder = folder().expect("a folder");
        let port = free().expect("a port");
        assert!(!reserve(&folder, port).expect("a lock that can be asked for"), "it is taken");
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "though nobody listens there");
        let another = (FIRST..FIRST + COUNT).find(|port| reserve(&folder, *port).expect("a lock"));
        assert!(another.is_some(), "others can be had");
    }
}
