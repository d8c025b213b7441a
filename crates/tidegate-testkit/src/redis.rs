//! A Redis server of a test's own, that can be stopped, frozen, emptied and started again.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::host::Host;
use crate::process::{signal, wait_until, watch};
use crate::{binaries, port};

/// A running Redis on a free loopback port: nothing on disk, `noeviction`.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    host: Host,
    /// Further arguments of the program.
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When `redis-server` is missing or does not start.
    pub fn start() -> Result<Self> {
        Self::start_on(Host::default())
    }

    /// The same on a host.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_on(host: Host) -> Result<Self> {
        Self::start_as(host, Vec::new())
    }

    /// The same with further arguments of the program.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        Self::start_as(Host::default(), arguments.iter().map(|&argument| argument.to_owned()).collect())
    }

    fn start_as(host: Host, arguments: Vec<String>) -> Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, port::free()?);
        let mut server = Self { folder, port, host, arguments, child: None };
        server.start_again()?;
        Ok(server)
    }

    /// `redis://<address>:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.host.address, self.port)
    }

    /// Folder that it saves to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
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
        let address = self.host.address;
        let child = self
            .host
            .command(binaries::find("redis-server")?)
            .args([
                "--bind",
                &address.to_string(),
                "--protected-mode",
                "no",
                "--port",
                &self.port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start redis-server")?;
        watch(std::process::id(), child.id(), self.folder.path())?;
        let port = self.port;
        let child = self.child.insert(child);
        let mut ended = false;
        wait_until("redis-server listens", || {
            ended = child.try_wait().is_ok_and(|status| status.is_some());
            ended || TcpStream::connect((address, port)).is_ok()
        })?;
        anyhow::ensure!(!ended, "redis-server ended at once: does somebody listen on port {port}?");
        Ok(())
    }

    /// Writes a copy of the content, as of now.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn copy(&self) -> Result<Vec<u8>> {
        self.command(&["SAVE"])?;
        let file = self.folder.path().join("dump.rdb");
        let copy = std::fs::read(&file).context("read the copy")?;
        // A later start is to be empty.
        std::fs::remove_file(file)?;
        Ok(copy)
    }

    /// Starts the server again with the content of an older copy, on the same port, with a new run id.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_from(&mut self, copy: &[u8]) -> Result<()> {
        self.stop();
        let file = self.folder.path().join("dump.rdb");
        std::fs::write(&file, copy)?;
        self.start_again()?;
        std::fs::remove_file(file)?;
        Ok(())
    }

    /// A second server that follows this one; returns when it has all of the content.
    ///
    /// # Errors
    /// When it does not start or does not catch up.
    pub fn replica(&self) -> Result<Self> {
        let replica = Self::start()?;
        replica.command(&["REPLICAOF", "127.0.0.1", &self.port.to_string()])?;
        wait_until("the replica has caught up", || {
            let told = replica.command(&["INFO", "replication"]).unwrap_or_default();
            told.contains("master_link_status:up")
        })?;
        Ok(replica)
    }

    /// Kills this server and puts the replica in its place, on the same port, as a failover would.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub fn fail_over_to(&mut self, mut replica: Self) -> Result<()> {
        self.stop();
        replica.command(&["REPLICAOF", "NO", "ONE"])?;
        replica.command(&["CONFIG", "SET", "port", &self.port.to_string()])?;
        replica.port = self.port;
        *self = replica;
        let port = self.port;
        wait_until("the replica listens", || TcpStream::connect(("127.0.0.1", port)).is_ok())
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
            .args(["-h", &self.host.address.to_string(), "-p", &self.port.to_string()])
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
