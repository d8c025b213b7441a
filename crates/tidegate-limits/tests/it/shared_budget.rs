//! Three nodes on one budget: never over the limit, nothing left held, every cost counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tidegate_limits::{End, Hold, LimitError, Limiter, Refusal};
use tidegate_types::{BudgetId, NanoUsd};
use tokio_util::sync::CancellationToken;

use crate::support::{ORGANIZATION, SOON, admit, call, connect, hard, month, spent};

const LIMIT: i64 = 1_000_000_007;

/// xorshift, so that a run can be repeated by its seed.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

struct Worker {
    limiter: Limiter,
    total: Arc<AtomicI64>,
    served: Arc<AtomicU64>,
    random: u64,
}

impl Worker {
    async fn run(mut self) {
        for _ in 0..120 {
            let amount = i64::try_from(next(&mut self.random) % 20_000_000 + 1).unwrap();
            let mut hold = Hold {
                call_id: call(),
                attempt: 0,
                step: 0,
                epoch: 1,
                deadline: self.limiter.now().plus_millis(60_000),
                budgets: [hard(1, LIMIT, amount), hard(2, LIMIT * 2, amount)].into_iter().collect(),
            };
            match self.limiter.admit(&admit(hold.call_id, &[], 0, Some(hold.clone()))).await {
                Ok(admitted) => assert_eq!(admitted.held.epoch, 1),
                Err(LimitError::Refused(refused)) => {
                    let Refusal::Budget { limit, spent, held, unresolved, .. } = refused.refusal else {
                        panic!("{refused:?}")
                    };
                    let room = limit.get() - spent.get() - held.get() - unresolved.get();
                    assert!(room >= 0 && room < amount, "refused {amount} with {room} left");
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            self.served.fetch_add(1, Ordering::Relaxed);
            let mut cost = amount;
            if next(&mut self.random).is_multiple_of(3) {
                hold.step = 1;
                if self.limiter.hold(ORGANIZATION, &hold).await.is_ok() {
                    cost *= 2;
                }
            }
            tokio::task::yield_now().await;
            let end = match next(&mut self.random) % 5 {
                0 => End::Void,
                1 => spent(cost),
                _ => spent(cost / 3),
            };
            if let End::Spent(cost) = end {
                self.total.fetch_add(cost.get(), Ordering::Relaxed);
            }
            self.limiter.settle(hold.settlement(ORGANIZATION, 1, end));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_one_budget_never_pass_its_limit() {
    let server = tidegate_testkit::redis::Server::start().unwrap();
    let stop = CancellationToken::new();
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        nodes.push(connect(&server, seed, &stop).await);
    }
    nodes[0].open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let (total, served) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
    let budgets = [(BudgetId::from_u128(1), month()), (BudgetId::from_u128(2), month())];

    let over = Arc::new(AtomicBool::new(false));
    let mut watch = tokio::task::JoinSet::new();
    {
        let (limiter, over, stop) = (nodes[1].clone(), Arc::clone(&over), stop.child_token());
        watch.spawn(async move {
            let mut looks = 0u64;
            while !stop.is_cancelled() {
                for balance in limiter.balances(ORGANIZATION, &budgets).await.unwrap() {
                    let used = balance.spent + balance.held + balance.unresolved;
                    over.fetch_or(balance.limit.is_some_and(|limit| used > limit), Ordering::Relaxed);
                    looks += 1;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            looks
        });
    }
    let mut workers = tokio::task::JoinSet::new();
    for n in 0..48u64 {
        let limiter = nodes[usize::try_from(n % 3).unwrap()].clone();
        let random = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        workers
            .spawn(Worker { limiter, total: Arc::clone(&total), served: Arc::clone(&served), random }.run());
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    for node in &nodes {
        tokio::time::timeout(SOON, node.idle()).await.expect("the queue drains");
    }
    let end = nodes[2].balances(ORGANIZATION, &budgets).await.unwrap();
    stop.cancel();
    assert!(watch.join_next().await.unwrap().unwrap() > 10, "the watch looked");
    assert!(!over.load(Ordering::Relaxed), "over the limit");
    let total = NanoUsd::new(total.load(Ordering::Relaxed));
    for balance in end {
        assert_eq!((balance.spent, balance.held.get(), balance.unresolved.get()), (total, 0, 0));
    }
    // The budget was really contended, and really used.
    assert!(served.load(Ordering::Relaxed) < 48 * 120, "some were refused");
    assert!(total.get() > LIMIT / 2, "much was spent: {total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_call_before_gives_back_is_there_for_the_next_one() {
    let server = tidegate_testkit::redis::Server::start().unwrap();
    let stop = CancellationToken::new();
    let limiter = connect(&server, 1, &stop).await;
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let ask = || {
        let hold = Hold {
            call_id: call(),
            attempt: 0,
            step: 0,
            epoch: 1,
            deadline: limiter.now().plus_millis(60_000),
            budgets: [hard(1, 1_000, 900)].into_iter().collect(),
        };
        admit(hold.call_id, &[], 0, Some(hold))
    };
    let mut early = 0;
    for _ in 0..200 {
        let ask = ask();
        let under_way = limiter.under_way(ORGANIZATION);
        let mut decided = limiter.admit(&ask).await;
        if let Err(LimitError::Refused(_)) = decided {
            early += 1;
            assert!(limiter.caught_up(under_way, ORGANIZATION, &[]).await, "nothing was under way");
            decided = limiter.admit(&ask).await;
        }
        decided.expect("nobody else holds anything");
        limiter.settle(ask.hold.unwrap().settlement(ORGANIZATION, 1, End::Void));
    }
    assert!(early > 0, "a settlement is not through before the next question");
    // With nothing under way a refusal stands, and is not waited for.
    tokio::time::timeout(SOON, limiter.idle()).await.unwrap();
    limiter.admit(&ask()).await.unwrap();
    let under_way = limiter.under_way(ORGANIZATION);
    assert!(matches!(limiter.admit(&ask()).await, Err(LimitError::Refused(_))));
    assert!(!limiter.caught_up(under_way, ORGANIZATION, &[]).await);
    stop.cancel();
}
