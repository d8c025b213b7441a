//! What a dead process had in advance comes back under the epoch that is open: by what the books say that it used,
//! once, whatever of its messages comes late.

use std::collections::BTreeMap;

use tidegate_limits::{BudgetHold, End, Hold, LimitError, Limiter, Process};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::OpeningBalance;
use tidegate_types::{NanoUsd, NodeId};
use tokio_util::sync::CancellationToken;

use crate::support::{
    self, ORGANIZATION, SOON, balance, connect, connect_granted, eventually, hard, place, refusal, soft,
    spent, stored,
};

const LIMIT: i64 = 100_000;

/// A process of a node that takes grants, and what ends it as a kill does.
struct Node {
    limiter: Limiter,
    process: Process,
    killed: CancellationToken,
}

impl Node {
    async fn start(server: &Server, seed: u64) -> Self {
        let killed = CancellationToken::new();
        let limiter = connect_granted(server, seed, &killed).await;
        let process = Process { node_id: NodeId::from_u128(u128::from(seed)), boot: seed };
        limiter.place_as(process);
        limiter.allow_grants(ORGANIZATION, 1, 100);
        Self { limiter, process, killed }
    }

    async fn kill(&self) {
        self.killed.cancel();
        self.limiter.stopped().await;
    }

    /// The successor says what it used in all of budget 1.
    async fn reclaim(&self, by: &Limiter, used: &[OpeningBalance]) -> Result<i64, LimitError> {
        by.reclaim(ORGANIZATION, self.process, 1, used).await.map(NanoUsd::get)
    }
}

/// One that lasts longer than any of these tests.
fn hold(limiter: &Limiter, parts: &[BudgetHold]) -> Hold {
    Hold { deadline: limiter.now().plus_millis(600_000), ..support::hold(limiter, parts) }
}

/// A server with an open epoch, one process that asks for every call, and one that has used some of a grant:
/// 400 spent, a call of 1,000 running, and more than that in advance.
async fn world() -> (Server, Limiter, Node, Hold) {
    let server = Server::start().unwrap();
    let other = connect(&server, 100, &CancellationToken::new()).await;
    other.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let node = Node::start(&server, 1).await;
    let parts = [hard(1, LIMIT, 1_000), soft(2, LIMIT, 1_000)];
    let (ended, running) = (hold(&node.limiter, &parts), hold(&node.limiter, &parts));
    for hold in [&ended, &running] {
        assert!(place(&node.limiter, hold).await.unwrap().in_advance);
    }
    node.limiter.settle(ended.settlement(ORGANIZATION, 1, spent(400)));
    let told = async || stored(&other, 1).await.0 == 400 && stored(&other, 2).await.0 == 400;
    eventually("the counters are told", told).await;
    assert!(stored(&other, 1).await.1 >= 4_000, "{:?}", stored(&other, 1).await);
    (server, other, node, running)
}

#[tokio::test]
async fn what_a_dead_process_had_is_free_again_under_the_same_epoch_but_for_what_it_used() {
    let (_server, other, dead, _) = world().await;
    dead.kill().await;
    let out = stored(&other, 1).await.1;
    // Its journal knows of one call more that ended, and that nobody knows how the last one did.
    let books = [balance(1, 700, 1_000), balance(2, 700, 1_000)];
    assert_eq!(dead.reclaim(&other, &books).await, Ok(out + 1_000));
    for budget in [1, 2] {
        assert_eq!(stored(&other, budget).await, (700, 0, 1_000));
    }
    // Said again, nothing changes; said better, the figures are those.
    assert_eq!(dead.reclaim(&other, &books).await, Ok(0));
    assert_eq!(stored(&other, 1).await, (700, 0, 1_000));
    assert_eq!(dead.reclaim(&other, &[balance(1, 900, 0), balance(2, 900, 0)]).await, Ok(0));
    assert_eq!(stored(&other, 1).await, (900, 0, 0));
    // All the rest can be had, and no nano more.
    place(&other, &hold(&other, &[hard(1, LIMIT, LIMIT - 900)])).await.unwrap();
    refusal(place(&other, &hold(&other, &[hard(1, LIMIT, 1)])).await);
}

#[tokio::test]
async fn what_a_process_sent_before_it_died_is_not_carried_out_after_it_is_told_for() {
    let (_server, other, late, running) = world().await;
    // Its last messages are still under way: it goes on here, as the store sees it.
    late.reclaim(&other, &[balance(1, 400, 1_000), balance(2, 400, 1_000)]).await.unwrap();
    let exchanges = late.limiter.stats().exchanges;
    late.limiter.settle(running.settlement(ORGANIZATION, 1, spent(800)));
    let more = hold(&late.limiter, &[hard(1, LIMIT, 500), hard(3, LIMIT, 500)]);
    let _refused_or_elsewhere = place(&late.limiter, &more).await;
    eventually("it said so", async || late.limiter.stats().exchanges > exchanges + 2).await;
    let (spent, _, unresolved) = stored(&other, 1).await;
    assert_eq!((spent, unresolved), (400, 1_000));
    // Nor does it get anything of a window that is new to it.
    assert_eq!(late.limiter.stats().granted_free.min(stored(&other, 3).await.0), 0);
    late.kill().await;
}

#[tokio::test]
async fn a_process_that_never_told_anything_is_told_for_once() {
    let server = Server::start().unwrap();
    let other = connect(&server, 100, &CancellationToken::new()).await;
    other.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let dead = Node::start(&server, 1).await;
    place(&other, &hold(&other, &[hard(1, LIMIT, 10)])).await.unwrap();
    dead.kill().await;
    for _ in 0..3 {
        assert_eq!(dead.reclaim(&other, &[balance(1, 500, 70)]).await, Ok(0));
        assert_eq!(stored(&other, 1).await, (500, 10, 70));
    }
    // Another dead process of the same window has a record of its own.
    let second = Node::start(&server, 2).await;
    second.kill().await;
    second.reclaim(&other, &[balance(1, 30, 0)]).await.unwrap();
    assert_eq!(stored(&other, 1).await, (530, 10, 70));
}

#[tokio::test]
async fn only_the_epoch_that_is_open_is_touched() {
    let (_server, other, dead, _) = world().await;
    dead.kill().await;
    other.open_epoch(ORGANIZATION, 2, &[balance(1, 400, 1_000)], &[]).await.unwrap();
    let told = dead.reclaim(&other, &[balance(1, 400, 1_000)]).await;
    assert_eq!(told, Err(LimitError::NoEpoch { found: 2 }));
    assert_eq!(stored(&other, 1).await, (400, 0, 1_000));
}

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 >> 1).unwrap() % end
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(i64::try_from(len).unwrap())).unwrap()
    }
}

/// What the books know of one process.
#[derive(Default)]
struct Books {
    spent: i64,
    unresolved: i64,
    running: Vec<(Hold, bool)>,
    /// Attempts that the store decided, and how they ended.
    elsewhere: Vec<(Hold, End)>,
}

fn an_end(random: &mut Random, amount: i64) -> End {
    match random.below(6) {
        0 => End::Void,
        1 => End::Unresolved,
        _ => spent(random.below(amount + 1)),
    }
}

/// Whatever processes do before they die, and however often it is told what they used: the counters say what the
/// books say, and never more than the limit was given away.
#[tokio::test]
async fn after_any_history_the_counters_are_the_books() {
    let server = Server::start().unwrap();
    let other = connect(&server, 100, &CancellationToken::new()).await;
    other.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let mut random = Random(0x7154);
    let mut living: BTreeMap<u64, (Node, Books)> = BTreeMap::new();
    let mut past = Books::default();
    let mut next = 1;
    for _ in 0..400 {
        while living.len() < 3 {
            living.insert(next, (Node::start(&server, next).await, Books::default()));
            next += 1;
        }
        let at = *living.keys().nth(random.index(3)).unwrap();
        let (node, books) = living.get_mut(&at).unwrap();
        match random.below(20) {
            0 => {
                let (node, books) = living.remove(&at).unwrap();
                node.kill().await;
                tell_for(&node, books, &other, &mut past, &mut random).await;
            }
            1..9 if !books.running.is_empty() => {
                let (hold, in_advance) = books.running.swap_remove(random.index(books.running.len()));
                let end = an_end(&mut random, hold.budgets[0].amount.get());
                if in_advance {
                    match end {
                        End::Spent(cost) => books.spent += cost.get(),
                        End::Unresolved => books.unresolved += hold.budgets[0].amount.get(),
                        End::Void => {}
                    }
                } else {
                    books.elsewhere.push((hold.clone(), end));
                }
                node.limiter.settle(hold.settlement(ORGANIZATION, 1, end));
            }
            _ => {
                let amount = 1 + random.below(3_000);
                let hold = hold(&node.limiter, &[hard(1, LIMIT, amount)]);
                if let Ok(held) = place(&node.limiter, &hold).await {
                    books.running.push((hold, held.in_advance));
                }
            }
        }
        let (spent, held, unresolved) = stored(&other, 1).await;
        assert!(spent + held + unresolved <= LIMIT, "{spent} + {held} + {unresolved}");
    }
    for (_, (node, books)) in living {
        node.kill().await;
        tell_for(&node, books, &other, &mut past, &mut random).await;
    }
    tokio::time::timeout(SOON, other.idle()).await.unwrap();
    eventually("the counters are the books", async || {
        stored(&other, 1).await == (past.spent, 0, past.unresolved)
    })
    .await;
    assert!(next > 8 && past.spent > 10_000, "{next} processes spent {}", past.spent);
}

/// What the successor of a dead process does: ends what the store holds of it, and tells what it used of its grant.
async fn tell_for(dead: &Node, mut books: Books, by: &Limiter, past: &mut Books, random: &mut Random) {
    for (hold, in_advance) in std::mem::take(&mut books.running) {
        // Nobody knows how it ended, or it was never sent.
        let end = if random.below(2) == 0 { End::Unresolved } else { End::Void };
        if !in_advance {
            books.elsewhere.push((hold, end));
        } else if end == End::Unresolved {
            books.unresolved += hold.budgets[0].amount.get();
        }
    }
    for (hold, end) in books.elsewhere {
        match end {
            End::Spent(cost) => past.spent += cost.get(),
            End::Unresolved => past.unresolved += hold.budgets[0].amount.get(),
            End::Void => {}
        }
        by.settle(hold.settlement(ORGANIZATION, 1, end));
    }
    for _ in 0..=random.below(2) {
        dead.reclaim(by, &[balance(1, books.spent, books.unresolved)]).await.unwrap();
    }
    past.spent += books.spent;
    past.unresolved += books.unresolved;
}
