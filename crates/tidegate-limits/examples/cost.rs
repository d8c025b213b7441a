//! What an admission costs: latency, CPU of this process, CPU of Redis.
//!
//! `cargo run --release -p tidegate-limits --example cost [connections…]` starts a Redis of its
//! own. "usual" calls carry a key's rates and slot and a hold on one budget; "rich" ones three
//! scopes of rates, a slot and a hold on four budgets. Every call is settled and released, so the
//! CPU is that of admission, settlement, release and all of their network.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not the product"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smallvec::smallvec;
use tidegate_limits::{
    Admit, BudgetHold, End, Hold, Limiter, RateScope, RedisSettings, Release, ScopeLimits, Timing,
};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::KeyLimits;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, Clock, KeyId, NanoUsd, OrganizationId, Secret, TeamId, Timestamp};
use tokio_util::sync::CancellationToken;

const CALLS: u64 = 20_000;

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(0))
    }
}

fn call(n: u64, limiter: &Limiter, rich: bool) -> Admit {
    let organization_id = OrganizationId::from_u128(1 + u128::from(n % 64));
    let limits = KeyLimits {
        requests_per_minute: Some(4_000_000),
        tokens_per_minute: Some(4_000_000_000),
        concurrency: None,
    };
    let key = ScopeLimits {
        scope: RateScope::Key(KeyId::from_u128(1)),
        limits: KeyLimits { concurrency: Some(1_000_000), ..limits },
    };
    let scopes = if rich {
        let organization = ScopeLimits { scope: RateScope::Organization, limits };
        smallvec![organization, ScopeLimits { scope: RateScope::Team(TeamId::from_u128(1)), limits }, key]
    } else {
        smallvec![key]
    };
    let now = limiter.now();
    let window =
        Window { start: Timestamp::from_seconds(1_700_000_000), end: Timestamp::from_seconds(4_000_000_000) };
    let part = |budget: u128| BudgetHold {
        budget_id: BudgetId::from_u128(budget),
        window,
        limit: NanoUsd::new(1 << 52),
        limit_revision: 1,
        amount: NanoUsd::new(1_000_000),
        hard: true,
    };
    let call_id = CallId::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), u128::from(n));
    let hold = Hold {
        call_id,
        attempt: 0,
        step: 0,
        epoch: 1,
        deadline: now.plus_millis(600_000),
        budgets: if rich { smallvec![part(1), part(2), part(3), part(4)] } else { smallvec![part(1)] },
    };
    Admit { organization_id, call_id, scopes, tokens: 1000, hold: Some(hold) }
}

/// User and system time of this process in microseconds (10 ms steps).
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or("");
    let ticks = |n: usize| after.split_whitespace().nth(n).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}

async fn one(limiter: &Limiter, n: u64, rich: bool) -> Duration {
    let asked = call(n, limiter, rich);
    let began = Instant::now();
    let admitted = limiter.admit(&asked).await.unwrap();
    let took = began.elapsed();
    let hold = asked.hold.unwrap();
    limiter.settle(hold.settlement(asked.organization_id, admitted.epoch, End::Spent(NanoUsd::new(700_000))));
    limiter.release(Release { permit: admitted.permit, tokens_used: Some(500) });
    took
}

/// Calls with this many in flight; prints the latency of admissions and the CPU of whole calls.
async fn measure(name: &str, limiter: &Limiter, base: u64, in_flight: u64, rich: bool) {
    let (began, cpu) = (Instant::now(), cpu_micros());
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..in_flight {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for n in 0..CALLS / in_flight {
                times.push(one(&limiter, base + lane * CALLS + n, rich).await);
            }
            times
        });
    }
    let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    limiter.idle().await;
    let (wall, cpu) = (began.elapsed(), cpu_micros() - cpu);
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or_default();
    let calls = u128::try_from(times.len()).unwrap_or(1);
    println!(
        "{name:32} in flight {in_flight:3}: p50 {:?} p99 {:?} p99.9 {:?}; {} calls/s; {:.1} us CPU per call",
        at(500),
        at(990),
        at(999),
        calls * 1_000_000 / wall.as_micros().max(1),
        f64::from(u32::try_from(cpu).unwrap_or(0)) / f64::from(u32::try_from(calls).unwrap_or(1)),
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connections: Vec<u8> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let connections = if connections.is_empty() { vec![1, 2, 4] } else { connections };
    runtime.block_on(async {
        let memory = Limiter::memory("boot".into(), Arc::new(Wall), Timing::default());
        run("memory", &memory).await;
        for count in connections {
            let server = Server::start().unwrap();
            let stop = CancellationToken::new();
            let mut settings = RedisSettings::new(Secret::new(server.url()), 1);
            (settings.connections, settings.decision) = (count, Duration::from_secs(1));
            let limiter = Limiter::redis(settings, Arc::new(Wall), stop.clone()).await.unwrap();
            run(&format!("redis, {count} connections"), &limiter).await;
            let stats = server.command(&["INFO", "commandstats"]).unwrap();
            stats
                .lines()
                .filter(|line| line.contains("evalsha"))
                .for_each(|line| println!("  all scripts: {line}"));
            stop.cancel();
            limiter.stopped().await;
        }
    });
}

async fn run(name: &str, limiter: &Limiter) {
    for n in 1..=64 {
        limiter.open_epoch(OrganizationId::from_u128(n), 1, &[], &[]).await.unwrap();
    }
    for (nth, (in_flight, rich)) in [(1, false), (32, false), (1, true), (32, true)].into_iter().enumerate() {
        let kind = if rich { "rich" } else { "usual" };
        let base = u64::try_from(nth).unwrap_or(0) << 33;
        measure(&format!("{name}: {kind}"), limiter, base, in_flight, rich).await;
    }
}
