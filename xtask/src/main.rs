//! Developer commands: `cargo xtask <command>`.

mod bench;
mod catalogue;
mod codegen;
mod old_release;
mod protocol;
mod release;
mod tidy;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the Rust code of `proto/` to `crates/tidegate-proto/src/gen`.
    Codegen,
    /// Makes the snapshot of models and prices from the community's price files.
    Catalogue(catalogue::Arguments),
    /// Checks crate edges, file sizes, forbidden words, and that protocol and schema only grow.
    Tidy,
    /// Notes new fields of `proto/` in `proto/protocol.lock`; refuses when one changed or went.
    Protocol {
        /// Another tree than this one.
        #[arg(long)]
        root: Option<PathBuf>,
    },
    /// Builds an earlier release from this clone's history into `target/old` and prints where; without a revision all
    /// that `proto/recorded` names. Several minutes each.
    OldRelease {
        /// A revision of git.
        revision: Option<String>,
    },
    /// Builds the executable as it ships; guided by a profile of the project's own load with `--pgo`.
    Release(release::Arguments),
    /// Measures: `bench` (gateway), `bench revocation` or `bench admission`; builds a release first, `bench --pgo
    /// gateway` a guided one.
    Bench {
        #[command(flatten)]
        build: release::Arguments,
        /// `gateway`, `revocation` or `admission`, and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Catalogue(arguments) => catalogue::run(&workspace_root(), &arguments),
        Command::Codegen => codegen::run(),
        Command::Protocol { root } => protocol::note(&root.unwrap_or_else(workspace_root)),
        Command::Tidy => tidy::run(&workspace_root()),
        Command::OldRelease { revision } => old_release::run(&workspace_root(), revision.as_deref()),
        Command::Release(arguments) => release::run(&workspace_root(), &arguments).map(drop),
        Command::Bench { build, arguments } => bench::run(&workspace_root(), &build, &arguments),
    }
}

/// The workspace's folder.
pub(crate) fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where builds go. What is relative is so to the workspace, where cargo is run.
pub(crate) fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
