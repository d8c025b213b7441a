//! The gRPC server: puts the services behind mutual TLS, and ends them in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::MAX_MESSAGE_BYTES;
use tidegate_proto::budget::budget_service_server::BudgetServiceServer;
use tidegate_proto::config::config_service_server::ConfigServiceServer;
use tidegate_proto::enroll::enroll_service_server::EnrollServiceServer;
use tidegate_proto::query::query_service_server::QueryServiceServer;
use tidegate_proto::usage::usage_service_server::UsageServiceServer;
use tidegate_secrets::decision::Certificates;
use tidegate_store::Store;
use tidegate_types::Clock;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;

use crate::PushError;
use crate::admission::Admission;
use crate::budget::Authority;
use crate::commands::Commands;
use crate::copy::{Copies, CopySettings, Publisher};
use crate::digests::Digests;
use crate::enroll::{Enroller, TURNS};
use crate::feed::Feed;
use crate::intake::Intake;
use crate::listen;
use crate::material::Material;
use crate::metrics::PushMetrics;
use crate::nodes::Nodes;
use crate::prices::Prices;
use crate::query::Questions;
use crate::service::Configuration;
use crate::session::Shared;
use crate::waves::Runner;
use crate::workload::Workloads;

/// Bytes of a message of the config stream and of small calls.
const SMALL_MESSAGE: usize = 1024 * 1024;
/// Between two looks for revoked nodes.
const SWEEP: Duration = Duration::from_secs(1);
/// Connections that have not ended so long after the stop are dropped.
const LINGER: Duration = Duration::from_secs(5);

/// How the server is run.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// Host names and addresses under which nodes reach this control plane, for its certificate.
    pub names: Vec<String>,
    /// New config streams per second on average; more wait for their back-off.
    pub streams_per_second: u32,
    /// New config streams at once.
    pub streams_burst: u32,
    /// Enrolments and renewals per second (burst: ten times as many).
    pub enrolments_per_second: u32,
    /// Most of a budget window's limit that one node may have in advance, in percent; 0: nothing.
    pub grant_percent: u8,
    /// How long each wave of a change of the catalogue is watched; zero: such changes go to all at once.
    pub wave_soak: Duration,
    /// Copies of the configuration on a volume; `None`: none are published here.
    pub copy: Option<CopySettings>,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
            streams_per_second: 50,
            streams_burst: 100,
            enrolments_per_second: 20,
            grant_percent: 0,
            wave_soak: Duration::ZERO,
            copy: None,
        }
    }
}

/// The push plane of one control plane.
pub struct PushServer {
    store: Store,
    material: Arc<Material>,
    clock: Arc<dyn Clock>,
    settings: PushSettings,
    metrics: PushMetrics,
    commands: Commands,
    workloads: Option<Workloads>,
}

impl PushServer {
    /// Puts a server together; nothing runs yet.
    #[must_use]
    pub fn new(
        store: Store,
        material: Material,
        clock: Arc<dyn Clock>,
        settings: PushSettings,
        metrics: PushMetrics,
    ) -> Self {
        let material = Arc::new(material);
        Self { store, material, clock, settings, metrics, commands: Commands::default(), workloads: None }
    }

    /// The same with pods that enrol by the token of their service account.
    #[must_use]
    pub fn with_workloads(self, workloads: Option<Workloads>) -> Self {
        Self { workloads, ..self }
    }

    /// The way to command nodes that are connected here.
    #[must_use]
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Serves nodes until `stop`; then ends every stream between two messages and returns.
    ///
    /// # Errors
    /// [`PushError::Tls`] and [`PushError::Secrets`] when the server's certificate cannot be made.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<(), PushError> {
        let tls = listen::tls(&self.material, &self.settings.names, Arc::clone(&self.clock))?;
        let tracker = TaskTracker::new();
        let connections = listen::connections(listener, tls, self.metrics.clone(), &tracker, stop.clone());
        let feed = Arc::new(Feed::new(self.store.clone(), Arc::clone(&self.clock), self.metrics.clone()));
        tracker.spawn(Arc::clone(&feed).run(stop.clone()));
        tracker.spawn(measure(Arc::clone(&feed), self.metrics.clone(), stop.clone()));
        let nodes = Arc::new(Nodes::new(self.store.clone(), Arc::clone(&self.clock)));
        tracker.spawn(sweep(Arc::clone(&nodes), stop.clone()));
        let (clock, soak) = (Arc::clone(&self.clock), self.settings.wave_soak);
        let runner = Runner::new(self.store.clone(), clock, self.metrics.clone(), soak);
        tracker.spawn(runner.run(stop.clone()));
        let copies = Arc::new(Copies::default());
        let aged = self.settings.copy.is_some().then(|| self.metrics.clone());
        tracker.spawn(Arc::clone(&copies).follow(
            self.store.clone(),
            Arc::clone(&self.clock),
            aged,
            stop.clone(),
        ));
        if let Some(settings) = self.settings.copy.clone() {
            tracker.spawn(self.publisher(settings, &feed).run(stop.clone()));
        }

        let router = self.router(&tracker, feed, nodes, copies, &stop);
        let served = router.serve_with_incoming_shutdown(connections, stop.clone().cancelled_owned());
        let lingered = async {
            stop.cancelled().await;
            tokio::time::sleep(LINGER).await;
        };
        tokio::select! {
            served = served => if let Err(error) = served {
                tracing::error!(%error, "the gRPC server failed");
            },
            () = lingered => tracing::warn!("connections of nodes did not end in time: dropped"),
        }
        stop.cancel();
        tracker.close();
        let _ = tokio::time::timeout(LINGER, tracker.wait()).await;
        Ok(())
    }

    fn publisher(&self, settings: CopySettings, feed: &Arc<Feed>) -> Publisher {
        Publisher {
            store: self.store.clone(),
            clock: Arc::clone(&self.clock),
            material: Arc::clone(&self.material),
            feed: Arc::clone(feed),
            metrics: self.metrics.clone(),
            settings,
            spares: HashMap::new(),
        }
    }

    fn router(
        self,
        tracker: &TaskTracker,
        feed: Arc<Feed>,
        nodes: Arc<Nodes>,
        copies: Arc<Copies>,
        stop: &CancellationToken,
    ) -> tonic::transport::server::Router {
        let Self { store, material, clock, settings, metrics, commands, workloads } = self;
        let now = clock.now();
        let admission = |rate: u32, burst: u32| Arc::new(Admission::new(rate, burst, now));
        let enroller = Enroller {
            store: store.clone(),
            clock: Arc::clone(&clock),
            material: Arc::clone(&material),
            nodes: Arc::clone(&nodes),
            admission: admission(
                settings.enrolments_per_second,
                settings.enrolments_per_second.saturating_mul(10),
            ),
            turns: Semaphore::new(TURNS),
            metrics: metrics.clone(),
            workloads,
        };
        let intake = Intake {
            store: store.clone(),
            clock: Arc::clone(&clock),
            nodes: Arc::clone(&nodes),
            prices: Arc::new(Prices::new(store.clone())),
            metrics: metrics.clone(),
            roots: Arc::new(Certificates::new(&material.roots)),
            tracker: tracker.clone(),
            stop: stop.clone(),
        };
        let authority = Authority {
            store: store.clone(),
            clock: Arc::clone(&clock),
            nodes: Arc::clone(&nodes),
            grant_percent: settings.grant_percent,
        };
        let questions = Questions { store: store.clone(), nodes: Arc::clone(&nodes) };
        let digests = Digests::new(store.clone());
        let shared =
            Arc::new(Shared { store, clock, material, feed, digests, nodes, commands, copies, metrics });
        let configuration = Configuration {
            shared,
            admission: admission(settings.streams_per_second, settings.streams_burst),
            tracker: tracker.clone(),
            stop: stop.clone(),
        };
        Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(15)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .http2_max_header_list_size(16 * 1024)
            .max_concurrent_streams(Some(64))
            .add_service(EnrollServiceServer::new(enroller).max_decoding_message_size(64 * 1024))
            .add_service(ConfigServiceServer::new(configuration).max_decoding_message_size(SMALL_MESSAGE))
            .add_service(BudgetServiceServer::new(authority).max_decoding_message_size(64 * 1024))
            .add_service(QueryServiceServer::new(questions).max_decoding_message_size(64 * 1024))
            .add_service(UsageServiceServer::new(intake).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }
}

async fn measure(feed: Arc<Feed>, metrics: PushMetrics, stop: CancellationToken) {
    feed.revocations.measure(&metrics, stop).await;
}

async fn sweep(nodes: Arc<Nodes>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = nodes.sweep().await {
            tracing::debug!(%error, "revoked nodes were not looked for");
        }
    }
}
