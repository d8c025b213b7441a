//! Grants: what a process holds in advance, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tidegate_limits::{BudgetHold, End, HeldUnder, Hold, LimitError, Limiter, Mode, RedisSettings, Refusal};
use tidegate_testkit::redis::Server;
use tidegate_types::{BudgetId, NanoUsd};
use tokio_util::sync::CancellationToken;

use crate::support::{
    ORGANIZATION, RealClock, SOON, admit, connect, connect_granted, eventually, hard, hold, key, month,
    place, refusal, scripts_run, settings, soft, spent, stored,
};

async fn open(limiter: &Limiter) {
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
}

/// A node as it is in the product: takes grants behind calls.
async fn node(server: &Server, seed: u64, stop: &CancellationToken) -> Limiter {
    let mut settings: RedisSettings = settings(server, seed);
    settings.decision = Duration::from_secs(2);
    Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap()
}

#[tokio::test]
async fn a_busy_budget_is_served_without_the_store_and_gives_back_when_it_is_quiet() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = node(&server, 1, &stop).await;
    open(&limiter).await;
    let one = async || {
        let hold = hold(&limiter, &[hard(1, 1_000_000_000, 1_000)]);
        place(&limiter, &hold).await.unwrap();
        limiter.settle(hold.settlement(ORGANIZATION, 1, spent(400)));
    };
    // Without the control plane's word nothing is taken in advance.
    for _ in 0..20 {
        one().await;
    }
    assert_eq!(limiter.stats().held_locally, 0);
    assert_eq!(limiter.take_wanting_grants(), vec![(ORGANIZATION, 1)]);
    limiter.allow_grants(ORGANIZATION, 1, 10);
    let mut calls = 20;
    while limiter.stats().held_locally < 200 {
        one().await;
        calls += 1;
        tokio::time::sleep(Duration::from_micros(200)).await;
        assert!(calls < 20_000, "no grants: {:?}", limiter.stats());
    }
    let before = scripts_run(&server);
    let local = limiter.stats().held_locally;
    for _ in 0..1000 {
        one().await;
    }
    let asked = scripts_run(&server) - before;
    assert!(limiter.stats().held_locally - local > 950, "{:?}", limiter.stats());
    assert!(asked < 200, "{asked} scripts for 1000 calls");
    calls += 1000;
    // Quiet: everything is told, and nothing stays out.
    eventually("grants come back by themselves", async || stored(&limiter, 1).await == (calls * 400, 0, 0))
        .await;
    assert_eq!(limiter.stats().granted_free, 0);
    stop.cancel();
}

#[tokio::test]
async fn without_the_store_a_node_spends_its_grant_and_not_a_nano_more() {
    let (mut server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = connect_granted(&server, 1, &stop).await;
    open(&limiter).await;
    limiter.allow_grants(ORGANIZATION, 1, 100);
    let part = hard(1, 100_000, 1_000);
    let first = hold(&limiter, &[part]);
    place(&limiter, &first).await.unwrap();
    assert!(limiter.stats().granted_free >= 3_000, "{:?}", limiter.stats());
    assert!(server.freeze());
    let mut held = vec![first];
    let error = loop {
        let more = hold(&limiter, &[part]);
        match place(&limiter, &more).await {
            Ok(held) => assert_eq!(held.epoch, 1),
            Err(error) => break error,
        }
        held.push(more);
    };
    assert_eq!(error, LimitError::Away);
    assert_eq!(limiter.mode(), Mode::Away);
    // All of the grant was used, and the store knows of no less.
    assert!(held.len() >= 4, "{}", held.len());
    assert!(limiter.stats().granted_free < 1_000, "{:?}", limiter.stats());
    // What ends is free again, here.
    for hold in held.drain(..2) {
        limiter.settle(hold.settlement(ORGANIZATION, 1, spent(100)));
    }
    let again = hold(&limiter, &[part]);
    place(&limiter, &again).await.unwrap();
    held.push(again);
    assert!(server.thaw());
    let running = i64::try_from(held.len()).unwrap() * 1_000;
    tokio::time::timeout(SOON, limiter.idle()).await.expect("told when the store is back");
    eventually("the store knows", async || stored(&limiter, 1).await == (200, running, 0)).await;
    stop.cancel();
    server.stop();
}

#[tokio::test]
async fn rates_are_refused_with_the_hold_given_back() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = connect_granted(&server, 1, &stop).await;
    open(&limiter).await;
    limiter.allow_grants(ORGANIZATION, 1, 100);
    let part = hard(1, 100_000, 1_000);
    let ask = async || {
        let hold = hold(&limiter, &[part, soft(2, 10, 1_000)]);
        limiter.admit(&admit(hold.call_id, &[key(Some(3), None, None)], 0, Some(hold))).await
    };
    let (mut passed, mut early) = (0, 0);
    loop {
        match ask().await {
            Ok(admitted) => {
                passed += 1;
                assert_eq!(admitted.held.epoch, 1);
                // Part of it may be on its way back from what this process had in advance.
                assert!(admitted.rates.requests.unwrap().remaining <= 3 - passed);
            }
            Err(error) => {
                let Refusal::Rate { retry_after_ms, .. } = refusal::<()>(Err(error)) else {
                    panic!("no rate")
                };
                // One comes every 20 s. What was had in advance is less by the time that its exchange took: so long
                // the last of the three may have to wait.
                if retry_after_ms > 5_000 {
                    break;
                }
                early += 1;
                tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
            }
        }
    }
    assert_eq!(passed, 3);
    // Who was refused a moment ago is refused again, and nothing is held for that.
    assert!(matches!(refusal(ask().await), Refusal::Rate { .. }));
    assert_eq!(limiter.stats().held_locally, 4 + early, "{:?}", limiter.stats());
    limiter.idle().await;
    assert_eq!(stored(&limiter, 1).await, (0, 3_000, 0));
    assert_eq!(stored(&limiter, 2).await, (0, 3_000, 0));
    stop.cancel();
}

#[tokio::test]
async fn what_other_nodes_have_in_advance_comes_back_when_it_is_missed() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let (rich, poor) = (connect_granted(&server, 1, &stop).await, connect(&server, 2, &stop).await);
    open(&rich).await;
    rich.allow_grants(ORGANIZATION, 1, 100);
    let kept = hold(&rich, &[hard(1, 10_000, 1_000)]);
    place(&rich, &kept).await.unwrap();
    assert!(rich.stats().granted_free >= 3_000);
    // All that is left can be had, though some of it was out.
    let rest = hold(&poor, &[hard(1, 10_000, 9_000)]);
    place(&poor, &rest).await.unwrap();
    let more = hold(&poor, &[hard(1, 10_000, 1)]);
    let Refusal::Budget { limit, spent, held, unresolved, .. } = refusal(place(&poor, &more).await) else {
        panic!("a budget refuses")
    };
    assert_eq!([limit, spent, held, unresolved].map(NanoUsd::get), [10_000, 0, 10_000, 0]);
    stop.cancel();
}

#[tokio::test]
async fn a_dead_nodes_grant_stays_out_until_the_epoch_ends() {
    let server = Server::start().unwrap();
    let (stop, killed) = (CancellationToken::new(), CancellationToken::new());
    let (dead, other) = (connect_granted(&server, 1, &killed).await, connect(&server, 2, &stop).await);
    open(&dead).await;
    dead.allow_grants(ORGANIZATION, 1, 100);
    place(&dead, &hold(&dead, &[hard(1, 10_000, 1_000)])).await.unwrap();
    killed.cancel();
    dead.stopped().await;
    let out = stored(&other, 1).await.1;
    assert!(out >= 4_000, "{out}");
    let rest = hold(&other, &[hard(1, 10_000, 10_000 - out)]);
    place(&other, &rest).await.unwrap();
    refusal(place(&other, &hold(&other, &[hard(1, 10_000, 1)])).await);
    assert_eq!(stored(&other, 1).await, (0, 10_000, 0));
    // The control plane has its journal, and opens the next epoch from the books.
    other.open_epoch(ORGANIZATION, 2, &[], &[]).await.unwrap();
    assert_eq!(stored(&other, 1).await, (0, 0, 0));
    stop.cancel();
}

#[tokio::test]
async fn a_wiped_store_leaves_grants_good_until_the_next_epoch_is_known_and_no_longer() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let (node, other) = (connect_granted(&server, 1, &stop).await, connect(&server, 2, &stop).await);
    open(&node).await;
    node.allow_grants(ORGANIZATION, 1, 100);
    let part = hard(1, 10_000, 1_000);
    let running = hold(&node, &[part]);
    place(&node, &running).await.unwrap();
    let free = node.stats().granted_free;
    server.command(&["FLUSHALL"]).unwrap();
    // The next epoch cannot open before this node has applied it: until then its grant is good.
    let after = hold(&node, &[part]);
    assert_eq!(place(&node, &after).await.unwrap(), HeldUnder { epoch: 1, in_advance: true });
    assert_eq!(node.stats().granted_free, free - 1_000);
    assert_eq!(place(&other, &hold(&other, &[part])).await, Err(LimitError::NoEpoch { found: 0 }));
    // It has: both attempts were running, and their holds come from the ledger.
    let holds: Vec<_> = [&running, &after].map(|hold| open_hold(hold, 1_000)).into_iter().collect();
    other.open_epoch(ORGANIZATION, 2, &[], &holds).await.unwrap();
    let mut next = hold(&node, &[part]);
    next.epoch = 2;
    assert_eq!(place(&node, &next).await.unwrap(), HeldUnder { epoch: 2, in_advance: false });
    assert_eq!(node.stats().granted_free, 0, "grants of the epoch that is over are gone");
    let mut stale = hold(&node, &[part]);
    stale.epoch = 1;
    assert_eq!(place(&node, &stale).await, Err(LimitError::NoEpoch { found: 2 }));
    // What ends now ends in the counters of the epoch that has it.
    node.settle(running.settlement(ORGANIZATION, 1, spent(300)));
    node.settle(after.settlement(ORGANIZATION, 1, End::Void));
    eventually("settled under the new epoch", async || stored(&node, 1).await == (300, 1_000, 0)).await;
    stop.cancel();
}

#[tokio::test]
async fn who_looks_which_epoch_is_open_ends_no_grant_and_no_hold_for_good() {
    let (mut server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let node = connect_granted(&server, 1, &stop).await;
    assert_eq!(node.present_epoch(ORGANIZATION).await, Ok(0));
    open(&node).await;
    node.allow_grants(ORGANIZATION, 1, 100);
    let part = hard(1, 10_000, 1_000);
    let (running, ended) = (hold(&node, &[part]), hold(&node, &[part]));
    place(&node, &running).await.unwrap();
    assert_eq!(node.present_epoch(ORGANIZATION).await, Ok(1));
    place(&node, &ended).await.unwrap();
    assert_eq!(node.stats().held_locally, 2, "a look takes nothing away: {:?}", node.stats());
    // Another server is in its place, and the node looks what that one has, as whoever opens epochs does.
    server.start_again().unwrap();
    node.settle(ended.settlement(ORGANIZATION, 1, spent(400)));
    eventually("the server that lost it is seen", async || {
        node.present_epoch(ORGANIZATION).await == Ok(0) && node.mode() == Mode::Healthy
    })
    .await;
    // Both attempts were running when the next epoch opened: they end in its counters.
    let holds: Vec<_> = [&running, &ended].map(|hold| open_hold(hold, 1_000)).into_iter().collect();
    node.open_epoch(ORGANIZATION, 2, &[], &holds).await.unwrap();
    assert_eq!(node.present_epoch(ORGANIZATION).await, Ok(2));
    node.settle(running.settlement(ORGANIZATION, 1, spent(300)));
    eventually("nothing is held", async || stored(&node, 1).await == (700, 0, 0)).await;
    assert_eq!(node.stats().waiting, 0, "nothing waits for an epoch that never comes");
    stop.cancel();
}

#[tokio::test]
async fn grants_that_were_given_up_are_not_taken_up_again_under_their_epoch() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let node = connect_granted(&server, 1, &stop).await;
    open(&node).await;
    node.allow_grants(ORGANIZATION, 1, 100);
    let one = async |epoch: u64, cost: i64| {
        let mut hold = hold(&node, &[hard(1, 100_000, 1_000)]);
        hold.epoch = epoch;
        place(&node, &hold).await.unwrap();
        node.settle(hold.settlement(ORGANIZATION, epoch, spent(cost)));
        node.idle().await;
    };
    one(1, 700).await;
    assert_eq!((stored(&node, 1).await, node.stats().held_locally), ((700, 0, 0), 1));
    // Word of the next epoch is here before it opens; permission for this one comes late.
    node.end_grants_before(ORGANIZATION, 2);
    node.allow_grants(ORGANIZATION, 1, 100);
    one(1, 50).await;
    assert_eq!((stored(&node, 1).await, node.stats().held_locally), ((750, 0, 0), 1));
    node.open_epoch(ORGANIZATION, 2, &[], &[]).await.unwrap();
    node.allow_grants(ORGANIZATION, 2, 100);
    one(2, 60).await;
    assert_eq!((stored(&node, 1).await, node.stats().held_locally), ((60, 0, 0), 2));
    stop.cancel();
}

fn open_hold(hold: &Hold, amount: i64) -> tidegate_types::resource::OpenHold {
    tidegate_types::resource::OpenHold {
        call_id: hold.call_id,
        attempt: hold.attempt,
        budget_id: BudgetId::from_u128(1),
        window_start: month().start,
        window_end: month().end,
        amount: NanoUsd::new(amount),
        deadline: hold.deadline,
    }
}

#[tokio::test]
async fn a_lower_limit_stops_grants_at_once_where_it_is_known() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = connect_granted(&server, 1, &stop).await;
    open(&limiter).await;
    limiter.allow_grants(ORGANIZATION, 1, 100);
    place(&limiter, &hold(&limiter, &[hard(1, 100_000, 1_000)])).await.unwrap();
    assert!(limiter.stats().granted_free >= 3_000);
    let lowered = BudgetHold { limit_revision: 2, ..hard(1, 1_500, 1_000) };
    refusal(place(&limiter, &hold(&limiter, &[lowered])).await);
    place(&limiter, &hold(&limiter, &[BudgetHold { amount: NanoUsd::new(500), ..lowered }])).await.unwrap();
    limiter.idle().await;
    assert_eq!(stored(&limiter, 1).await, (0, 1_500, 0));
    stop.cancel();
}

/// xorshift, so that a run can be repeated by its seed.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_with_grants_never_pass_one_limit_and_waste_nothing() {
    const LIMIT: i64 = 1_000_000_007;
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        nodes.push(node(&server, seed, &stop).await);
    }
    open(&nodes[0]).await;
    for node in &nodes {
        node.set_live_nodes(3);
        node.allow_grants(ORGANIZATION, 1, 50);
    }
    let (total, refused) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut workers = tokio::task::JoinSet::new();
    for n in 0..24u64 {
        let limiter = nodes[usize::try_from(n % 3).unwrap()].clone();
        let mut random = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (total, refused) = (Arc::clone(&total), Arc::clone(&refused));
        workers.spawn(async move {
            for _ in 0..250 {
                let amount = i64::try_from(next(&mut random) % 2_000_000 + 1).unwrap();
                let hold = hold(&limiter, &[hard(1, LIMIT, amount), soft(2, LIMIT, amount)]);
                match place(&limiter, &hold).await {
                    Ok(_) => {}
                    Err(LimitError::Refused(refusal)) => {
                        let Refusal::Budget { limit, spent, held, unresolved, .. } = refusal.refusal else {
                            panic!("{refusal:?}")
                        };
                        let room = limit.get() - spent.get() - held.get() - unresolved.get();
                        assert!(room >= 0 && room < amount, "refused {amount} with {room} left");
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                }
                tokio::task::yield_now().await;
                let cost = if next(&mut random).is_multiple_of(4) { amount / 3 } else { amount };
                total.fetch_add(cost, Ordering::Relaxed);
                limiter.settle(hold.settlement(ORGANIZATION, 1, spent(cost)));
            }
        });
    }
    let watch = async {
        let mut most = 0;
        while !workers.is_empty() {
            let (spent, held, unresolved) = stored(&nodes[1], 1).await;
            most = most.max(spent + held + unresolved);
            tokio::select! {
                Some(done) = workers.join_next() => done.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        most
    };
    let most = watch.await;
    for node in &nodes {
        tokio::time::timeout(SOON, node.idle()).await.expect("all is told");
    }
    let total = total.load(Ordering::Relaxed);
    assert_eq!(stored(&nodes[2], 1).await, (total, 0, 0));
    assert_eq!(stored(&nodes[2], 2).await, (total, 0, 0));
    assert!(most <= LIMIT, "{most} of {LIMIT}");
    assert!(refused.load(Ordering::Relaxed) > 100, "the budget was contended");
    assert!(total > LIMIT - 10_000_000, "used to its end: {total}");
    let local: u64 = nodes.iter().map(|node| node.stats().held_locally).sum();
    assert!(local > 500, "grants were used: {local}");
    stop.cancel();
}

#[tokio::test]
async fn a_step_may_take_a_limit_to_its_last_nano_dollar() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = connect_granted(&server, 1, &stop).await;
    open(&limiter).await;
    limiter.allow_grants(ORGANIZATION, 1, 100);
    // No hundredth of this limit is a whole number of nano-dollars.
    let first = hold(&limiter, &[hard(1, 1_801, 228)]);
    place(&limiter, &first).await.unwrap();
    let mut step = first.clone();
    step.step += 1;
    step.budgets[0].amount = NanoUsd::new(1_574);
    assert!(matches!(limiter.hold(ORGANIZATION, &step).await, Err(LimitError::Refused(_))), "one too many");
    step.budgets[0].amount = NanoUsd::new(1_573);
    limiter.hold(ORGANIZATION, &step).await.unwrap();
    stop.cancel();
}
