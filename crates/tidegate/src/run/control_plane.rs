//! `tidegate control-plane`: management API, config push, intake, upkeep of the books.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidegate_admin::App;
use tidegate_export::{ExportMetrics, Exporter};
use tidegate_keyring::Keyring;
use tidegate_notify::Notifier;
use tidegate_push::{CopySettings, PushMetrics, PushServer, PushSettings, Workloads};
use tidegate_secrets::copy::parse_class_key;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_store::Store;
use tidegate_telemetry::{Metrics, SystemClock};
use tidegate_trust::TrustKeeper;
use tidegate_types::clock::Clock as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::books::Books;
use super::tester::Tester;
use super::{keeper, kubernetes, observe};
use crate::config::{Config, PublishedCopy, required};
use crate::{confine, shutdown};

/// Whether the configuration has what this command needs.
pub(crate) fn check(config: &Config) -> Result<()> {
    required(config.database.url.as_ref(), "database.url")?;
    required(config.database.feed_url.as_ref(), "database.feed_url")?;
    workloads(config)?;
    push_settings(config)?;
    keeper::wrappers(&config.encryption).map(|_| ())
}

/// Who may enrol by a service account's token.
fn workloads(config: &Config) -> Result<Option<Workloads>> {
    config.control_plane.kubernetes.as_ref().map(kubernetes::workloads).transpose()
}

/// Serves until a signal comes.
pub(crate) async fn run(config: Config) -> Result<()> {
    let tasks = TaskTracker::new();
    let stop = shutdown::on_signal(&tasks)?;
    let running = start(&config).await?;
    let lead = Duration::from_secs(config.control_plane.drain_lead_seconds);
    // From here on nothing needs the secrets in the configuration, nor another program.
    drop(config);
    confine::forbid_programs().context("confine the process")?;
    tracing::info!("management API on http://{}", running.api_address);
    tracing::info!("metrics on http://{}", running.metrics_address);
    tracing::info!("grpc on https://{}", running.grpc_address);
    tracing::info!("control plane is ready");
    stop.cancelled().await;
    running.leave(lead).await;
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Both logins, checked.
pub(crate) async fn connect(config: &Config) -> Result<Store> {
    let url = required(config.database.url.as_deref(), "database.url")?;
    let feed_url = required(config.database.feed_url.as_deref(), "database.feed_url")?;
    Store::connect(url, feed_url).await.context("connect to the database")
}

/// The keys of this process.
pub(crate) async fn keyring(config: &Config, store: &Store) -> Result<Keyring> {
    let wrappers = keeper::wrappers(&config.encryption)?;
    Keyring::open(store.clone(), Arc::new(SystemClock), wrappers).await.context("open the root keys")
}

/// The management API's state.
pub(crate) async fn open(
    config: &Config,
    store: Store,
    kek: KeyEncryptionKey,
    api_address: SocketAddr,
) -> Result<App> {
    let public_url =
        config.control_plane.public_url.clone().unwrap_or_else(|| format!("http://{api_address}"));
    App::open(store, kek, Arc::new(SystemClock), &public_url).await.context("open the management API")
}

/// A control plane that runs.
pub(crate) struct RunningControlPlane {
    pub(crate) api_address: SocketAddr,
    pub(crate) grpc_address: SocketAddr,
    pub(crate) metrics_address: SocketAddr,
    /// The management API, for what no HTTP request may ask.
    pub(crate) app: App,
    /// Roots that nodes trust, PEM.
    pub(crate) roots_pem: String,
    store: Store,
    leaving: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What nodes are told and allowed.
fn push_settings(config: &Config) -> Result<PushSettings> {
    let control_plane = &config.control_plane;
    ensure!(control_plane.grant_percent <= 50, "configuration: control_plane.grant_percent is 0 to 50");
    Ok(PushSettings {
        names: control_plane.grpc_names.clone(),
        grant_percent: control_plane.grant_percent,
        wave_soak: Duration::from_secs(control_plane.wave_seconds),
        copy: copy_settings(config)?,
        ..PushSettings::default()
    })
}

/// Where copies of the configuration are published.
fn copy_settings(config: &Config) -> Result<Option<CopySettings>> {
    let PublishedCopy { folder, class_key, period_seconds, reserves } = &config.control_plane.copy;
    let Some(folder) = folder.clone() else { return Ok(None) };
    let class_key = required(class_key.as_deref(), "control_plane.copy.class_key")?;
    let class_key = parse_class_key(class_key).context("configuration: control_plane.copy.class_key")?;
    ensure!(
        (1..=600).contains(period_seconds),
        "configuration: control_plane.copy.period_seconds is 1 to 600"
    );
    ensure!((1..=1000).contains(reserves), "configuration: control_plane.copy.reserves is 1 to 1000");
    let every = Duration::from_secs(*period_seconds);
    Ok(Some(CopySettings { folder, class_key, every, reserves: *reserves }))
}

/// When the background jobs run.
fn duties(config: &Config) -> tidegate_treasury::Settings {
    tidegate_treasury::Settings {
        grants_quiet: Duration::from_secs(config.control_plane.reclaim_after_seconds),
        ..tidegate_treasury::Settings::default()
    }
}

/// Starts everything and returns once it listens.
pub(crate) async fn start(config: &Config) -> Result<RunningControlPlane> {
    let store = connect(config).await?.with_waves(config.control_plane.wave_seconds > 0);
    let ring = keyring(config, &store).await?;
    let kek = ring.kek();
    let material =
        tidegate_push::prepare(&store, &kek, SystemClock.now()).await.context("prepare the key material")?;
    let roots_pem = tidegate_secrets::ca::roots_pem(material.roots.iter().map(AsRef::as_ref));
    let (api, api_address) = listen(config.control_plane.listen, "control_plane.listen").await?;
    let (grpc, grpc_address) = listen(config.control_plane.grpc_listen, "control_plane.grpc_listen").await?;
    let (scrape, metrics_address) =
        listen(config.control_plane.metrics_listen, "control_plane.metrics_listen").await?;
    let app = open(config, store.clone(), kek.clone(), api_address).await?;
    let metrics = Metrics::default();
    let push_metrics = PushMetrics::default();
    push_metrics.register(&metrics);
    let settings = push_settings(config)?;
    let push = PushServer::new(store.clone(), material, Arc::new(SystemClock), settings, push_metrics)
        .with_workloads(workloads(config)?);
    let app = app.with_tester(Arc::new(Tester { commands: push.commands(), store: store.clone() }));
    let (leaving, stop, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    let (end, router) = (stop.clone(), tidegate_admin::router(app.clone()));
    tasks.spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(api, service).with_graceful_shutdown(end.cancelled_owned()).await {
            tracing::error!(%error, "the management API ended");
        }
    });
    let end = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = push.serve(grpc, end).await {
            tracing::error!(%error, "the config push ended");
        }
    });
    let export_metrics = ExportMetrics::default();
    export_metrics.register(&metrics);
    let duties = duties(config);
    let treasury = tidegate_treasury::Treasury::new(store.clone(), Arc::new(SystemClock)).with(duties);
    let books = Books::register(&metrics);
    tasks.spawn(books.follow(store.clone(), treasury.passed_over(), stop.clone()));
    tasks.spawn(observe::serve(scrape, metrics, store.clone(), leaving.clone(), stop.clone()));
    tasks.spawn(treasury.run(stop.clone()));
    tasks.spawn(ring.clone().follow(stop.clone()));
    tasks.spawn(tidegate_keyring::run(ring, stop.clone()));
    let upstreams = super::node::upstreams(&config.upstream)?;
    let exporter =
        Exporter::new(store.clone(), kek.clone(), upstreams.clone(), Arc::new(SystemClock), export_metrics);
    tasks.spawn(exporter.run(stop.clone()));
    let trust = TrustKeeper::new(store.clone(), upstreams.clone(), Arc::new(SystemClock));
    let notifier = Notifier::new(store.clone(), kek, upstreams, Arc::new(SystemClock));
    tasks.spawn(notifier.run(stop.clone()));
    tasks.spawn(trust.run(stop.clone()));
    Ok(RunningControlPlane {
        api_address,
        grpc_address,
        metrics_address,
        app,
        roots_pem,
        store,
        leaving,
        stop,
        tasks,
    })
}

impl RunningControlPlane {
    /// Not ready any more, and answering for so long all the same, so that who balances has seen it.
    async fn leave(&self, lead: Duration) {
        self.leaving.cancel();
        tokio::time::sleep(lead).await;
    }

    /// Ends in order: no new requests, streams to nodes closed, connections to the database last.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
    }
}

async fn listen(address: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{key}: listen on {address}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
