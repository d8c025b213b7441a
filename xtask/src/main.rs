//! Developer commands: `cargo xtask <command>`.

mod codegen;

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Codegen => codegen::run(),
    }
}
