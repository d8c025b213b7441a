//! Where server binaries are: on PATH, or in Debian's versioned PostgreSQL folders. What Debian has on PATH is a
//! Perl script that looks there too, and takes longer for it than most tests ask for.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

const WRAPPER: &str = "pg_wrapper";

/// The program with this name: first on PATH, where it is no wrapper, then in the newest PostgreSQL folder that has it.
///
/// # Errors
/// When it is nowhere; the message says what to install.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where not everybody's PATH leads.
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let on_path: Vec<PathBuf> = folders.map(|folder| folder.join(name)).collect();
    let (wrappers, on_path): (Vec<_>, Vec<_>) = on_path.into_iter().partition(|file| is_wrapper(file));
    let mut all = on_path.into_iter().chain(versioned(name)).chain(wrappers);
    let Some(found) = all.find(|file| file.is_file()) else {
        bail!(
            "{name} not found on PATH or in {POSTGRES_VERSIONS}/*/bin: scripts/install postgres redis pgbouncer prometheus"
        );
    };
    Ok(found)
}

fn is_wrapper(file: &Path) -> bool {
    fs::canonicalize(file).is_ok_and(|file| file.file_name().is_some_and(|name| name == WRAPPER))
}

fn versioned(name: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(Path::new(POSTGRES_VERSIONS)).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = folders.map(|folder| folder.path()).collect();
    versions.sort_by_key(|folder| {
        let version =
            folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        std::cmp::Reverse(version.unwrap_or(0))
    });
    versions.into_iter().map(|folder| folder.join("bin").join(name)).collect()
}
