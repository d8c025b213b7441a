//! A PostgreSQL cluster of a test's own, or one shared by all tests of a run.
//!
//! Loopback TCP with a random password, no fsync. PostgreSQL refuses to run as root:
//! then it runs as another user of a user namespace, where root's own folders are its own.

use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::host::Host;
use crate::process::{PATIENCE, signal, wait_until, watch};
use crate::{binaries, port, shared, template};

const SUPERUSER: &str = "postgres";
/// File in a cluster's folder with the superuser's password.
const PASSWORD_FILE: &str = "password";

/// Where a running cluster is, and its superuser's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address it listens on.
    pub host: Ipv4Addr,
    /// The TCP port.
    pub port: u16,
    /// The superuser's password.
    pub password: String,
}

impl Address {
    /// URL of `database` for the superuser.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, &self.password, database)
    }

    /// URL of `database` for a login.
    #[must_use]
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@{}:{}/{database}", self.host, self.port)
    }
}

/// A cluster that ends with this value.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    address: Address,
    host: Host,
    child: Option<Child>,
}

impl Server {
    /// Makes a cluster, starts it and waits until it takes connections (about 1 s).
    ///
    /// # Errors
    /// When the binaries are missing or the server does not start.
    pub fn start() -> Result<Self> {
        Self::start_on(Host::default())
    }

    /// The same on a host.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_on(host: Host) -> Result<Self> {
        Self::start_with(host, initialise)
    }

    /// The same with the files that `fill` puts into its folder: `data` and `password`.
    pub(crate) fn start_with(host: Host, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tg-pg-").tempdir_in(shared::scratch())?;
        fill(folder.path())?;
        let address = address(folder.path(), &host)?;
        let mut server = Self { folder, address, host, child: None };
        server.start_again()?;
        Ok(server)
    }

    /// The one cluster of this test run: started by whoever comes first, ended when the
    /// test runner ends. Make databases in it, do not stop it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn shared() -> Result<Address> {
        shared::cluster()
    }

    /// Where it is; the same after every restart.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Folder with its log (`log`) and its files (`data`).
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a stopped server again, with its data, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop();
        let (program, deadline) = (binaries::find("pg_isready")?, Instant::now() + PATIENCE);
        loop {
            let mut child = run(self.folder.path(), self.address.port, &self.host)?;
            watch(std::process::id(), child.id(), self.folder.path())?;
            let mut ended = false;
            wait_until("postgres takes connections", || {
                ended = !matches!(child.try_wait(), Ok(None));
                ended || is_ready(&program, &self.address)
            })?;
            if !ended {
                self.child = Some(child);
                return Ok(());
            }
            // What is left of a killed server has its memory until it notices: later on a busy machine.
            if Instant::now() > deadline {
                bail!("postgres does not start: {}", fs::read_to_string(self.folder.path().join("log"))?);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `kill -9` of the server's first process; the others end when they notice.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }

    /// Stops it at once (as a crash does); connections break.
    pub fn stop(&mut self) {
        self.end("QUIT");
    }

    /// Stops it in good order: its files need no recovery.
    #[cfg(feature = "installation")]
    pub(crate) fn shut_down(&mut self) {
        self.end("INT");
    }

    fn end(&mut self, by: &str) {
        if let Some(mut child) = self.child.take() {
            let _sent = signal(child.id(), by);
            let _reaped = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fills `folder` with the files of an empty cluster. It signs in by MD5: SCRAM's 4,096 rounds, unoptimised, are a
/// quarter of a story's processor time. `tidegate dev` has SCRAM, and its stories with it.
pub(crate) fn initialise(folder: &Path) -> Result<()> {
    template::copy("postgres", folder, initdb)
}

fn initdb(folder: &Path) -> Result<()> {
    let password_file = folder.join(PASSWORD_FILE);
    fs::write(&password_file, random_password()?)?;
    let output = as_other_user(&binaries::find("initdb")?, folder, &Host::default())?
        .args([
            "--no-sync",
            "--no-instructions",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=md5",
            "--wal-segsize=1",
            "-U",
            SUPERUSER,
        ])
        .arg("--pwfile")
        .arg(&password_file)
        .arg("-D")
        .arg(folder.join("data"))
        .output()
        .context("run initdb")?;
    if !output.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A free port for the cluster in `folder`, to which the other hosts of a test may connect.
pub(crate) fn address(folder: &Path, host: &Host) -> Result<Address> {
    if !host.is_loopback() {
        let rules = folder.join("data/pg_hba.conf");
        let own = fs::read_to_string(&rules)?;
        fs::write(rules, format!("{own}host all all 10.77.0.0/16 md5\n"))?;
    }
    let password = fs::read_to_string(folder.join(PASSWORD_FILE))?;
    Ok(Address { host: host.address, port: port::free()?, password })
}

/// Starts the server on the cluster in `folder`; it may not be ready yet.
pub(crate) fn run(folder: &Path, port: u16, host: &Host) -> Result<Child> {
    let log = fs::File::create(folder.join("log"))?;
    let listen = format!("listen_addresses={}", host.address);
    let settings = [
        &*listen,
        "unix_socket_directories=",
        "fsync=off",
        "full_page_writes=off",
        "max_connections=300",
        "shared_buffers=64MB",
        "jit=off",
        // Segments are small, so that a cluster is copied quickly; nothing goes that a story may look for.
        "wal_keep_size=256MB",
        "password_encryption=md5",
    ];
    let mut command = as_other_user(&binaries::find("postgres")?, folder, host)?;
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    settings.iter().for_each(|setting| {
        command.args(["-c", setting]);
    });
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .process_group(0)
        .spawn()
        .context("start postgres")
}

/// Waits until the server takes connections.
pub(crate) fn wait_until_ready(address: &Address) -> Result<()> {
    let program = binaries::find("pg_isready")?;
    wait_until("postgres takes connections", || is_ready(&program, address))
}

/// Whether the server takes connections.
fn is_ready(program: &Path, address: &Address) -> bool {
    let (host, port) = (address.host.to_string(), address.port.to_string());
    let asked = Command::new(program).args(["-q", "-h", &host, "-p", &port]).status();
    asked.is_ok_and(|status| status.success())
}

/// The command itself; for root, as another user to whom `folder` belongs: neither PostgreSQL nor what belongs to
/// it runs as root.
///
/// # Errors
/// When it is not known who runs this, or the folder cannot be given away.
pub fn as_other_user(program: &Path, folder: &Path, host: &Host) -> Result<Command> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(host.command(program));
    }
    let namespace = ["--user", "--map-user=1000", "--map-group=1000"];
    let possible = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
    if possible.is_ok_and(|status| status.success()) {
        let mut command = host.command("unshare");
        command.args(namespace).arg(program);
        return Ok(command);
    }
    std::os::unix::fs::chown(folder, Some(65534), Some(65534))?;
    let mut command = host.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    Ok(command)
}

fn random_password() -> Result<String> {
    let mut bytes = [0u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
