//! The metrics port: `/metrics`, `/livez`, `/readyz`, and what the node itself measures.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidegate_limits::Limiter;
use tidegate_telemetry::Metrics;
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;
use tidegate_types::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certificate::CertificateGauges;
use crate::listen::accept;
use crate::pulse::Pulse;

/// Between two looks at readiness.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Serves until `stop`. Before the node is put together there is no pulse: it lives and is not ready.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    pulse: Arc<OnceLock<Arc<Pulse>>>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    while let Some((socket, _)) = accept(&listener, &stop).await {
        let (metrics, pulse, stop) = (metrics.clone(), Arc::clone(&pulse), stop.clone());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&metrics, pulse.get().map(Arc::as_ref), &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
            let connection = server.serve_connection(TokioIo::new(socket), service);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

fn answer<B>(metrics: &Metrics, pulse: Option<&Pulse>, request: &Request<B>) -> Response<Full<Bytes>> {
    if let Some(response) = tidegate_telemetry::respond(metrics, request) {
        return response;
    }
    let (status, text) = match request.uri().path() {
        "/livez" => (StatusCode::OK, "ok\n"),
        "/readyz" if pulse.is_some_and(Pulse::judge) => (StatusCode::OK, "ready\n"),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ => (StatusCode::NOT_FOUND, "not found\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

/// What the node measures besides the request's path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges {
    pending_records: Gauge,
    pending_bytes: Gauge,
    used_bytes: Gauge,
    horizon: Gauge,
    ready: Gauge,
    organizations: Gauge,
    keys: Gauge,
    silence: Gauge,
    on_trial: Gauge,
    held_back: Gauge,
    deaths: Gauge,
    /// Set by who watches it.
    pub(crate) certificate: CertificateGauges,
    /// Set by who renews it.
    pub(crate) identity: Gauge,
    /// Set by who tells and hears.
    pub(crate) unheard: Gauge,
}

impl Gauges {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let gauges = Self::default();
        let g = gauges.clone();
        metrics.register(|r| {
            r.register(
                "journal_pending_records",
                "Records that the control plane has not stored",
                g.pending_records,
            );
            r.register("journal_pending_bytes", "Bytes of segments that hold them", g.pending_bytes);
            r.register("journal_used_bytes", "Bytes of the journal on disk", g.used_bytes);
            r.register(
                "journal_horizon_seconds",
                "Time until the journal is full at the recent rate",
                g.horizon,
            );
            r.register("node_ready", "1 when the node serves", g.ready);
            r.register("config_organizations", "Organizations held", g.organizations);
            r.register("config_keys", "Virtual keys held", g.keys);
            r.register(
                "config_unconfirmed_seconds",
                "Time since the control plane last said that the configuration held is all there is",
                g.silence,
            );
            r.register(
                "config_on_trial_shards",
                "Shards with changes that the node has not yet served with for as long as a trial takes",
                g.on_trial,
            );
            r.register(
                "config_held_back_shards",
                "Shards whose newest changes are not applied, because the node died of them or applying them panicked",
                g.held_back,
            );
            r.register(
                "config_trial_deaths",
                "Times in a row that the node died with configuration that had not passed its trial",
                g.deaths,
            );
            r.register(
                "gateway_certificate_expiration_timestamp_seconds",
                "Unix time at which the gateway's certificate ends; 0: the gateway has no TLS of its own",
                g.certificate.expires,
            );
            r.register(
                "gateway_certificate_refused",
                "1 while the gateway's certificate files hold what is not taken: it cannot be used, or its time is over or has not come",
                g.certificate.refused,
            );
            r.register(
                "node_certificate_expiration_timestamp_seconds",
                "Unix time at which the certificate ends by which the control plane knows the node",
                g.identity,
            );
            r.register(
                "revocations_unheard_seconds",
                "Time since the nodes of the pool last told one another of revoked keys over Redis",
                g.unheard,
            );
        });
        gauges
    }

    /// Takes a reading.
    pub(crate) fn read(&self, pulse: &Pulse, now: Timestamp) {
        let status = pulse.journal.status();
        let counts = pulse.handle.config.counts();
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.pending_records, status.pending_records);
        set(&self.pending_bytes, status.pending_bytes);
        set(&self.used_bytes, status.used_bytes);
        set(&self.horizon, status.horizon_seconds);
        let [on_trial, held_back, deaths] = pulse.handle.guarded();
        set(&self.on_trial, on_trial);
        set(&self.held_back, held_back);
        set(&self.deaths, deaths);
        set(&self.organizations, counts.organizations as u64);
        set(&self.keys, counts.keys as u64);
        let silent = now.millis_since(pulse.handle.config.confirmed_at()).max(0) / 1000;
        self.silence.set(silent);
        set(&self.ready, u64::from(pulse.ready.load(Ordering::Relaxed)));
    }
}

/// Judges readiness, takes readings and passes on what the pool is, until `stop`.
pub(crate) async fn look(
    pulse: Arc<Pulse>,
    limiter: Limiter,
    clock: Arc<dyn Clock>,
    gauges: Gauges,
    stop: CancellationToken,
) {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                pulse.handle.look(pulse.judge());
                gauges.read(&pulse, clock.now());
                limiter.set_live_nodes(pulse.handle.config.pool().live_nodes);
            }
        }
    }
}
