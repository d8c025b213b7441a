//! A slot moves to another primary while calls run: its organization waits until it is there and is counted from the
//! books, nothing is counted twice, and all others do not notice.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use tidegate_limits::{Hold, LimitError, Limiter, Refusal, Release};
use tidegate_testkit::cluster::{Cluster, Shape};
use tidegate_types::resource::OpeningBalance;
use tidegate_types::{BudgetId, NanoUsd, OrganizationId};
use tokio_util::sync::CancellationToken;

use crate::cluster::{limiter, organizations, slot};
use crate::support::{admit, eventually, hard, hold, key, month, spent};

const LIMIT: i64 = 3_000;

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
    let opening = OpeningBalance {
        budget_id: BudgetId::from_u128(1),
        window_start: month().start,
        window_end: month().end,
        spent: NanoUsd::new(known),
        unresolved: NanoUsd::ZERO,
    };
    limiter.open_epoch(moving, 2, &[opening], &[]).await.unwrap();
    ended.store(false, Ordering::Relaxed);
    take(&limiter, moving, 2, &granted, &ended).await;
    assert_eq!(granted.load(Ordering::Relaxed), LIMIT, "all of it, and no more");
    let asked = [(BudgetId::from_u128(1), month())];
    eventually("it is counted once", async || {
        let balance = limiter.balances(moving, &asked).await.unwrap()[0];
        (balance.spent.get(), balance.held.get(), balance.unresolved.get()) == (LIMIT, 0, 0)
    })
    .await;
    assert_eq!((limiter.stats().dropped, limiter.stats().trips), (0, 0));
    stop.cancel();
}
