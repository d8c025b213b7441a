//! `tidegate dev`: both planes in one process, a private Postgres, counters in memory, simulated
//! providers. Nothing between the planes is an in-process call: the node enrols and syncs over
//! gRPC on loopback as any other node.

mod catalogue;
mod postgres;
mod ready;
mod seed;
mod state;
mod tasks;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_node::{Node, RunningNode};
use tidegate_simulator::{ModelPrice, Settings, Simulator};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::postgres::Postgres;
use self::ready::{Ready, ReadyFile};
use self::state::State;
use crate::config::{Config, PrivateTarget};
use crate::run::control_plane::RunningControlPlane;
use crate::run::{control_plane, node};
use crate::shutdown;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder that keeps the state between runs.
    #[arg(long, default_value = ".tidegate")]
    state: PathBuf,
    /// Address of the gateway.
    #[arg(long, default_value = "127.0.0.1:8080")]
    gateway_listen: SocketAddr,
    /// Address of the management API.
    #[arg(long, default_value = "127.0.0.1:8081")]
    control_listen: SocketAddr,
    /// A port of this machine that providers, webhooks and exporters may be at, plain http. May be repeated.
    #[arg(long = "local-port", value_name = "PORT")]
    local_ports: Vec<u16>,
    /// Keep nothing: a throw-away state folder.
    #[arg(long, conflicts_with = "state")]
    ephemeral: bool,
}

const EMAIL: &str = "admin@tidegate.localhost";
const DATABASE: &str = "tidegate";
const LOGINS: [&str; 3] = ["tidegate_owner", "tidegate_control", "tidegate_control_feed"];

/// Text for people, warnings only: what matters is printed.
pub(crate) fn init_logs() {
    // A second call cannot happen: this is the process's first act.
    let _ = tidegate_telemetry::init_logs(tidegate_telemetry::LogFormat::Text, "warn");
}

/// Starts everything, says how to use it, and ends it in order.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let tasks = TaskTracker::new();
    let stop = shutdown::on_signal(&tasks)?;
    let mut state = State::open(&arguments.state, arguments.ephemeral)?;
    ReadyFile::remove_stale(state.folder());
    let postgres = Postgres::start(state.folder(), &state.secrets.superuser_password).await?;
    let outcome = serve(&arguments, &mut state, &postgres, &stop).await;
    postgres.stop().await?;
    outcome
}

async fn serve(
    arguments: &Arguments,
    state: &mut State,
    postgres: &Postgres,
    stop: &CancellationToken,
) -> Result<()> {
    let mut config = configure(arguments, state, postgres);
    prepare_database(&config, state, postgres).await.context("prepare the database")?;
    let known = catalogue::Known::read()?;
    let simulator = start_simulator(state, &known).await?;
    config.upstream.private = vec![local(arguments, simulator.address().port())];
    let control = control_plane::start(&config).await?;
    let control_url = format!("http://{}", control.api_address);
    let seed = seed::Seed {
        control_url: &control_url,
        simulator_url: &simulator.url(),
        email: EMAIL,
        known: &known,
    };
    let outcome = async {
        seed.apply(state, &control).await.context("set up the demo organization")?;
        configure_node(&mut config, state, &seed, &control).await?;
        run_node(&config, arguments, state, &control, &simulator, stop).await
    }
    .await;
    control.stop().await;
    simulator.stop().await;
    outcome
}

async fn run_node(
    config: &Config,
    arguments: &Arguments,
    state: &State,
    control: &RunningControlPlane,
    simulator: &Simulator,
    stop: &CancellationToken,
) -> Result<()> {
    let limits_end = CancellationToken::new();
    let limiter = node::limiter(&config.redis, limits_end.clone()).await?;
    let node = Node::start(node::settings(config, limiter, node::upstreams(&config.upstream)?)?)
        .await
        .context("start the node")?;
    let ready = ready(arguments, state, control, simulator, &node)?;
    tokio::select! {
        () = stop.cancelled() => {}
        outcome = wait_until_served(&ready) => {
            outcome?;
            let file = ready.write(state.folder())?;
            println!("{}", ready.banner(state.folder()));
            stop.cancelled().await;
            drop(file);
        }
    }
    node.drain(Duration::from_secs(config.node.drain_timeout_seconds)).await;
    limits_end.cancel();
    Ok(())
}

async fn prepare_database(config: &Config, state: &State, postgres: &Postgres) -> Result<()> {
    let secrets = &state.secrets;
    let logins = tidegate_store::Logins {
        owner: (LOGINS[0], &secrets.owner_password),
        app: (LOGINS[1], &secrets.app_password),
        feed: (LOGINS[2], &secrets.feed_password),
    };
    tidegate_store::provision(&postgres.url(None, "postgres"), DATABASE, &logins).await?;
    tidegate_store::migrate(config.database.migrate_url.as_deref().unwrap_or_default()).await?;
    tidegate_store::grant(&postgres.url(None, DATABASE), &logins).await?;
    Ok(())
}

/// The configuration of both planes, as files would hold it.
fn configure(arguments: &Arguments, state: &State, postgres: &Postgres) -> Config {
    let secrets = &state.secrets;
    let passwords = [&secrets.owner_password, &secrets.app_password, &secrets.feed_password];
    let url = |place: usize| Some(postgres.url(Some((LOGINS[place], passwords[place])), DATABASE));
    let mut config = Config::default();
    config.database.migrate_url = url(0);
    config.database.url = url(1);
    config.database.feed_url = url(2);
    config.encryption.key = Some(secrets.key_encryption_key.clone());
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.control_plane.listen = arguments.control_listen;
    config.control_plane.grpc_listen = anywhere;
    config.control_plane.metrics_listen = anywhere;
    config.node.listen = arguments.gateway_listen;
    config.node.metrics_listen = anywhere;
    config.node.state_dir = state.folder().join("node");
    config.node.name = Some("dev".to_owned());
    config.node.drain_timeout_seconds = 10;
    config
}

async fn configure_node(
    config: &mut Config,
    state: &State,
    seed: &seed::Seed<'_>,
    control: &RunningControlPlane,
) -> Result<()> {
    let roots = state.folder().join("roots.pem");
    std::fs::write(&roots, &control.roots_pem)?;
    config.node.trust_roots_file = Some(roots);
    config.node.control_plane_url = Some(format!("https://{}", control.grpc_address));
    // Used only when the state folder holds no valid identity.
    config.node.join_token = Some(seed.join_token(state).await?);
    Ok(())
}

/// Where this installation may go on this machine: to the simulator, and where the person said.
fn local(arguments: &Arguments, simulator: u16) -> PrivateTarget {
    PrivateTarget {
        cidr: "127.0.0.1/32".to_owned(),
        ports: std::iter::once(simulator).chain(arguments.local_ports.iter().copied()).collect(),
        http: true,
        organizations: vec!["*".to_owned()],
    }
}

/// On the port of the last run where it is free, so that the catalogue stays true.
async fn start_simulator(state: &mut State, known: &catalogue::Known) -> Result<Simulator> {
    let price = ModelPrice { input: 500_000, output: 2_000_000, cached_input: 250_000 };
    let simulated = seed::simulated_models(known)?;
    let prices =
        catalogue::simulator_prices(&simulated).chain([("simulated-chat".to_owned(), price)]).collect();
    let settings = Settings { prices, ..Settings::default() };
    let last = SocketAddr::from((Ipv4Addr::LOCALHOST, state.secrets.simulator_port.unwrap_or(0)));
    let simulator = match Simulator::start(last, settings.clone()).await {
        Ok(simulator) => simulator,
        Err(_) => Simulator::start((Ipv4Addr::LOCALHOST, 0).into(), settings)
            .await
            .context("start the simulator")?,
    };
    state.secrets.simulator_port = Some(simulator.address().port());
    state.save()?;
    Ok(simulator)
}

fn ready(
    arguments: &Arguments,
    state: &State,
    control: &RunningControlPlane,
    simulator: &Simulator,
    node: &RunningNode,
) -> Result<Ready> {
    let secrets = &state.secrets;
    Ok(Ready {
        gateway_url: format!("http://{}", node.gateway_address()),
        control_url: format!("http://{}", control.api_address),
        admin_email: EMAIL.to_owned(),
        admin_password: secrets.admin_password.clone(),
        admin_token: secrets.admin_token.clone().context("the admin token is made")?,
        virtual_key: secrets.virtual_key.clone().context("the virtual key is made")?,
        model: seed::MODEL.to_owned(),
        embedding_model: tasks::EMBEDDING,
        image_model: tasks::IMAGE,
        speech_model: tasks::SPEECH,
        transcription_model: tasks::TRANSCRIPTION,
        reranking_model: tasks::RERANKING,
        video_model: tasks::VIDEO,
        simulator_url: simulator.url(),
        local_ports: arguments.local_ports.clone(),
        gateway_metrics_url: format!("http://{}/metrics", node.metrics_address()),
        control_metrics_url: format!("http://{}/metrics", control.metrics_address),
    })
}

/// Waits until the node knows the key.
async fn wait_until_served(ready: &Ready) -> Result<()> {
    let client = seed::client()?;
    let url = format!("{}/v1/key", ready.gateway_url);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(&url).bearer_auth(&ready.virtual_key).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "the node does not serve the key after 60 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
