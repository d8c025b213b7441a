//! The private Postgres of `tidegate dev`: found on this machine, kept in the state folder.
//!
//! Unix socket only, random passwords. PostgreSQL refuses to run as root: then it runs as
//! another user of a user namespace, where root's own folders are its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::process::Child;

const SUPERUSER: &str = "tidegate_superuser";
/// The socket's own name is added to the folder; the kernel takes 107 bytes, Postgres a few less.
const LONGEST_SOCKET_FOLDER: usize = 80;

/// A running private cluster.
pub(crate) struct Postgres {
    child: Child,
    sockets: PathBuf,
    password: String,
    // Removed at the end, when the state folder's path was too long for a socket.
    _short_folder: Option<TempDir>,
}

impl Postgres {
    /// Makes the cluster when there is none, starts it, and waits until it takes connections.
    pub(crate) async fn start(state: &Path, password: &str) -> Result<Self> {
        let binaries = find_binaries()?;
        let data = state.join("pg");
        if !data.join("PG_VERSION").is_file() {
            initialise(&binaries, state, &data, password)?;
        }
        stop_orphan(&data).await?;
        let (sockets, short_folder) = socket_folder(state)?;
        let mut postgres = Self {
            child: spawn(&binaries, state, &data, &sockets)?,
            sockets,
            password: password.to_owned(),
            _short_folder: short_folder,
        };
        postgres.wait_until_ready(&binaries, state).await?;
        Ok(postgres)
    }

    /// URL of a database for a login (`None`: the superuser).
    pub(crate) fn url(&self, login: Option<(&str, &str)>, database: &str) -> String {
        let (user, password) = login.unwrap_or((SUPERUSER, &self.password));
        let host: String =
            self.sockets.as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02X}")).collect();
        format!("postgres://{user}:{password}@{host}/{database}")
    }

    async fn wait_until_ready(&mut self, binaries: &Path, state: &Path) -> Result<()> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("postgres ended at once ({status}): see {}", state.join("postgres.log").display());
            }
            let mut probe = tokio::process::Command::new(binaries.join("pg_isready"));
            if probe.arg("-q").arg("-h").arg(&self.sockets).status().await?.success() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("postgres did not start in 60 s: see {}", state.join("postgres.log").display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the cluster: connections are closed, data is on disk.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").args(["-INT", &pid.to_string()]).status().context("stop postgres")?;
        }
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.context("stop postgres")??;
        Ok(())
    }
}

/// Stops a server that outlived its `tidegate dev` (after kill -9). The caller holds the state
/// folder's lock, so nobody else is using it.
async fn stop_orphan(data: &Path) -> Result<()> {
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return Ok(()) };
    let pid = text.lines().next().unwrap_or_default().trim();
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let folder = data.as_os_str().as_bytes();
    let is_ours = !pid.is_empty() && command_line.windows(folder.len().max(1)).any(|part| part == folder);
    if !is_ours {
        return Ok(());
    }
    Command::new("kill").args(["-INT", pid]).status().context("stop an orphaned postgres")?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while Path::new("/proc").join(pid).exists() {
        if tokio::time::Instant::now() > deadline {
            bail!("an earlier postgres (process {pid}) of this state folder does not stop");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The folder with the server's programs.
fn find_binaries() -> Result<PathBuf> {
    let named = std::env::var_os("TIDEGATE_PG_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let homebrew =
        ["/opt/homebrew/opt", "/usr/local/opt"].into_iter().flat_map(|folder| children(Path::new(folder)));
    let homebrew = homebrew.filter(|folder| folder.to_string_lossy().contains("postgresql"));
    let mut versions = children(Path::new("/usr/lib/postgresql"));
    versions.extend(
        children(Path::new("/usr/libexec"))
            .into_iter()
            .filter(|f| f.to_string_lossy().contains("postgresql")),
    );
    let with_bin = versions.into_iter().chain(homebrew).flat_map(|folder| [folder.join("bin"), folder]);
    let folders = named.into_iter().chain(on_path).chain(with_bin);
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file())
    };
    folders.into_iter().find(complete).context(
        "PostgreSQL's server programs were not found. Install them (Debian, Ubuntu: apt-get install postgresql; \
         Fedora: dnf install postgresql-server; Alpine: apk add postgresql; Homebrew: brew install postgresql), \
         or set TIDEGATE_PG_BIN to the folder that has initdb and postgres",
    )
}

/// Folders in a folder, the highest version first.
fn children(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let version =
        |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok());
    found.sort_by_key(|path| std::cmp::Reverse(version(path)));
    found
}

fn initialise(binaries: &Path, state: &Path, data: &Path, password: &str) -> Result<()> {
    // A cluster that was never finished is of no use.
    if data.exists() {
        fs::remove_dir_all(data).context("remove an unfinished cluster")?;
    }
    let password_file = state.join(".pg-password");
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&password_file)?
        .write_all(password.as_bytes())?;
    let arguments =
        ["--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "-U", SUPERUSER];
    let mut command = as_other_user(&binaries.join("initdb"))?;
    let output = command.args(arguments).arg("--pwfile").arg(&password_file).arg("-D").arg(data).output();
    fs::remove_file(&password_file)?;
    let output = output.context("run initdb")?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(data);
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A folder for the socket whose path is short enough.
fn socket_folder(state: &Path) -> Result<(PathBuf, Option<TempDir>)> {
    let beside = state.join("run");
    if beside.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&beside)?;
        return Ok((beside, None));
    }
    let short =
        tempfile::Builder::new().prefix("tidegate-").tempdir_in("/tmp").context("make a socket folder")?;
    Ok((short.path().to_owned(), Some(short)))
}

fn spawn(binaries: &Path, state: &Path, data: &Path, sockets: &Path) -> Result<Child> {
    let log =
        fs::OpenOptions::new().create(true).append(true).mode(0o600).open(state.join("postgres.log"))?;
    let mut command = as_other_user(&binaries.join("postgres"))?;
    command.arg("-D").arg(data).args(["-c", "listen_addresses="]).arg("-c");
    let mut folder = std::ffi::OsString::from("unix_socket_directories=");
    folder.push(sockets);
    command.arg(folder).args(["-c", "unix_socket_permissions=0700", "-c", "max_connections=60"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // A Ctrl-C in the terminal reaches this process, not Postgres: it is stopped last, in order.
    let mut command = tokio::process::Command::from(command);
    command.process_group(0).kill_on_drop(true).spawn().context("start postgres")
}

/// The program itself; for root, as another user of a user namespace.
fn as_other_user(program: &Path) -> Result<Command> {
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        let namespace = ["--user", "--map-user=1000", "--map-group=1000"];
        let possible = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
        if !possible.is_ok_and(|status| status.success()) {
            bail!(
                "PostgreSQL refuses to run as root, and this machine allows no user namespaces: \
                 start tidegate dev as an ordinary user"
            );
        }
        let mut command = Command::new("unshare");
        // The namespace's own process goes when tidegate goes, also after kill -9.
        command.args(namespace).arg(program);
        return Ok(command);
    }
    Ok(Command::new(program))
}
