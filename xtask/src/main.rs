//! Developer commands: `cargo xtask <command>`.

mod codegen;
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
    /// Checks crate edges, file sizes and forbidden words.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Codegen => codegen::run(),
        Command::Tidy => tidy::run(&workspace_root()),
    }
}

/// The workspace's folder.
pub(crate) fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
