//! One process of an installation, with its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{PATIENCE, signal};

/// A process that ends with this value.
#[derive(Debug)]
pub struct Program {
    name: String,
    log: PathBuf,
    /// Where this start's lines begin in the log.
    from: u64,
    child: Child,
}

impl Program {
    pub(super) fn start(
        binary: &Path,
        folder: &Path,
        name: &str,
        wrapper: &[String],
        arguments: &[&str],
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let from = file.metadata()?.len();
        let mut command = match wrapper.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let child = command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::from(file.try_clone()?))
            .stderr(Stdio::from(file))
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), log, from, child })
    }

    /// Runs a command to its end; its standard output.
    pub(super) fn run(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
        let output =
            Command::new(binary).args(arguments).current_dir(folder).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("tidegate {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written since this start.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.from).unwrap_or(0).min(text.len());
        String::from_utf8_lossy(&text[from..]).into_owned()
    }

    /// For the output of a test that failed.
    pub(super) fn print_end_of_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- {}\n{}", self.name, lines[lines.len().saturating_sub(15)..].join("\n"));
    }

    pub(super) async fn wait_for_line(&self, part: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            let gone = !Path::new("/proc").join(self.pid().to_string()).join("exe").exists();
            if gone || tokio::time::Instant::now() > deadline {
                let state = if gone { "ended" } else { "is silent" };
                bail!("{} {state} before {part:?}:\n{}", self.name, self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The URL that a line of its log names after `part`.
    ///
    /// # Errors
    /// When no line does.
    pub fn url(&self, part: &str) -> Result<String> {
        let log = self.log();
        let rest = log.split(part).nth(1).with_context(|| format!("{} has not said {part:?}", self.name))?;
        let end = rest.find(|c: char| c.is_whitespace() || "\"\\,".contains(c)).unwrap_or(rest.len());
        Ok(rest[..end].to_owned())
    }

    /// Sends a signal, for example `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let _ = signal(self.pid(), name);
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end, for `limit` on a machine of one's own and longer on one that others use; whether it
    /// ended well.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(&mut self, limit: Duration) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + limit.max(PATIENCE);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("{} did not end in {limit:?}:\n{}", self.name, self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
