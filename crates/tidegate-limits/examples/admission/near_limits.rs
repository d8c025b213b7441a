//! Three nodes near a limit: what grants keep from others, and what is refused although it would have fitted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use smallvec::smallvec;
use tidegate_limits::{Admit, End, Hold, LimitError, Limiter, RateScope, ScopeLimits};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::KeyLimits;
use tidegate_types::{BudgetId, CallId, KeyId, NanoUsd, OrganizationId};
use tokio_util::sync::CancellationToken;

use crate::calls::part;
use crate::redis;

const NODES: u64 = 3;
const CLIENTS: u64 = 48;
const ORGANIZATION: OrganizationId = OrganizationId::from_u128(1);
/// A call holds so much and costs a tenth of it; the limit pays for 20,000 such calls.
const HELD: i64 = 1_000_000;
const COST: i64 = 100_000;
const LIMIT: i64 = 2_000_000_000;

#[derive(Default)]
struct Tally {
    /// What all calls really hold or have spent.
    used: AtomicI64,
    spent: AtomicI64,
    refused: AtomicU64,
    falsely: AtomicU64,
    number: AtomicU64,
}

async fn nodes(server: &Server, stop: &CancellationToken) -> Vec<Limiter> {
    let mut nodes = Vec::new();
    for seed in 1..=NODES {
        let limiter = redis(server, seed, true, stop).await;
        limiter.set_live_nodes(u32::try_from(NODES).unwrap());
        nodes.push(limiter);
    }
    nodes
}

fn hold(limiter: &Limiter, n: u64) -> Hold {
    let call_id = CallId::from_u128(u128::from(n));
    let deadline = limiter.now().plus_millis(600_000);
    Hold { call_id, attempt: 0, step: 0, epoch: 1, deadline, budgets: smallvec![part(1, LIMIT, HELD)] }
}

async fn client(limiter: Limiter, tally: Arc<Tally>) {
    while tally.spent.load(Ordering::Relaxed) + HELD <= LIMIT {
        let hold = hold(&limiter, tally.number.fetch_add(1, Ordering::Relaxed) + 1);
        let ask = Admit {
            organization_id: ORGANIZATION,
            call_id: hold.call_id,
            scopes: smallvec![],
            tokens: 0,
            hold: Some(hold.clone()),
        };
        // Counted before it is asked for, so that nothing which fits is taken for what does not.
        let before = tally.used.fetch_add(HELD, Ordering::SeqCst);
        match limiter.admit(&ask).await {
            Ok(_) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                limiter.settle(hold.settlement(ORGANIZATION, 1, End::Spent(NanoUsd::new(COST))));
                tally.used.fetch_sub(HELD - COST, Ordering::SeqCst);
                tally.spent.fetch_add(COST, Ordering::SeqCst);
            }
            Err(LimitError::Refused(_)) => {
                tally.used.fetch_sub(HELD, Ordering::SeqCst);
                tally.refused.fetch_add(1, Ordering::Relaxed);
                let fitted = before + HELD <= LIMIT;
                tally.falsely.fetch_add(u64::from(fitted), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => println!("{error}"),
        }
    }
}

/// From nothing to the last call that fits.
pub(crate) async fn budgets() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let (nodes, tally) = (nodes(&server, &stop).await, Arc::new(Tally::default()));
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(client(nodes[usize::try_from(n % NODES).unwrap()].clone(), Arc::clone(&tally)));
    }
    println!("\n{NODES} nodes, {CLIENTS} clients, a limit that pays for {} calls:\n", LIMIT / COST);
    println!(
        "| used of the limit | most in advance, of the limit | calls without asking | refused | falsely |"
    );
    println!("|---|--:|--:|--:|--:|");
    let mut from = (0, 0, 0, 0);
    for (name, until) in [("to 50 %", 50), ("to 90 %", 90), ("to 99 %", 99), ("to the end", 101)] {
        let mut most = 0;
        while tally.spent.load(Ordering::Relaxed) < LIMIT / 100 * until && !clients.is_empty() {
            most = most.max(nodes.iter().map(|node| node.stats().granted_free).sum::<i64>());
            tokio::time::sleep(Duration::from_millis(2)).await;
            while clients.try_join_next().is_some() {}
        }
        let local = nodes.iter().map(|node| node.stats().held_locally).sum::<u64>();
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let now = (local, load(&tally.refused), load(&tally.falsely), load(&tally.number));
        let calls = (now.3 - from.3).max(1);
        println!(
            "| {name} | {:.2} % | {:.0} % | {} | {} |",
            most as f64 * 100.0 / LIMIT as f64,
            (now.0 - from.0) as f64 * 100.0 / calls as f64,
            now.1 - from.1,
            now.2 - from.2,
        );
        from = now;
    }
    for node in &nodes {
        node.idle().await;
    }
    let asked = [(BudgetId::from_u128(1), part(1, LIMIT, 0).window)];
    let balance = nodes[0].balances(ORGANIZATION, &asked).await.unwrap()[0];
    println!(
        "\nin the end {} of {LIMIT} spent, {} held, {} refused calls were told of a balance that had room\n",
        balance.spent,
        balance.held,
        tally.falsely.load(Ordering::Relaxed),
    );
    stop.cancel();
}

/// One key of 6,000 requests a minute, as fast as three nodes can ask.
pub(crate) async fn rates() {
    const PER_MINUTE: u32 = 6_000;
    const SPAN: Duration = Duration::from_secs(4);
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let nodes = nodes(&server, &stop).await;
    let limits = KeyLimits { requests_per_minute: Some(PER_MINUTE), ..KeyLimits::default() };
    let scopes = smallvec![ScopeLimits { scope: RateScope::Key(KeyId::from_u128(1)), limits }];
    let (until, mut clients) = (Instant::now() + SPAN, tokio::task::JoinSet::new());
    for n in 0..6 {
        let (limiter, scopes) = (nodes[n % 3].clone(), scopes.clone());
        clients.spawn(async move {
            let (mut admitted, mut number) = (0, 0);
            while Instant::now() < until {
                number += 1;
                let call_id = CallId::from_u128((n as u128) << 64 | number);
                let ask = Admit {
                    organization_id: ORGANIZATION,
                    call_id,
                    scopes: scopes.clone(),
                    tokens: 0,
                    hold: None,
                };
                match limiter.admit(&ask).await {
                    Ok(_) => admitted += 1,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
                tokio::task::yield_now().await;
            }
            admitted
        });
    }
    let admitted: u32 = clients.join_all().await.into_iter().sum();
    let local: u64 = nodes.iter().map(|node| node.stats().rated_locally).sum();
    let whole = PER_MINUTE + PER_MINUTE / 60 * u32::try_from(SPAN.as_secs()).unwrap();
    println!(
        "{PER_MINUTE} requests a minute, {NODES} nodes, {SPAN:?}: {admitted} of {whole} admitted, {local} without asking"
    );
    stop.cancel();
}
