//! Builds the executable as it ships: `cargo xtask release`, guided by a profile with `--pgo`.
//!
//! A guided build is built twice: once noting what runs, put under the project's own load
//! (`tidegate-bench train`), and once laid out for what was noted. What a shell of a developer says about
//! features and incremental builds is left out: both make another executable than the one that ships.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::target;

/// How it is built.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Guided by a profile: builds twice, with load in between. Needs `llvm-profdata`, Postgres and Redis.
    #[arg(long)]
    pub(crate) pgo: bool,
    /// Guided by this profile, which an earlier `--pgo` left in `target/pgo/tidegate.profdata`.
    #[arg(long)]
    pub(crate) profile: Option<PathBuf>,
}

/// What a shell for development sets, and a release must not have.
const OF_DEVELOPMENT: [&str; 4] = [
    "CARGO_INCREMENTAL",
    "RUSTC_BOOTSTRAP",
    "CARGO_UNSTABLE_FEATURE_UNIFICATION",
    "CARGO_RESOLVER_FEATURE_UNIFICATION",
];

/// How a guided build is optimised: as one unit, which without a profile gained nothing that was measured
/// (docs/performance.md).
const WHOLE: [&str; 4] =
    ["--config", "profile.release.lto='fat'", "--config", "profile.release.codegen-units=1"];

/// Builds `target/release/tidegate`; where it lies.
///
/// # Errors
/// When a build or the load fails, or a tool is missing.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<PathBuf> {
    let executable = target(root).join("release/tidegate");
    if !arguments.pgo && arguments.profile.is_none() {
        cargo(root, None, &["build", "--release", "--locked", "--package", "tidegate"], "")?;
        return Ok(executable);
    }
    let folder = target(root).join("pgo");
    fs::create_dir_all(&folder)?;
    let profile = match &arguments.profile {
        Some(profile) => fs::read(profile).context("read the profile")?,
        None => fs::read(learn(root, &folder)?)?,
    };
    let built = guided(root, &folder, &profile)?;
    // cargo links its own file to this name: copying into it would write there too.
    fs::create_dir_all(target(root).join("release"))?;
    let _absent = fs::remove_file(&executable);
    fs::copy(&built, &executable).context("copy the executable")?;
    Ok(executable)
}

/// Builds the program that measures and makes load; where it lies.
///
/// # Errors
/// When the build fails.
pub(crate) fn bench(root: &Path) -> Result<PathBuf> {
    cargo(root, None, &["build", "--release", "--locked", "--package", "tidegate-bench"], "")?;
    Ok(target(root).join("release/tidegate-bench"))
}

/// What runs under load, as a merged profile.
fn learn(root: &Path, folder: &Path) -> Result<PathBuf> {
    let merge = profdata()?;
    let (noted, merged) = (folder.join("noted"), folder.join("learnt.profdata"));
    let flags = format!("-Cprofile-generate={}", noted.display());
    // What runs is noted before linking optimises: leaving that out takes half of the time, and changes no note.
    let executable = build(root, &folder.join("noting"), &flags, &["--config", "profile.release.lto='off'"])?;
    let bench = bench(root)?;
    // What ran before the load, and what other builds noted.
    let _absent = fs::remove_dir_all(&noted);
    let mut load = Command::new(bench);
    load.arg("train").arg("--binary").arg(executable);
    succeed(&mut load)?;
    let mut merging = Command::new(merge);
    merging.arg("merge").arg("--output").arg(&merged).arg(&noted);
    succeed(&mut merging)?;
    fs::remove_dir_all(&noted)?;
    Ok(merged)
}

/// The build that is laid out by a profile.
fn guided(root: &Path, folder: &Path, profile: &[u8]) -> Result<PathBuf> {
    let (kept, guided) = (folder.join("tidegate.profdata"), folder.join("guided"));
    // cargo does not see that the profile is another one.
    if fs::read(&kept).ok().as_deref() != Some(profile) {
        let _absent = fs::remove_dir_all(&guided);
        fs::write(&kept, profile)?;
    }
    build(root, &guided, &format!("-Cprofile-use={}", kept.display()), &WHOLE)
}

/// A build with flags that concern neither build scripts nor macros; where the executable lies.
fn build(root: &Path, folder: &Path, flags: &str, more: &[&str]) -> Result<PathBuf> {
    let host = rustc("host: ")?;
    let words = ["build", "--release", "--locked", "--package", "tidegate", "--target", &host];
    cargo(root, Some(folder), &[&words, more].concat(), flags)?;
    Ok(folder.join(host).join("release/tidegate"))
}

fn cargo(root: &Path, folder: Option<&Path>, words: &[&str], flags: &str) -> Result<()> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(words);
    OF_DEVELOPMENT.iter().for_each(|name| {
        command.env_remove(name);
    });
    if let Some(folder) = folder {
        command.arg("--target-dir").arg(folder);
        let before = env::var_os("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{} {flags}", before.to_string_lossy()).trim());
    }
    succeed(&mut command)
}

/// The `llvm-profdata` that understands what this compiler notes.
fn profdata() -> Result<OsString> {
    let version = rustc("LLVM version: ")?;
    let major = version.split('.').next().unwrap_or_default();
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output().context("run rustc")?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let candidates = [
        libraries.join("../bin/llvm-profdata"),
        PathBuf::from(format!("/usr/lib/llvm-{major}/bin/llvm-profdata")),
        PathBuf::from(format!("llvm-profdata-{major}")),
    ];
    let works = |program: &PathBuf| {
        // Some versions have no `--version`.
        Command::new(program).args(["merge", "--help"]).output().is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().find(works).map(PathBuf::into_os_string).with_context(|| {
        format!("no llvm-profdata {major}: `rustup component add llvm-tools`, or `scripts/install llvm`")
    })
}

/// What `rustc -vV` says after a word.
fn rustc(word: &str) -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix(word));
    Ok(found.with_context(|| format!("rustc names no {word:?}"))?.to_owned())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("run {}", command.get_program().to_string_lossy()))?;
    if !status.success() {
        bail!("{} failed", command.get_program().to_string_lossy());
    }
    Ok(())
}
