//! Child processes that do not outlive their test.
//!
//! A small shell beside each server ends it when the guarded process is gone, so that a
//! test killed by its runner leaves nothing behind. Signals go through `kill`, because the
//! workspace has no unsafe code.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use anyhow::{Result, bail};

/// Waits while process $1 lives, then kills $2 and removes the folder $3.
const WATCH: &str = r#"
while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 1; done
kill -0 "$1" 2>/dev/null && exit 0
kill -9 "$2" 2>/dev/null
rm -rf "$3"
"#;

/// Waits while process $1 lives, then removes the folder $2.
const WATCH_FOLDER: &str = r#"
while kill -0 "$1" 2>/dev/null; do sleep 1; done
rm -rf "$2"
"#;

/// How long a state is waited for. No promise of speed: it only ends what would wait for ever, on a machine that
/// is many times slower than usual too.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Sends a signal, for example `STOP`. False when there is no such process.
#[must_use]
pub fn signal(pid: u32, name: &str) -> bool {
    let sent =
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    sent.is_ok_and(|status| status.success())
}

/// Ends process `server` and removes `folder` once process `guarded` is gone.
pub(crate) fn watch(guarded: u32, server: u32, folder: &Path) -> Result<()> {
    beside(WATCH, &[guarded, server], folder)
}

/// Removes `folder` once process `guarded` is gone.
pub(crate) fn watch_folder(guarded: u32, folder: &Path) -> Result<()> {
    beside(WATCH_FOLDER, &[guarded], folder)
}

fn beside(script: &str, processes: &[u32], folder: &Path) -> Result<()> {
    Command::new("sh")
        .args(["-c", script, "watch"])
        .args(processes.iter().map(u32::to_string))
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(())
}

/// Asks until `ready` says yes.
///
/// # Errors
/// When it does not within [`PATIENCE`]; the message names `what`.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        if Instant::now() > deadline {
            bail!("{what} is not so after {PATIENCE:?}");
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}
