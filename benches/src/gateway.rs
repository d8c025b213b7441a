//! The request's path, measured: the gateway alone on core 1, mock and load on core 0.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tidegate_testkit::installation::{Installation, Shape};
use tokio_rustls::TlsConnector;

use crate::load::{self, Plan, Seen};
use crate::peers::Nginx;
use crate::process::{Usage, pin_self, step_back, step_forward};
use crate::report::{Phase, Report};
use crate::tls::{self, Tls};
use crate::{peers, report};

/// Who can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    Direct,
    Nginx,
    Memory,
    Redis,
    /// nginx with TLS on the callers' side.
    NginxTls,
    /// In memory, with TLS on the callers' side.
    Tls,
}

/// Somebody who is measured.
pub(crate) struct Subject {
    pub(crate) who: Who,
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) key: Option<String>,
    pub(crate) pids: Vec<u32>,
    /// How it is spoken to where its URL is `https`.
    pub(crate) tls: Option<TlsConnector>,
}

/// Phases with the model that makes the mock behave so.
pub(crate) const PHASES: &[(Phase, &str, bool, usize)] = &[
    (Phase::One, "mock", false, 1),
    (Phase::Many, "mock", false, 32),
    (Phase::Burst, "mock-l50-c50-i0", true, 1),
    (Phase::Flood, "mock-c100-i0", true, 32),
    (Phase::Paced, "mock-l50-c50-i20", true, 50),
    (Phase::Fresh, "mock", false, 32),
];

/// Keys loaded beside the one that is used.
const KEYS: usize = 10_000;
const SLOW_STREAMS: usize = 1_000;
/// After this long without work a node is idle.
const UNTIL_IDLE: Duration = Duration::from_secs(30);

/// What is measured, and how long.
pub(crate) struct Scope {
    pub(crate) runs: usize,
    pub(crate) window: Duration,
    /// Empty: everything.
    pub(crate) phases: Vec<Phase>,
    /// Empty: everybody.
    pub(crate) subjects: Vec<Who>,
}

impl Scope {
    fn wants(&self, who: Who) -> bool {
        self.subjects.is_empty() || self.subjects.contains(&who)
    }

    /// A connection for each request is measured where there is TLS, whose handshakes cost something.
    fn has(&self, phase: Phase, subject: &Subject) -> bool {
        let is_named = self.phases.is_empty() || self.phases.contains(&phase);
        is_named && (phase != Phase::Fresh || subject.tls.is_some())
    }
}

/// An installation and who is measured beside it, in turns.
struct Stand {
    who: Who,
    name: &'static str,
    beside: [Who; 2],
}

/// One after the other: what another installation's planes and stores do on these two cores is no part of a request.
const STANDS: [Stand; 3] = [
    Stand { who: Who::Memory, name: report::MEMORY, beside: [Who::Direct, Who::Nginx] },
    Stand { who: Who::Redis, name: report::REDIS, beside: [Who::Direct, Who::Nginx] },
    Stand { who: Who::Tls, name: report::TLS, beside: [Who::Direct, Who::NginxTls] },
];

pub(crate) async fn run(binary: &Path, scope: &Scope) -> Result<()> {
    pin_self(0)?;
    let _awake = [peers::awake(0)?, peers::awake(1)?];
    let (_mock, upstream) = peers::mock().await?;
    // Without an installation the peers stand alone.
    let named = STANDS.iter().filter(|stand| scope.wants(stand.who)).count();
    for (number, stand) in STANDS.iter().enumerate() {
        if scope.wants(stand.who) || (named == 0 && number == 0) {
            println!("\n{} beside its peers\n", stand.name);
            measure(binary, upstream, stand, scope).await?.print(SLOW_STREAMS, KEYS);
        }
    }
    Ok(())
}

async fn measure(binary: &Path, upstream: u16, stand: &Stand, scope: &Scope) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let tls = tls::make(folder.path())?;
    let nginx = peers::nginx(folder.path(), upstream, &tls).await?;
    let mut report = Report::default();
    let mut subjects = peers_of(stand, upstream, nginx.as_ref(), &tls, scope);
    let installation = match scope.wants(stand.who) {
        true => Some(stand_up(binary, upstream, stand, &tls).await?),
        false => None,
    };
    if let Some(installation) = &installation {
        let subject = subject(stand.who, stand.name, installation).await?;
        let is_secure = stand.who == Who::Tls;
        subjects.push(Subject { tls: is_secure.then(|| tls.connector.clone()), ..subject });
        report.idle.push((stand.name, resident(installation)));
        if scope.phases.is_empty() {
            load_keys(installation).await?;
            tokio::time::sleep(UNTIL_IDLE).await;
            report.loaded.push((stand.name, resident(installation)));
        }
    }
    if scope.phases.is_empty() {
        // Before the load: memory that it leaves behind would hide what a stream takes.
        for subject in &subjects {
            report.slow.push((subject.name, slow_streams(subject).await?));
        }
    }
    for _ in 0..scope.runs {
        for subject in &subjects {
            for (phase, model, stream, connections) in PHASES.iter().filter(|(p, ..)| scope.has(*p, subject))
            {
                let mut plan = plan(subject, model, *stream, *connections, scope.window);
                plan.afresh = *phase == Phase::Fresh;
                report.add(subject.name, *phase, load::run(&plan).await?);
            }
        }
    }
    report.after.extend(installation.iter().map(|installation| (stand.name, resident(installation))));
    Ok(report)
}

fn peers_of(stand: &Stand, upstream: u16, nginx: Option<&Nginx>, tls: &Tls, scope: &Scope) -> Vec<Subject> {
    let url = format!("http://127.0.0.1:{upstream}");
    let mut peers =
        vec![Subject { who: Who::Direct, name: report::DIRECT, url, key: None, pids: vec![], tls: None }];
    peers.extend(nginx.map(self::nginx));
    peers.extend(nginx.map(|nginx| nginx_tls(nginx, tls)));
    // Where no installation is wanted, all peers stand together.
    let together = !STANDS.iter().any(|stand| scope.wants(stand.who));
    peers.retain(|peer| scope.wants(peer.who) && (together || stand.beside.contains(&peer.who)));
    peers
}

/// The installation that is wanted. Its control plane and Postgres would be on other machines: on this one they
/// take what is left of core 0.
async fn stand_up(binary: &Path, upstream: u16, stand: &Stand, tls: &Tls) -> Result<Installation> {
    let files = (stand.who == Who::Tls).then(|| (tls.certificate.clone(), tls.key.clone()));
    step_back()?;
    let shape = Shape { gateway_tls: files, ..counting(stand.who == Who::Redis) };
    let installation = install(binary, upstream, shape, &[]).await?;
    step_forward(std::process::id())?;
    if let Some(redis) = &installation.redis {
        let info = redis.command(&["INFO", "server"])?;
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
        step_forward(pid.context("Redis names no process")?)?;
    }
    Ok(installation)
}

pub(crate) fn nginx(nginx: &Nginx) -> Subject {
    let url = format!("http://127.0.0.1:{}", nginx.plain);
    let pids = vec![nginx.process.pid()];
    Subject { who: Who::Nginx, name: report::NGINX, url, key: None, pids, tls: None }
}

fn nginx_tls(nginx: &Nginx, tls: &Tls) -> Subject {
    let url = format!("https://127.0.0.1:{}", nginx.tls);
    let pids = vec![nginx.process.pid()];
    let tls = Some(tls.connector.clone());
    Subject { who: Who::NginxTls, name: report::NGINX_TLS, url, key: None, pids, tls }
}

pub(crate) fn plan(
    subject: &Subject,
    model: &str,
    stream: bool,
    connections: usize,
    window: Duration,
) -> Plan {
    Plan {
        url: format!("{}/v1/chat/completions", subject.url),
        tls: subject.tls.clone(),
        afresh: false,
        key: subject.key.clone(),
        // The gateway's model of this name is called so at the mock.
        model: if subject.key.is_some() { format!("bench/{model}") } else { model.to_owned() },
        stream,
        connections,
        warm: Duration::from_secs(1),
        measure: window,
        most: None,
        pids: subject.pids.clone(),
    }
}

/// One control plane and one node of one worker on core 1, of this shape otherwise, behind further words of a command line.
pub(crate) async fn install(
    binary: &Path,
    upstream: u16,
    shape: Shape,
    wrapper: &[&str],
) -> Result<Installation> {
    let pinned = ["taskset", "-c", "1", "chrt", "--other", "0"];
    let shape = Shape {
        workers: Some(1),
        node_wrapper: pinned.iter().chain(wrapper).map(|word| (*word).to_owned()).collect(),
        upstream: Some(format!("http://127.0.0.1:{upstream}/v1")),
        decision_timeout_ms: None,
        ..shape
    };
    let installation = Installation::start(binary, shape).await?;
    let models: BTreeSet<_> = PHASES.iter().map(|(_, model, ..)| *model).chain([SLOW_MODEL]).collect();
    for model in models {
        installation.model(&format!("bench/{model}"), "mock", model).await?;
    }
    Ok(installation)
}

/// Where counters are.
pub(crate) fn counting(redis: bool) -> Shape {
    Shape { redis, ..Shape::default() }
}

/// A key with rate limits and a hard budget, as a careful customer has it.
pub(crate) async fn subject(who: Who, name: &'static str, installation: &Installation) -> Result<Subject> {
    let limits = serde_json::json!({"limits": {"requests_per_minute": 100_000_000, "tokens_per_minute": 4_000_000_000u32, "concurrency": 20_000}});
    let (id, key) = installation.key("bench", &limits).await?;
    installation.budget("bench", "100000", serde_json::json!({"key": id})).await?;
    let url = installation.gateway(0)?;
    let pids = vec![installation.nodes[0].pid()];
    Ok(Subject { who, name, url, key: Some(key), pids, tls: None })
}

const SLOW_MODEL: &str = "mock-l50-c16-i500";

/// Many slow streams at once: what one costs in memory, and how many end well.
async fn slow_streams(subject: &Subject) -> Result<(u64, Seen)> {
    let before = Usage::of(&subject.pids).resident_kib;
    let mut plan = plan(subject, SLOW_MODEL, true, SLOW_STREAMS, Duration::from_secs(20));
    plan.most = Some(SLOW_STREAMS as u64);
    let seen = load::run(&plan).await?;
    Ok((seen.resident_kib.saturating_sub(before), seen))
}

fn resident(installation: &Installation) -> u64 {
    Usage::of(&[installation.nodes[0].pid()]).resident_kib
}

async fn load_keys(installation: &Installation) -> Result<()> {
    let made = futures_util::future::join_all((0..8).map(|part| async move {
        for number in 0..KEYS / 8 {
            let body =
                serde_json::json!({"team_id": installation.team, "name": format!("idle-{part}-{number}")});
            installation.admin.post("/keys", &body).await?;
        }
        anyhow::Ok(())
    }));
    made.await.into_iter().collect::<Result<Vec<()>>>()?;
    installation.key("last", &serde_json::json!({})).await?;
    Ok(())
}
