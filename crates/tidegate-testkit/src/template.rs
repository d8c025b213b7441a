//! Folders that one test of a run makes and the others copy: `initdb` and the migrations are most of what a story
//! waits for.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shared;

/// Fills the folder `into` with a copy of the run's template `name`, which `make` fills for whoever comes first.
pub(crate) fn copy(name: &str, into: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let run = shared::folder()?;
    let template = run.join(name);
    let lock = File::create(run.join(format!("{name}.lock")))?;
    lock.lock().with_context(|| format!("lock the template {name}"))?;
    if !template.exists() {
        // Beside the run's folder, in which nobody else may look: servers may run as another user.
        let making = tempfile::Builder::new().prefix("tg-template-").tempdir_in(shared::scratch())?;
        make(making.path())?;
        fs::rename(making.keep(), &template)?;
    }
    drop(lock);
    copy_all(&template, into)
}

/// Copies what is in a folder, with its owners and modes.
pub(crate) fn copy_all(from: &Path, into: &Path) -> Result<()> {
    let output = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from.join("."))
        .arg(into)
        .output()
        .context("run cp")?;
    if !output.status.success() {
        bail!("cp: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
