//! Builds a release and hands over to the measuring program in `benches/`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::release;

/// Runs `bench <what>`; `gateway` when nothing is named.
///
/// # Errors
/// When the build or the measurement fails.
pub(crate) fn run(root: &Path, build: &release::Arguments, arguments: &[String]) -> Result<()> {
    if let Some(("admission", rest)) = arguments.split_first().map(|(what, rest)| (what.as_str(), rest)) {
        // The limiter by itself, over a Redis of its own.
        let mut run = vec![
            "run",
            "--release",
            "--locked",
            "--package",
            "tidegate-limits",
            "--example",
            "admission",
            "--",
        ];
        run.extend(rest.iter().map(String::as_str));
        return cargo(root, &run);
    }
    let executable = release::run(root, build)?;
    let bench = release::bench(root)?;
    let (what, rest) =
        arguments.split_first().map_or(("gateway", &[][..]), |(what, rest)| (what.as_str(), rest));
    let status = Command::new(bench)
        .arg(what)
        .arg("--binary")
        .arg(executable)
        .args(rest)
        .status()
        .context("run the bench")?;
    if !status.success() {
        bail!("the bench failed");
    }
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo").current_dir(root).args(arguments).status().context("run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
