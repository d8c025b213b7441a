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

/// Sentinels that watch over one group, named `tidegate`, and end with this value.
#[derive(Debug)]
pub struct Sentinels {
    folder: TempDir,
    ports: Vec<u16>,
    children: Vec<Child>,
}

impl Sentinels {
    /// Starts so many around a primary and waits until they know one another and its replicas. A server that is
    /// silent for `patience_ms` is thought to be down.
    ///
    /// # Errors
    /// When they do not start.
    pub fn around(
        primary: &Server,
        count: usize,
        replicas: usize,
        patience_ms: u32,
        extra: &str,
    ) -> Result<Self> {
        let mut sentinels = Self { folder: tempfile::tempdir()?, ports: vec![], children: vec![] };
        for _ in 0..count {
            let port = port::free()?;
            let file = sentinels.folder.path().join(format!("{port}.conf"));
            let quorum = count / 2 + 1;
            let text = format!(
                "bind 127.0.0.1\nport {port}\nprotected-mode no\ndir {}\n{extra}\nsentinel monitor tidegate 127.0.0.1 {} {quorum}\n\
                 sentinel down-after-milliseconds tidegate {patience_ms}\nsentinel failover-timeout tidegate 4000\n",
                sentinels.folder.path().display(),
                primary.port
            );
            std::fs::write(&file, text)?;
            let child = Command::new(binaries::find("redis-server")?)
                .arg(&file)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .context("start a sentinel")?;
            watch(std::process::id(), child.id(), sentinels.folder.path())?;
            sentinels.children.push(child);
            sentinels.ports.push(port);
        }
        if extra.is_empty() {
            // They look around more often than the ten and two seconds that they do by themselves; those from before
            // Redis 7 refuse it, and take their time.
            for port in &sentinels.ports {
                wait_until("a sentinel answers", || sentinels.ask(*port, &["masters"]).contains("tidegate"))?;
                let _older = sentinels.ask(*port, &["debug", "info-period", "500", "publish-period", "300"]);
            }
            let knows =
                |port: &u16, what: String| sentinels.ask(*port, &["master", "tidegate"]).contains(&what);
            wait_until("the sentinels know one another and the replicas", || {
                sentinels.ports.iter().all(|port| {
                    knows(port, format!("num-other-sentinels\n{}\n", count - 1))
                        && knows(port, format!("num-slaves\n{replicas}\n"))
                })
            })?;
        }
        Ok(sentinels)
    }

    /// `host:port` of each.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// The port of the server that most of them call the primary.
    #[must_use]
    pub fn primary(&self) -> Option<u16> {
        let said = self.ports.iter().filter_map(|port| {
            self.ask(*port, &["get-master-addr-by-name", "tidegate"]).lines().nth(1)?.parse::<u16>().ok()
        });
        let said: Vec<u16> = said.collect();
        said.iter()
            .copied()
            .find(|port| said.iter().filter(|other| *other == port).count() * 2 > self.ports.len())
    }

    /// Ends one of them.
    pub fn stop(&mut self, index: usize) {
        if let Some(child) = self.children.get_mut(index) {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }

    /// What one answers; empty when it does not.
    #[must_use]
    pub fn ask(&self, port: u16, words: &[&str]) -> String {
        let Ok(client) = binaries::find("redis-cli") else { return String::new() };
        let output = Command::new(client).args(["-p", &port.to_string(), "sentinel"]).args(words).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for index in 0..self.children.len() {
            self.stop(index);
        }
    }
}
