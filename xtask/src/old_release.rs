//! Builds an earlier release out of this clone's history, for the tests that take `TIDEGATE_OLD`.
//!
//! Which releases there are is said by `proto/recorded`: each of its folders ends with the revision that was recorded.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::target;

/// Builds this revision, or every recorded release, unless it is there; prints where the executables are.
///
/// # Errors
/// When the clone has no such revision, or it does not build.
pub(crate) fn run(root: &Path, revision: Option<&str>) -> anyhow::Result<()> {
    let revisions = match revision {
        Some(one) => vec![one.to_owned()],
        None => recorded(root)?,
    };
    for revision in revisions {
        println!("{}", executable(root, &revision)?.display());
    }
    Ok(())
}

/// Revisions of the recorded releases, the oldest first.
fn recorded(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root.join("proto/recorded")).context("read proto/recorded")? {
        let name = folder?.file_name().to_string_lossy().into_owned();
        let (_, revision) = name.rsplit_once('-').with_context(|| format!("{name} names no revision"))?;
        found.push((committed(root, revision)?, revision.to_owned()));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, revision)| revision).collect())
}

/// When it was committed, seconds of the unix epoch.
fn committed(root: &Path, revision: &str) -> anyhow::Result<u64> {
    let commit = format!("{revision}^{{commit}}");
    let said =
        Command::new("git").current_dir(root).args(["log", "-1", "--format=%ct", &commit, "--"]).output();
    let said = said.context("run git")?;
    let why = "this clone's history has no such release (a shallow clone: `git fetch --unshallow`)";
    ensure!(said.status.success(), "{revision}: {why}");
    String::from_utf8_lossy(&said.stdout).trim().parse().context("read the time of a commit")
}

fn executable(root: &Path, revision: &str) -> anyhow::Result<PathBuf> {
    committed(root, revision)?;
    let folder = target(root).join("old");
    let program = folder.join(format!("tidegate-{revision}"));
    if program.exists() {
        return Ok(program);
    }
    let (source, build) = (folder.join("source"), folder.join("build"));
    if source.exists() {
        std::fs::remove_dir_all(&source).context("remove what was unpacked before")?;
    }
    std::fs::create_dir_all(&source).context("make target/old")?;
    unpack(root, revision, &source)?;
    let built = Command::new(std::env::var_os("CARGO").as_deref().unwrap_or(OsStr::new("cargo")))
        .current_dir(&source)
        .args(["build", "--locked", "--package", "tidegate", "--bin", "tidegate"])
        .envs([("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "0")])
        .env("CARGO_TARGET_DIR", &build)
        .status();
    ensure!(built.context("run cargo")?.success(), "{revision} does not build");
    std::fs::copy(build.join("debug/tidegate"), &program).context("keep the executable")?;
    Ok(program)
}

fn unpack(root: &Path, revision: &str, into: &Path) -> anyhow::Result<()> {
    let mut archive = Command::new("git")
        .current_dir(root)
        .args(["archive", "--format=tar", revision])
        .stdout(Stdio::piped())
        .spawn()
        .context("run git")?;
    let tar = archive.stdout.take().context("read what git packs")?;
    // As of now, not of the commit: to cargo, files from before the last build are those that it has built.
    let unpacked =
        Command::new("tar").args(["-x", "-m", "-C"]).arg(into).stdin(tar).status().context("run tar")?;
    ensure!(
        archive.wait().context("wait for git")?.success() && unpacked.success(),
        "{revision}: not unpacked"
    );
    Ok(())
}
