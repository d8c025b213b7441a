//! A slot moves to another primary while calls run: its organization waits until it is there and is counted from the
//! books, nothing is counted twice, and all others do not notice.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tidegate_limits::{Ended, Hold, LimitError, Limiter, Mode, Process, Refusal, Release};
use tidegate_testkit::cluster::{Cluster, Shape};
use tidegate_types::{BudgetId, NodeId, OrganizationId};
use tokio_util::sync::CancellationToken;

use crate::cluster::{limiter, organizations, settings, slot};
use crate::support::{admit, balance, begin, begin_granted, call, eventually, hard, hold, key, month, spent};

const LIMIT: i64 = 3_000;
/// Of a budget that is granted in advance.
const ALL: i64 = 6_000;

/// Takes one nano-dollar after the other, as whole calls, until the budget or `stop` says no; what was granted.
async fn take(
    limiter: &Limiter,
    organization: OrganizationId,
    epoch: u64,
    granted: &AtomicI64,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        // A fast machine leaves half of it for what comes after, and goes on with calls of nothing.
        let amount = i64::from(epoch > 1 || granted.load(Ordering::Relaxed) < LIMIT / 2);
        let hold = Hold { epoch, ..hold(limiter, &[hard(1, LIMIT, amount)]) };
        let mut asked = admit(hold.call_id, &[key(None, None, Some(50))], 0, Some(hold.clone()));
        asked.organization_id = organization;
        match limiter.admit(&asked).await {
            Ok(admitted) => {
                granted.fetch_add(amount, Ordering::Relaxed);
                limiter.settle(hold.settlement(organization, epoch, spent(amount)));
                limiter.release(Release { permit: admitted.permit, tokens_used: None });
            }
            Err(LimitError::Refused(refused)) if matches!(refused.refusal, Refusal::Budget { .. }) => {
                assert!(epoch == 2, "too early: {refused:?}");
                return;
            }
            // Away, or slots that are given back from the queue are not back yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Calls that must all be served; how many were.
async fn untouched(limiter: &Limiter, organization: OrganizationId, stop: &AtomicBool, count: &AtomicU32) {
    while !stop.load(Ordering::Relaxed) {
        let hold = hold(limiter, &[hard(1, LIMIT, 0)]);
        limiter.hold(organization, &hold).await.expect("another slot's move is none of theirs");
        limiter.settle(hold.settlement(organization, 1, spent(0)));
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_under_load_and_what_was_spent_from_it_counts_once() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let [moving, staying] = organizations(&cluster, 0, 2)[..] else { panic!("two of them") };
    let number = slot(&cluster, moving);
    assert_ne!(number, slot(&cluster, staying));
    for organization in [moving, staying] {
        limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
    }
    let (granted, ended, count) = (AtomicI64::new(0), AtomicBool::new(false), AtomicU32::new(0));
    let keys = |at: &tidegate_testkit::redis::Server| -> usize {
        at.command(&["CLUSTER", "COUNTKEYSINSLOT", &number.to_string()]).unwrap().parse().unwrap()
    };
    let story = async {
        eventually("there is load", async || granted.load(Ordering::Relaxed) > 300).await;
        cluster.begin_move(number, from, to).unwrap();
        let refused = async || {
            let hold = hold(&limiter, &[hard(1, LIMIT, 0)]);
            match limiter.hold(moving, &hold).await {
                Err(LimitError::Away) => true,
                // All keys of a call may be there still.
                Ok(_) => false,
                other => panic!("{other:?}"),
            }
        };
        eventually("it is refused while its slot is on its way", refused).await;
        for _ in 0..5 {
            cluster.move_keys(number, from, to, 7).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(keys(to) > 0 && keys(from) > 0, "half of it is there");
        let before = count.load(Ordering::Relaxed);
        eventually("the others go on", async || count.load(Ordering::Relaxed) > before + 20).await;
        cluster.end_move(number, from, to).unwrap();
        eventually("nothing is open at the new primary", async || {
            match limiter.hold(moving, &hold(&limiter, &[hard(1, LIMIT, 0)])).await {
                Err(LimitError::NoEpoch { found: 0 }) => true,
                Err(LimitError::Away) => false,
                other => panic!("granted from what another process counted: {other:?}"),
            }
        })
        .await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        story,
        take(&limiter, moving, 1, &granted, &ended),
        take(&limiter, moving, 1, &granted, &ended),
        untouched(&limiter, staying, &ended, &count)
    );
    let told = to.command(&["INFO", "server"]).unwrap();
    assert!(told.contains(&limiter.store_run_id(moving).unwrap()), "it counts at the new primary");
    assert_eq!(keys(from), 0);
    assert_eq!(limiter.present_epoch(staying).await, Ok(1), "the other one's epoch is as it was");
    // As the control plane does it: the next epoch opens with what the books have.
    let known = granted.load(Ordering::Relaxed);
    assert!(known > 300 && known < LIMIT, "it moved in the middle: {known}");
    limiter.open_epoch(moving, 2, &[balance(1, known, 0)], &[]).await.unwrap();
    ended.store(false, Ordering::Relaxed);
    take(&limiter, moving, 2, &granted, &ended).await;
    assert_eq!(granted.load(Ordering::Relaxed), LIMIT, "all of it, and no more");
    let asked = [(BudgetId::from_u128(1), month())];
    eventually("it is counted once", async || {
        let balance = limiter.balances(moving, &asked).await.unwrap()[0];
        (balance.spent.get(), balance.held.get(), balance.unresolved.get()) == (LIMIT, 0, 0)
    })
    .await;
    let stats = limiter.stats();
    assert_eq!((stats.dropped, stats.trips), (0, 0));
    assert!(stats.moved > 0, "{stats:?}");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_on_its_way_keeps_nobody_elses_left_holds_from_their_end() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let [moving, staying] = organizations(&cluster, 0, 2)[..] else { panic!("two of them") };
    let node_id = NodeId::from_u128(5);
    limiter.place_as(Process { node_id, boot: 1 });
    for organization in [moving, staying] {
        limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
        limiter.hold(organization, &hold(&limiter, &[hard(1, LIMIT, 1)])).await.unwrap();
    }
    let left = async || {
        let found = limiter.left_holds(&[moving, staying], Ended { node_id, before: 2 }).await.unwrap();
        found.iter().map(|hold| hold.organization_id).collect::<Vec<_>>()
    };
    assert_eq!(left().await, [moving, staying]);
    let number = slot(&cluster, moving);
    cluster.begin_move(number, from, to).unwrap();
    while cluster.move_keys(number, from, to, 100).unwrap() > 0 {}
    assert_eq!(left().await, [staying]);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_served_while_a_slot_is_on_its_way_are_charged_to_the_bucket_where_it_arrives() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let moving = organizations(&cluster, 0, 1)[0];
    let number = slot(&cluster, moving);
    cluster.begin_move(number, from, to).unwrap();
    let (began, mut admitted) = (Instant::now(), 0_u32);
    let mut one = async || {
        let mut asked = admit(call(), &[key(Some(6_000), None, None)], 0, None);
        asked.organization_id = moving;
        match limiter.admit(&asked).await {
            Ok(_) => admitted += 1,
            Err(LimitError::Refused(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => panic!("{error}"),
        }
        let passed = limiter.stats().passed;
        (admitted, passed.by_share, passed.by_store)
    };
    // Nothing of it is there yet, so the old primary refuses it: a twentieth of a minute's worth, then the rate.
    while one().await.1 < 310 {}
    cluster.end_move(number, from, to).unwrap();
    let (admitted, _, by_store) = loop {
        let counts = one().await;
        if counts.2 >= 300 {
            break counts;
        }
    };
    let most = 300.0 + began.elapsed().as_secs_f64() * 100.0 + 10.0;
    assert!(f64::from(admitted) <= most, "{admitted} admitted, {by_store} after the move, {most} at most");
    stop.cancel();
}

/// A whole call of so much of a hard budget, if it is served.
async fn whole(
    limiter: &Limiter,
    organization: OrganizationId,
    epoch: u64,
    amount: i64,
) -> Result<(), LimitError> {
    let hold = Hold { epoch, ..hold(limiter, &[hard(1, ALL, amount)]) };
    let mut asked = admit(hold.call_id, &[key(Some(600_000), None, Some(8))], 0, Some(hold.clone()));
    asked.organization_id = organization;
    let admitted = limiter.admit(&asked).await?;
    limiter.settle(hold.settlement(organization, epoch, spent(amount)));
    limiter.release(Release { permit: admitted.permit, tokens_used: None });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_had_in_advance_when_the_slot_moves_is_spent_once_and_does_not_stay_out() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let stop = CancellationToken::new();
    let limiter = begin_granted(settings(&cluster.addresses()), &stop).await;
    eventually("every primary is reached", async || limiter.mode() == Mode::Healthy).await;
    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let moving = organizations(&cluster, 0, 1)[0];
    let number = slot(&cluster, moving);
    limiter.open_epoch(moving, 1, &[], &[]).await.unwrap();
    limiter.allow_grants(moving, 1, 100);
    let (granted, ended) = (AtomicI64::new(0), AtomicBool::new(false));
    let load = async || {
        while !ended.load(Ordering::Relaxed) {
            // Half of it is for what comes after.
            let amount = if granted.load(Ordering::Relaxed) < ALL / 2 { 10 } else { 0 };
            if whole(&limiter, moving, 1, amount).await.is_ok() {
                granted.fetch_add(amount, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let story = async {
        eventually("it has some of everything in advance", async || {
            let stats = limiter.stats();
            stats.granted_free > 0 && stats.requests_free > 0 && stats.slots_free > 0
        })
        .await;
        cluster.begin_move(number, from, to).unwrap();
        while cluster.move_keys(number, from, to, 100).unwrap() > 0 {}
        cluster.end_move(number, from, to).unwrap();
        eventually("nothing is open at the new primary", async || {
            limiter.present_epoch(moving).await == Ok(0)
        })
        .await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(story, load(), load());
    let known = granted.load(Ordering::Relaxed);
    limiter.end_grants_before(moving, 2);
    limiter.open_epoch(moving, 2, &[balance(1, known, 0)], &[]).await.unwrap();
    limiter.allow_grants(moving, 2, 100);
    eventually("service goes on, to the last of it", async || match whole(&limiter, moving, 2, 10).await {
        Ok(()) => granted.fetch_add(10, Ordering::Relaxed) + 10 == ALL,
        Err(LimitError::Refused(_) | LimitError::Away) => false,
        Err(error) => panic!("{error}"),
    })
    .await;
    for _ in 0..20 {
        assert!(whole(&limiter, moving, 2, 10).await.is_err(), "no more than all of it");
    }
    let asked = [(BudgetId::from_u128(1), month())];
    eventually("it is counted once, and nothing is out", async || {
        limiter.idle().await;
        let balance = limiter.balances(moving, &asked).await.unwrap()[0];
        (balance.spent.get(), balance.held.get(), balance.unresolved.get()) == (ALL, 0, 0)
    })
    .await;
    let other = begin(settings(&cluster.addresses()), &stop).await;
    eventually("every slot is free", async || {
        let mut permits = Vec::new();
        for _ in 0..8 {
            let mut asked = admit(call(), &[key(None, None, Some(8))], 0, None);
            asked.organization_id = moving;
            let Ok(admitted) = other.admit(&asked).await else { break };
            permits.push(admitted.permit);
        }
        let all = permits.len() == 8;
        permits.into_iter().for_each(|permit| other.release(Release { permit, tokens_used: None }));
        all && other.mode() == Mode::Healthy
    })
    .await;
    stop.cancel();
}
