//! Measures Tidegate with everything on, beside a direct connection and nginx. See `docs/performance.md`.
#![expect(clippy::print_stdout, reason = "a tool for people")]

mod count;
mod gateway;
mod http;
mod load;
mod mock;
mod peers;
mod process;
mod report;
mod revocation;
mod start;
mod tls;
mod train;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The request's path: CPU, latency, streams, memory; direct, nginx, Tidegate in memory and with Redis.
    Gateway {
        /// The release build to measure.
        #[arg(long)]
        binary: PathBuf,
        /// Runs, interleaved; the cheapest counts, the worst is shown.
        #[arg(long, default_value_t = 3)]
        runs: usize,
        /// Seconds of one measured window.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Only these phases, and neither slow streams nor memory with keys; all when none is named.
        #[arg(long, value_enum, value_delimiter = ',')]
        phases: Vec<report::Phase>,
        /// Only these subjects; all when none is named.
        #[arg(long, value_enum, value_delimiter = ',')]
        subjects: Vec<gateway::Who>,
    },
    /// System calls and instructions of one request, which do not depend on neighbours.
    Count {
        /// The release build to look at, with symbols.
        #[arg(long)]
        binary: PathBuf,
        /// Who answers.
        #[arg(long, value_enum, default_value = "memory")]
        subject: gateway::Who,
        /// Connections.
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// Requests to count.
        #[arg(long, default_value_t = 2_000)]
        requests: u64,
        /// Where the profile is left.
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
    /// Time from the commit of a revocation to the refusal on every node.
    Revocation {
        /// The release build to measure.
        #[arg(long)]
        binary: PathBuf,
        /// Keys to revoke.
        #[arg(long, default_value_t = 200)]
        keys: usize,
        /// Nodes.
        #[arg(long, default_value_t = 3)]
        nodes: usize,
    },
    /// Time until a node serves while control plane and Postgres are away: from its own disk, and by a copy.
    Start {
        /// The release build to measure.
        #[arg(long)]
        binary: PathBuf,
        /// Organizations, each with a team.
        #[arg(long, default_value_t = 10_000)]
        organizations: usize,
        /// Keys, over all organizations.
        #[arg(long, default_value_t = 100_000)]
        keys: usize,
    },
    /// Load for a build that notes what runs (`cargo xtask release --pgo`).
    Train {
        /// The build that notes.
        #[arg(long)]
        binary: PathBuf,
        /// Seconds of each kind of load.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// The mock upstream; started by the others.
    #[command(hide = true)]
    Mock {
        #[arg(long)]
        listen: std::net::SocketAddr,
    },
    /// Does nothing, without a pause; started by the others.
    #[command(hide = true)]
    Spin,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Mock { listen } => single_threaded()?.block_on(mock::serve(listen)),
        Command::Spin => peers::spin(),
        Command::Gateway { binary, runs, seconds, phases, subjects } => {
            let window = std::time::Duration::from_secs(seconds);
            let scope = gateway::Scope { runs, window, phases, subjects };
            single_threaded()?.block_on(gateway::run(&binary.canonicalize()?, &scope))
        }
        Command::Count { binary, subject, connections, requests, folder } => {
            let scope = count::Scope { who: subject, connections, requests };
            single_threaded()?.block_on(count::run(&binary.canonicalize()?, &folder.canonicalize()?, &scope))
        }
        Command::Train { binary, seconds } => {
            let window = std::time::Duration::from_secs(seconds);
            single_threaded()?.block_on(train::run(&binary.canonicalize()?, window))
        }
        Command::Revocation { binary, keys, nodes } => {
            single_threaded()?.block_on(revocation::run(&binary.canonicalize()?, keys, nodes))
        }
        Command::Start { binary, organizations, keys } => {
            single_threaded()?.block_on(start::run(&binary.canonicalize()?, organizations, keys))
        }
    }
}

fn single_threaded() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
