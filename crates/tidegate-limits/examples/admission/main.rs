//! What an admission costs (latency, CPU of this process and of Redis, trips), with grants, with one trip to
//! Redis, and in memory; and what grants keep from others near a limit. `cargo xtask bench admission [calls]`.
//!
//! Starts a Redis of its own. Every call is settled and released, so the CPU is that of admission,
//! settlement, release and all of their network.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement, not the product"
)]

mod calls;
mod near_limits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_limits::{End, Limiter, RedisSettings, Release, Timing};
use tidegate_testkit::redis::Server;
use tidegate_types::{NanoUsd, OrganizationId, Secret};
use tokio_util::sync::CancellationToken;

use self::calls::{Kind, ORGANIZATIONS, Wall, call};

/// How admissions are decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Memory,
    OneTrip,
    Grants,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::OneTrip => "one trip to Redis",
            Self::Grants => "grants",
        }
    }
}

fn main() {
    let calls = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(20_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!(
            "| call | decided by | in flight | p50 µs | p99 µs | CPU µs | Redis CPU µs | admissions a trip |"
        );
        println!("|---|---|--:|--:|--:|--:|--:|--:|");
        for kind in [Kind::Budget, Kind::Usual, Kind::Rich] {
            for way in [Way::Memory, Way::OneTrip, Way::Grants] {
                for in_flight in [1, 32] {
                    measure(kind, way, in_flight, calls).await;
                }
            }
        }
        near_limits::budgets().await;
        near_limits::rates().await;
    });
}

/// A limiter over a Redis of its own, permitted to take a tenth in advance where grants are asked for.
pub(crate) async fn redis(server: &Server, seed: u64, grants: bool, stop: &CancellationToken) -> Limiter {
    let mut settings = RedisSettings::new(Secret::new(server.url()), seed);
    settings.decision = Duration::from_secs(1);
    settings.grants.rates = grants;
    let limiter = Limiter::redis(settings, Arc::new(Wall), stop.clone()).await.unwrap();
    for organization in (1..=ORGANIZATIONS).map(OrganizationId::from_u128) {
        limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
        if grants {
            limiter.allow_grants(organization, 1, 10);
        }
    }
    limiter
}

async fn measure(kind: Kind, way: Way, in_flight: u64, calls: u64) {
    let (stop, server) = (CancellationToken::new(), (way != Way::Memory).then(|| Server::start().unwrap()));
    let limiter = match &server {
        Some(server) => redis(server, 1, way == Way::Grants, &stop).await,
        None => {
            let limiter = Limiter::memory("boot".into(), Arc::new(Wall), Timing::default());
            for organization in (1..=ORGANIZATIONS).map(OrganizationId::from_u128) {
                limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
            }
            limiter
        }
    };
    // Grants come with traffic: what is measured begins after a while of it.
    let _warm = lanes(&limiter, kind, in_flight, calls / 4, 1 << 40).await;
    let (cpu, redis_cpu, before) = (cpu_micros(), redis_cpu(server.as_ref()), limiter.stats());
    let mut times = lanes(&limiter, kind, in_flight, calls, 1 << 41).await;
    let after = limiter.stats();
    limiter.idle().await;
    let per_call = |micros: u64| micros as f64 / times.len().max(1) as f64;
    let (cpu, redis_cpu) =
        (per_call(cpu_micros() - cpu), per_call(redis_cpu_since(server.as_ref(), redis_cpu)));
    let local = match kind {
        Kind::Budget => after.held_locally - before.held_locally,
        Kind::Usual | Kind::Rich => after.rated_locally - before.rated_locally,
    };
    let trips = calls.saturating_sub(local) + after.exchanges - before.exchanges;
    times.sort_unstable();
    let at =
        |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e6;
    let trips = if way == Way::Memory {
        "–".to_owned()
    } else {
        format!("{:.1}", calls as f64 / trips.max(1) as f64)
    };
    println!(
        "| {} | {} | {in_flight} | {:.1} | {:.1} | {cpu:.1} | {redis_cpu:.1} | {trips} |",
        kind.name(),
        way.name(),
        at(50),
        at(99),
    );
    stop.cancel();
    limiter.stopped().await;
}

/// Calls with this many in flight; how long each waited for its admission.
async fn lanes(limiter: &Limiter, kind: Kind, in_flight: u64, calls: u64, base: u64) -> Vec<Duration> {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..in_flight {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for n in 0..calls / in_flight {
                times.push(one(&limiter, base + lane * calls + n, kind).await);
                // What is behind the path has its turn, as between two requests of a connection.
                tokio::task::yield_now().await;
            }
            times
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

async fn one(limiter: &Limiter, n: u64, kind: Kind) -> Duration {
    let asked = call(n, limiter, kind);
    let began = Instant::now();
    let admitted = limiter.admit(&asked).await.unwrap();
    let took = began.elapsed();
    let hold = asked.hold.unwrap();
    limiter.settle(hold.settlement(
        asked.organization_id,
        admitted.held.epoch,
        End::Spent(NanoUsd::new(700_000)),
    ));
    limiter.release(Release { permit: admitted.permit, tokens_used: Some(500) });
    took
}

/// User and system time of this process in microseconds (10 ms steps).
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or("");
    let ticks = |n: usize| after.split_whitespace().nth(n).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}

fn redis_cpu(server: Option<&Server>) -> u64 {
    let Some(server) = server else { return 0 };
    let text = server.command(&["INFO", "cpu"]).unwrap();
    let seconds = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().parse::<f64>().unwrap_or(0.0)
    };
    let all = seconds("used_cpu_sys:") + seconds("used_cpu_user:");
    Duration::try_from_secs_f64(all).map_or(0, |span| u64::try_from(span.as_micros()).unwrap_or(0))
}

fn redis_cpu_since(server: Option<&Server>, before: u64) -> u64 {
    redis_cpu(server).saturating_sub(before)
}
