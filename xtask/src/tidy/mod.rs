//! Checks over the tree that the compiler does not make: crate edges, file sizes, forbidden words, named tests, fields of logs, a
//! protocol and a schema that only grow.

mod edges;
mod logs;
mod migrations;
mod named;
mod sizes;
mod words;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Something that is not as it should be.
pub(crate) type Fault = String;

/// Runs every check.
///
/// # Errors
/// With one line for each fault found.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked_files(root)?;
    let mut faults = edges::check(root)?;
    faults.extend(crate::protocol::check(root)?);
    faults.extend(logs::check(root, &files)?);
    faults.extend(migrations::check(root, &files)?);
    faults.extend(named::check(root, &files)?);
    faults.extend(sizes::check(root, &files)?);
    faults.extend(words::check(root, &files)?);
    if faults.is_empty() {
        println!("tidy: {} files are in order", files.len());
        return Ok(());
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    bail!("{} faults", faults.len())
}

fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let output =
        Command::new("git").arg("-C").arg(root).args(["ls-files", "-co", "--exclude-standard"]).output()?;
    let text = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    Ok(text.lines().filter(|name| root.join(name).is_file()).map(str::to_owned).collect())
}
