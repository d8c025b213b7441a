//! `tidegate node`: a data-plane node.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ipnet::IpNet;
use tidegate_limits::{Limiter, RedisSettings, SentinelSettings, Timing};
use tidegate_node::{
    CertificateFiles, ControlPlane, CopySource, Edges, Enrolling, GatewayTls, MakeGateway, Node,
    NodeSettings, Probe, RunningNode, SHIP_AT_END, ServiceAccount, TRIAL,
};
use tidegate_proxy::{Gateway, Parts};
use tidegate_secrets::copy::{class_key_from_text, read_class_key};
use tidegate_telemetry::{Metrics, SystemClock, entropy};
use tidegate_types::clock::Clock as _;
use tidegate_types::{OrganizationId, Secret};
use tidegate_upstream::{EgressProxy, PrivateTarget, Upstreams};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{self, Config, Tls, required, secret};
use crate::{confine, shutdown};

/// Whether the configuration has what this command needs.
pub(crate) fn check(config: &Config) -> Result<()> {
    let limiter = Limiter::memory(String::new(), Arc::new(SystemClock), Timing::default());
    redis_settings(&config.redis)?;
    settings(config, limiter, upstreams(&config.upstream)?).map(|_| ())
}

/// Serves until a signal comes, or the control plane asks the node to drain.
pub(crate) async fn run(config: Config) -> Result<()> {
    let tasks = TaskTracker::new();
    let stop = shutdown::on_signal(&tasks)?;
    let limits_end = CancellationToken::new();
    let limiter = limiter(&config.redis, limits_end.clone()).await?;
    let drain_lead = Duration::from_secs(config.node.drain_lead_seconds);
    let drain_timeout = Duration::from_secs(config.node.drain_timeout_seconds);
    let upstreams = upstreams(&config.upstream)?;
    tasks.spawn(sweep(upstreams.clone(), limits_end.clone()));
    let settings = settings(&config, limiter.clone(), upstreams)?;
    let scheme = if settings.gateway_tls.is_some() { "https" } else { "http" };
    // From here on nothing needs the secrets in the configuration, nor another program.
    drop(config);
    confine::forbid_programs().context("confine the process")?;
    let node = tokio::select! {
        node = Node::start(settings) => node.context("start the node")?,
        // It may wait for a control plane that never comes.
        () = stop.cancelled() => {
            limits_end.cancel();
            limiter.stopped().await;
            tracing::info!("stopped before the node was enrolled");
            return Ok(());
        }
    };
    announce(&node, scheme);
    tokio::select! {
        () = announce_ready(&node) => {}
        () = stop.cancelled() => {}
    }
    tokio::select! {
        () = stop.cancelled() => {}
        () = node.drain_asked() => {}
    }
    node.leave(drain_lead).await;
    node.drain(drain_timeout).await;
    limits_end.cancel();
    limiter.stopped().await;
    tracing::info!("stopped");
    Ok(())
}

/// Closes connections to providers that nobody has used for a while.
async fn sweep(upstreams: Upstreams, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(10));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        upstreams.sweep();
    }
}

fn announce(node: &RunningNode, scheme: &str) {
    tracing::info!("gateway on {scheme}://{}", node.gateway_address());
    tracing::info!("metrics on http://{}", node.metrics_address());
}

async fn announce_ready(node: &RunningNode) {
    while !node.is_ready() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tracing::info!(node_id = %node.node_id(), pool = node.pool(), "node is ready");
}

/// Counters in Redis, or in this process's memory when no Redis is configured.
pub(crate) async fn limiter(redis: &config::Redis, stop: CancellationToken) -> Result<Limiter> {
    let clock = Arc::new(SystemClock);
    match redis_settings(redis)? {
        Some(settings) => Limiter::redis(settings, clock, stop).await.context("redis.url"),
        None => {
            let run_id = format!("memory-{:x}-{:x}", clock.now().as_micros(), entropy::random_u64());
            Ok(Limiter::memory(run_id, clock, Timing::default()))
        }
    }
}

/// How Redis is reached, when one is configured: all that can be known without asking it is in order.
pub(crate) fn redis_settings(redis: &config::Redis) -> Result<Option<RedisSettings>> {
    let Some(url) = &redis.url else {
        ensure!(redis.ca_file.is_none(), "configuration: redis.ca_file is given without redis.url");
        ensure!(redis.sentinel.is_none(), "configuration: redis.sentinel is given without redis.url");
        ensure!(redis.cluster.is_none(), "configuration: redis.cluster is given without redis.url");
        return Ok(None);
    };
    ensure!(
        (5..=5_000).contains(&redis.decision_timeout_ms),
        "configuration: redis.decision_timeout_ms is 5 to 5000"
    );
    let mut settings = RedisSettings::new(Secret::new(url.as_str()), entropy::random_u64());
    settings.decision = Duration::from_millis(redis.decision_timeout_ms);
    if let Some(file) = &redis.ca_file {
        let roots = std::fs::read(file);
        settings.ca = Some(roots.with_context(|| format!("read redis.ca_file {}", file.display()))?);
    }
    settings.sentinel = redis.sentinel.as_ref().map(sentinels).transpose()?;
    settings.cluster = redis.cluster.as_ref().map(|cluster| cluster.addresses.clone());
    settings.check().context("configuration: redis.url, redis.ca_file, redis.sentinel, redis.cluster")?;
    Ok(Some(settings))
}

/// The Sentinels, with their password.
fn sentinels(given: &config::Sentinel) -> Result<SentinelSettings> {
    let key = "redis.sentinel.password";
    Ok(SentinelSettings {
        addresses: given.addresses.clone(),
        group: given.group.clone(),
        user: given.user.clone(),
        password: secret(given.password.as_deref(), given.password_file.as_ref(), key)?,
        tls: given.tls,
    })
}

/// Where a node enrols, and by what.
pub(crate) fn enrolling(config: &Config) -> Result<Enrolling> {
    let node = &config.node;
    let roots = required(node.trust_roots_file.as_ref(), "node.trust_roots_file")?;
    let roots_pem = std::fs::read_to_string(roots)
        .with_context(|| format!("read node.trust_roots_file {}", roots.display()))?;
    let url = required(node.control_plane_url.clone(), "node.control_plane_url")?;
    Ok(Enrolling {
        control: ControlPlane { url, server_name: None, roots_pem },
        join_token: secret(node.join_token.as_deref(), node.join_token_file.as_ref(), "node.join_token")?,
        service_account: node
            .service_account_token_file
            .as_ref()
            .map(|token_file| ServiceAccount { token_file: token_file.clone(), pool: node.pool.clone() }),
        name: node.name.clone().unwrap_or_else(|| "node".to_owned()),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// What a node needs of the configuration.
pub(crate) fn settings(config: &Config, limiter: Limiter, upstreams: Upstreams) -> Result<NodeSettings> {
    let node = &config.node;
    let Enrolling { control, join_token, service_account, name, software_version } = enrolling(config)?;
    let metrics = Metrics::default();
    Ok(NodeSettings {
        state: node.state_dir.clone(),
        name,
        software_version,
        control,
        join_token,
        service_account,
        copy: copy_source(config)?,
        gateway_listen: node.listen,
        gateway_tls: node.tls.as_ref().map(gateway_tls).transpose()?,
        metrics_listen: node.metrics_listen,
        limiter: limiter.clone(),
        gateway: make_gateway(gateway_settings(config)?, limiter, upstreams, metrics.clone()),
        clock: Arc::new(SystemClock),
        metrics,
        journal_limit_bytes: Some(node.journal_max_bytes),
        trial: TRIAL,
        ship_at_end: SHIP_AT_END,
        probe: Probe::default(),
    })
}

/// Where a fresh node finds a copy of the configuration.
fn copy_source(config: &Config) -> Result<Option<CopySource>> {
    let config::NodeCopy { folder, key, key_file, max_age_hours } = &config.node.copy;
    let Some(folder) = folder.clone() else { return Ok(None) };
    // Over counters of its own nobody could tell whose a reserve is.
    ensure!(redis_settings(&config.redis)?.is_some(), "configuration: node.copy.folder needs redis.url");
    ensure!((1..=168).contains(max_age_hours), "configuration: node.copy.max_age_hours is 1 to 168");
    let class_key = match (key, key_file) {
        (Some(_), Some(_)) => bail!("configuration: give node.copy.key or node.copy.key_file, not both"),
        (Some(key), None) => class_key_from_text(key).context("configuration: node.copy.key")?,
        (None, file) => {
            let file = required(file.as_ref(), "node.copy.key_file")?;
            read_class_key(file).with_context(|| format!("read node.copy.key_file {}", file.display()))?
        }
    };
    Ok(Some(CopySource {
        folder,
        class_key: Arc::new(class_key),
        pool: config.node.pool.clone(),
        max_age_millis: i64::from(*max_age_hours) * 3_600_000,
    }))
}

fn gateway_settings(config: &Config) -> Result<tidegate_proxy::Settings> {
    let mut settings = tidegate_proxy::Settings::default();
    if let Some(url) = &config.upstream.google_token_url {
        settings.google_token_url.clone_from(url);
    }
    settings.cache_bytes = config.node.response_cache_bytes;
    settings.cache_entry_bytes = config.node.response_cache_entry_bytes;
    settings.trusted_proxies = trusted_proxies(config)?;
    Ok(settings)
}

/// Networks, or single addresses.
fn trusted_proxies(config: &Config) -> Result<Vec<IpNet>> {
    let read = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| address()).with_context(|| format!("node.trusted_proxies {text:?}"))
    };
    config.node.trusted_proxies.iter().map(read).collect()
}

/// The request's path, from the process's parts and what the node lends it.
fn make_gateway(
    settings: tidegate_proxy::Settings,
    limiter: Limiter,
    upstreams: Upstreams,
    metrics: Metrics,
) -> MakeGateway {
    Box::new(move |edges: Edges| {
        Gateway::new(Parts {
            settings: settings.clone(),
            config: edges.config,
            limiter: limiter.clone(),
            upstreams: upstreams.clone(),
            records: edges.records,
            authority: edges.authority,
            vault: edges.vault,
            questions: edges.questions,
            clock: Arc::new(SystemClock),
            entropy: entropy::random_u128,
            metrics: metrics.clone(),
            ready: edges.ready,
        })
    })
}

pub(crate) fn upstreams(config: &config::Upstream) -> Result<Upstreams> {
    let private = config.private.iter().map(private_target).collect::<Result<Vec<_>>>()?;
    let extra_ca = config.extra_ca_file.as_ref();
    let extra_ca = extra_ca
        .map(|file| std::fs::read(file).with_context(|| format!("read {}", file.display())))
        .transpose()?;
    let proxy = config.proxy.as_ref().map(|url| EgressProxy::parse(url, config.proxy_resolves));
    let proxy = proxy.transpose().context("configuration: upstream.proxy")?;
    let settings =
        tidegate_upstream::Settings { private, extra_ca, proxy, ..tidegate_upstream::Settings::default() };
    Upstreams::new(&settings).context("upstream")
}

fn private_target(target: &config::PrivateTarget) -> Result<PrivateTarget> {
    let organizations = target.organizations.iter().map(|id| match id.as_str() {
        "*" => Ok(OrganizationId::SYSTEM),
        id => id.parse().context("upstream.private.organizations"),
    });
    Ok(PrivateTarget {
        cidr: target.cidr.parse().with_context(|| format!("upstream.private.cidr {:?}", target.cidr))?,
        ports: if target.ports.is_empty() { vec![443] } else { target.ports.clone() },
        http: target.http,
        organizations: organizations.collect::<Result<_>>()?,
    })
}

fn gateway_tls(tls: &Tls) -> Result<GatewayTls> {
    let files = CertificateFiles { certificate: tls.certificate_file.clone(), key: tls.key_file.clone() };
    GatewayTls::read(files, Arc::new(SystemClock)).context("configuration")
}
