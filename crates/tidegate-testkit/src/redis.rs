//! A Redis server of a test's own, that can be stopped, frozen, emptied and started again.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::process::{signal, wait_until, watch};
use crate::{binaries, port};

/// A running Redis on a free loopback port: nothing on disk, `noeviction`.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When `redis-server` is missing or does not start.
    pub fn start() -> Result<Self> {
        let mut server = Self { folder: tempfile::tempdir()?, port: port::free()?, child: None };
        server.start_again()?;
        Ok(server)
    }

    /// `redis://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The TCP port; the same after every restart.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server again, empty and with a new run id, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop();
        let child = Command::new(binaries::find("redis-server")?)
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &self.port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start redis-server")?;
        watch(std::process::id(), child.id(), self.folder.path())?;
        self.child = Some(child);
        let port = self.port;
        wait_until("redis-server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Kills the server; its content is gone. Nothing listens on the port afterwards.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }

    /// Freezes the server: connections stay open and nothing is answered.
    #[must_use]
    pub fn freeze(&self) -> bool {
        self.child.as_ref().is_some_and(|child| signal(child.id(), "STOP"))
    }

    /// Lets a frozen server go on.
    #[must_use]
    pub fn thaw(&self) -> bool {
        self.child.as_ref().is_some_and(|child| signal(child.id(), "CONT"))
    }

    /// Removes all content; the run id stays.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn flush(&self) -> Result<()> {
        self.command(&["FLUSHALL"]).map(|_| ())
    }

    /// Runs one command through `redis-cli` and returns what it prints.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new(binaries::find("redis-cli")?)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(words)
            .output()
            .context("run redis-cli")?;
        if !output.status.success() {
            bail!("redis-cli: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
