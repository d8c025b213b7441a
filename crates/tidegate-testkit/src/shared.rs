//! What all test processes of a run share: a folder, and one PostgreSQL cluster in it.
//!
//! nextest runs every test in a process of its own, all children of the runner. The first
//! one starts the cluster and writes down where it is; watchers end it and the folder with the runner.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

use crate::host::Host;
use crate::postgres::{Address, address, initialise, run, wait_until_ready};
use crate::process::{signal, watch, watch_folder};

/// A file system in memory.
const MEMORY: &str = "/dev/shm";
/// MiB that must be free there: twenty times what two tests at once need.
const PLENTY: u64 = 4096;

/// The run's cluster, started when it is not running yet.
pub(crate) fn cluster() -> Result<Address> {
    let folder = folder()?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("lock the shared cluster")?;
    if let Some(address) = running(&folder) {
        return Ok(address);
    }
    let cluster = folder.join("cluster");
    if cluster.exists() {
        fs::remove_dir_all(&cluster)?;
    }
    fs::create_dir(&cluster)?;
    initialise(&cluster)?;
    let address = address(&cluster, &Host::default())?;
    let server = run(&cluster, address.port, &Host::default())?;
    watch(parent_id(), server.id(), &folder)?;
    wait_until_ready(&address)?;
    fs::write(folder.join("address"), format!("{} {} {}", server.id(), address.port, address.password))?;
    Ok(address)
}

/// A folder of the runner's own, which goes with it: its process id and start time name it.
pub(crate) fn folder() -> Result<PathBuf> {
    let runner = parent_id();
    let stat = fs::read_to_string(format!("/proc/{runner}/stat")).unwrap_or_default();
    let started =
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19)).unwrap_or("0").to_owned();
    let folder = scratch().join(format!("tg-run-{runner}-{started}"));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {
            watch_folder(runner, &folder)?;
            Ok(folder)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && own(&folder) => Ok(folder),
        Err(error) => bail!("make the run's folder: {error}"),
    }
}

/// Where databases without `fsync` lie: in memory where there is plenty, since most of a small cluster is a thousand
/// files that are made and removed again, for which a disk's file system takes longer than the database does.
pub(crate) fn scratch() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let find = || match free_megabytes(MEMORY) {
        Some(free) if free >= PLENTY => PathBuf::from(MEMORY),
        _ => std::env::temp_dir(),
    };
    FOUND.get_or_init(find).clone()
}

fn free_megabytes(folder: &str) -> Option<u64> {
    let said = Command::new("df").args(["--output=avail", "--block-size=1M", folder]).output().ok()?;
    String::from_utf8_lossy(&said.stdout).lines().nth(1)?.trim().parse().ok()
}

fn own(folder: &Path) -> bool {
    let mine = fs::metadata("/proc/self").map(|data| data.uid()).ok();
    fs::symlink_metadata(folder).is_ok_and(|data| data.is_dir() && Some(data.uid()) == mine)
}

fn running(folder: &Path) -> Option<Address> {
    let text = fs::read_to_string(folder.join("address")).ok()?;
    let mut words = text.split(' ');
    let server: u32 = words.next()?.parse().ok()?;
    let address = Address {
        host: Ipv4Addr::LOCALHOST,
        port: words.next()?.parse().ok()?,
        password: words.next()?.to_owned(),
    };
    signal(server, "0").then_some(address)
}
