//! `tidegate`: one executable for both planes, the trial installation and the admin commands.
//!
//! Reads the configuration, starts what was asked for, and ends it in order. No decisions here.

mod cli;
mod config;
mod confine;
mod dev;
mod run;
mod shutdown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, LogFormat};

/// Less work per request than with the allocator of libc, and no more memory: `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "tidegate", version, about = "A multi-tenant gateway in front of every LLM provider")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, read once at the start")]
enum Command {
    /// Everything in one process, with a private Postgres and simulated providers.
    Dev(dev::Arguments),
    /// The control plane: management API, config push, intake of billing events.
    ControlPlane(Process),
    /// A data-plane node: the gateway.
    Node(Process),
    /// Brings the database's schema up to date, as its owner.
    Migrate(Process),
    /// Makes the first platform administrator and prints a single-use sign-in link.
    Bootstrap {
        #[command(flatten)]
        process: Process,
        /// The administrator's e-mail address.
        #[arg(long)]
        email: String,
    },
    /// Makes the first administrator with a given password, and the enroller's token, unless they are there.
    Provision {
        #[command(flatten)]
        process: Process,
        #[command(flatten)]
        arguments: run::provision::Arguments,
    },
    /// Fetches a new node's join token and trust roots before its first start.
    Join(cli::join::Arguments),
    /// What a dead node left in its journal.
    Journal {
        #[command(subcommand)]
        verb: run::journal::Verb,
    },
    /// Looks at everything that a configuration names, and says what is wrong and what to do.
    Doctor(run::doctor::Arguments),
    /// Asks URLs until they answer, for health checks.
    Probe(run::container::Probe),
    /// Waits: the pause before a container is stopped.
    Sleep {
        /// How long.
        seconds: u64,
    },
    /// Makes the key-encryption key, or a class key.
    Keygen {
        /// The file to write; an existing one is never overwritten.
        #[arg(long, default_value = "key-encryption-key")]
        out: PathBuf,
        /// Makes a class key instead, for copies of the configuration: writes its private half to this file and prints
        /// the public one.
        #[arg(long, conflicts_with = "out")]
        class_key: Option<PathBuf>,
    },
    /// Simulated providers, for trials and tests.
    Simulator {
        /// Address to listen on.
        #[arg(long, default_value = "127.0.0.1:4010")]
        listen: SocketAddr,
    },
    #[command(flatten)]
    Admin(cli::Admin),
}

#[derive(Args)]
struct Process {
    /// Configuration file (TOML); every key can also be set as TIDEGATE_SECTION__KEY.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Reads and checks the configuration, then ends.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    match start(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result<ExitCode> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().ok().context("install the crypto provider")?;
    match command {
        Command::Dev(arguments) => {
            dev::init_logs();
            runtime(None)?.block_on(dev::run(arguments))?;
        }
        Command::ControlPlane(process) => {
            let Some(config) = process.load(run::control_plane::check)? else { return Ok(ExitCode::SUCCESS) };
            runtime(None)?.block_on(run::control_plane::run(config))?;
        }
        Command::Node(process) => {
            let Some(config) = process.load(run::node::check)? else { return Ok(ExitCode::SUCCESS) };
            runtime(config.node.workers)?.block_on(run::node::run(config))?;
        }
        Command::Migrate(process) => {
            let Some(config) = process.load(run::migrate::check)? else { return Ok(ExitCode::SUCCESS) };
            runtime(Some(1))?.block_on(run::migrate::run(&config))?;
        }
        Command::Bootstrap { process, email } => {
            let Some(config) = process.load(run::control_plane::check)? else { return Ok(ExitCode::SUCCESS) };
            runtime(Some(1))?.block_on(run::bootstrap::run(&config, &email))?;
        }
        Command::Provision { process, arguments } => {
            let Some(config) = process.load(run::control_plane::check)? else { return Ok(ExitCode::SUCCESS) };
            runtime(Some(1))?.block_on(run::provision::run(&config, &arguments))?;
        }
        Command::Journal { verb: run::journal::Verb::Ship(asked) } => {
            let process = Process { config: asked.config.clone(), check_config: false };
            let Some(config) = process.load(run::journal::check)? else { return Ok(ExitCode::SUCCESS) };
            runtime(Some(1))?.block_on(run::journal::run(&config, asked))?;
        }
        Command::Join(arguments) => runtime(Some(1))?.block_on(cli::join::run(&arguments))?,
        Command::Doctor(asked) => return runtime(Some(1))?.block_on(run::doctor::run(&asked)),
        Command::Probe(asked) => runtime(Some(1))?.block_on(run::container::probe(asked))?,
        Command::Sleep { seconds } => runtime(Some(1))?.block_on(run::container::pause(seconds)),
        Command::Keygen { class_key: Some(file), .. } => run::keygen::class_key(&file)?,
        Command::Keygen { out, class_key: None } => run::keygen::run(&out)?,
        Command::Simulator { listen } => runtime(None)?.block_on(run::simulator::run(listen))?,
        Command::Admin(command) => return Ok(runtime(Some(1))?.block_on(cli::run(command))),
    }
    Ok(ExitCode::SUCCESS)
}

impl Process {
    /// The configuration, with logs set up; `None` when it was only to be checked.
    fn load(&self, check: fn(&Config) -> Result<()>) -> Result<Option<Config>> {
        let config = Config::load(self.config.as_deref())?;
        check(&config)?;
        if self.check_config {
            println!("the configuration is in order");
            return Ok(None);
        }
        let format = match config.log.format {
            LogFormat::Json => tidegate_telemetry::LogFormat::Json,
            LogFormat::Text => tidegate_telemetry::LogFormat::Text,
        };
        tidegate_telemetry::init_logs(format, &config.log.filter)?;
        Ok(Some(config))
    }
}

fn runtime(workers: Option<usize>) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers.max(1));
    }
    builder.enable_all().build().context("start the runtime")
}
