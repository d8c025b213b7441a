//! `tidegate audit …`: who changed what.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tidegate_types::audit::{Fault, Walk};

use super::request::{Columns, PageArgs, Request};
use super::{Connection, download, exit};

const COLUMNS: Columns =
    &[("n", "/n"), ("at", "/at"), ("actor", "/actor"), ("action", "/action"), ("object", "/object")];

/// What to export.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Only entries behind this place in the chain: what came since an earlier export.
    #[arg(long)]
    after: Option<u64>,
    /// The file to write, or - for standard output.
    #[arg(long, default_value = "-")]
    file: String,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists entries, newest first.
    List(PageArgs),
    /// Writes entries to a file, oldest first, a JSON object on each line.
    Export(Export),
    /// Checks the chain of hashes: that of the control plane, or without asking anybody that of exported files.
    Verify {
        /// Files of `export`, in their order.
        files: Vec<PathBuf>,
    },
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::List(page) => Request::list("/audit", page, COLUMNS),
            Self::Verify { files } if files.is_empty() => Request::get("/audit/verify", &[]),
            Self::Export(_) | Self::Verify { .. } => anyhow::bail!("takes no request"),
        })
    }
}

impl Export {
    /// Writes the file.
    pub(super) async fn run(self, connection: &Connection) -> ExitCode {
        let mut request = Request::get("/audit/export", &[]);
        request.push("after", self.after);
        download::run(connection, &request, &self.file).await
    }
}

/// Checks exported files; prints what it found.
pub(super) fn verify(files: &[PathBuf]) -> ExitCode {
    exit::of_check(checked(files))
}

fn checked(files: &[PathBuf]) -> anyhow::Result<bool> {
    let mut walk = Walk::default();
    for file in files {
        if let Err(fault) = walk_file(&mut walk, file)? {
            println!("DOES NOT HOLD: {}: {fault}", file.display());
            return Ok(false);
        }
    }
    print!("{}", holds(&walk));
    Ok(true)
}

fn walk_file(walk: &mut Walk, path: &Path) -> anyhow::Result<Result<(), Fault>> {
    let read = || format!("read {}", path.display());
    for line in BufReader::new(File::open(path).with_context(read)?).lines() {
        if let Err(fault) = walk.line(&line.with_context(read)?) {
            return Ok(Err(fault));
        }
    }
    Ok(walk.file_ends())
}

/// What holds, and what it still has to be compared with.
fn holds(walk: &Walk) -> String {
    let whose = walk.organization().map(|id| id.to_string()).unwrap_or_default();
    let (Some((first, before)), Some((last, hash))) = (walk.first(), walk.last()) else {
        return format!("holds: no entries of {whose}\n");
    };
    let mut text = format!("holds: entries {first} to {last} of {whose}, up to hash {hash}\n");
    if first > 1 {
        text.push_str(&format!(
            "entry {first} follows hash {before}: compare it with the end of the file before\n"
        ));
    }
    text
}
