//! A primary of a cluster dies: its organizations wait for the replica and are counted from the books, whatever the
//! replica had heard; all others do not notice.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tidegate_limits::{Hold, LimitError, Limiter, Mode};
use tidegate_testkit::cluster::{Cluster, Shape};
use tidegate_types::{BudgetId, NanoUsd, OrganizationId};
use tokio_util::sync::CancellationToken;

use crate::cluster::{limiter, organizations};
use crate::support::{admit, balance, eventually, hard, hold, key, month, soft, spent};

/// A limit that is used up by what the replica never hears of.
const LIMIT: i64 = 100;

/// Spends under an epoch, and waits until that is counted.
async fn spend(limiter: &Limiter, organization: OrganizationId, amount: i64) {
    let hold = hold(limiter, &[hard(1, LIMIT, amount)]);
    limiter.hold(organization, &hold).await.unwrap();
    limiter.settle(hold.settlement(organization, 1, spent(amount)));
    limiter.idle().await;
}

async fn placed(
    limiter: &Limiter,
    organization: OrganizationId,
    epoch: u64,
    amount: i64,
) -> Result<(), LimitError> {
    let hold = Hold { epoch, ..hold(limiter, &[hard(1, LIMIT, amount)]) };
    limiter.hold(organization, &hold).await.map(|_| ())
}

/// Places holds of nothing until told to end: each must be placed. How many were.
async fn untouched(limiter: &Limiter, organization: OrganizationId, stop: &AtomicBool, count: &AtomicU32) {
    while !stop.load(Ordering::Relaxed) {
        placed(limiter, organization, 1, 0).await.expect("another primary's outage is none of theirs");
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_dies_with_what_its_replica_never_heard_and_nothing_is_spent_twice() {
    let mut cluster = Cluster::start(&Shape { replicated: true, ..Shape::default() }).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    let of = |primary| organizations(&cluster, primary, 1)[0];
    let (hit, others) = (of(0), [of(1), of(2)]);
    for organization in [hit, others[0], others[1]] {
        limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
    }
    let size = |server: &tidegate_testkit::redis::Server| server.command(&["DBSIZE"]).unwrap();
    eventually("the replica has heard of the epoch", async || {
        size(&cluster.replicas[0]) == size(&cluster.primaries[0])
    })
    .await;
    let marker_key = format!("tg:{{{}}}:e", hit.ulid());
    let marker = cluster.primaries[0].command(&["GET", &marker_key]).unwrap();
    cluster.make_stale(0).unwrap();
    spend(&limiter, hit, 90).await;
    let run = limiter.store_run_id(hit).unwrap();

    let (ended, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let story = async {
        eventually("the others are served", async || count.load(Ordering::Relaxed) > 20).await;
        cluster.primaries[0].stop();
        eventually("it is away", async || placed(&limiter, hit, 1, 1).await == Err(LimitError::Away)).await;
        eventually("a part is away", async || limiter.mode() == Mode::Partly).await;
        let stats = limiter.stats();
        assert_eq!((stats.primaries, stats.primaries_away), (3, 1));
        // What has no hard cap is served meanwhile: its cost is counted later, its rate is shared out.
        limiter.hold(hit, &hold(&limiter, &[soft(2, 1, 5)])).await.unwrap();
        let mut limited = admit(crate::support::call(), &[key(Some(600), None, None)], 0, None);
        limited.organization_id = hit;
        limiter.admit(&limited).await.unwrap();
        let before = count.load(Ordering::Relaxed);
        eventually("the others go on", async || count.load(Ordering::Relaxed) > before + 20).await;

        cluster.promote(0).unwrap();
        eventually("the promoted replica says that nothing is open", async || {
            match placed(&limiter, hit, 1, 1).await {
                Err(LimitError::NoEpoch { found: 0 }) => true,
                Err(LimitError::Away) => false,
                other => panic!("granted from what another process counted: {other:?}"),
            }
        })
        .await;
        assert_eq!(limiter.mode(), Mode::Healthy);
        assert_ne!(limiter.store_run_id(hit).unwrap(), run);
        let before = count.load(Ordering::Relaxed);
        eventually("the others go on", async || count.load(Ordering::Relaxed) > before + 20).await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        story,
        untouched(&limiter, others[0], &ended, &count),
        untouched(&limiter, others[1], &ended, &count)
    );
    for organization in others {
        assert_eq!(limiter.present_epoch(organization).await, Ok(1), "their epoch is as it was");
    }

    // Were the marker not bound to the process, the stale copy would pay for the same 90 again.
    let forged = marker.replace(&run, &limiter.store_run_id(hit).unwrap());
    assert_ne!(forged, marker);
    cluster.replicas[0].command(&["SET", &marker_key, &forged]).unwrap();
    placed(&limiter, hit, 1, 90).await.expect("the stale copy knows nothing of what was spent");
    cluster.replicas[0].command(&["DEL", &marker_key]).unwrap();

    // As the control plane does it: the next epoch opens with what the books have.
    limiter.open_epoch(hit, 2, &[balance(1, 90, 0)], &[]).await.unwrap();
    assert!(matches!(placed(&limiter, hit, 2, 11).await, Err(LimitError::Refused(_))));
    placed(&limiter, hit, 2, 10).await.unwrap();
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_for_a_dead_primary_goes_to_the_one_that_follows_it() {
    let mut cluster = Cluster::start(&Shape { replicated: true, ..Shape::default() }).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    let hit = organizations(&cluster, 1, 1)[0];
    limiter.open_epoch(hit, 1, &[], &[]).await.unwrap();
    let (first, second) = (hold(&limiter, &[hard(1, LIMIT, 40)]), hold(&limiter, &[hard(1, LIMIT, 50)]));
    limiter.hold(hit, &first).await.unwrap();
    limiter.hold(hit, &second).await.unwrap();
    cluster.primaries[1].stop();
    eventually("it is away", async || placed(&limiter, hit, 1, 1).await == Err(LimitError::Away)).await;
    limiter.settle(first.settlement(hit, 1, spent(30)));
    // Its end is told under the epoch that the books know it in.
    limiter.settle(second.settlement(hit, 2, spent(20)));
    assert!(limiter.stats().queued >= 2);
    cluster.promote(1).unwrap();
    eventually("nothing is open there", async || {
        matches!(placed(&limiter, hit, 1, 1).await, Err(LimitError::NoEpoch { .. }))
    })
    .await;
    // Both wait for an epoch now, at the new primary.
    eventually("they wait", async || limiter.stats().waiting >= 2).await;
    let open = tidegate_types::resource::OpenHold {
        call_id: second.call_id,
        attempt: second.attempt,
        budget_id: BudgetId::from_u128(1),
        window_start: month().start,
        window_end: month().end,
        amount: NanoUsd::new(50),
        deadline: second.deadline,
    };
    limiter.open_epoch(hit, 2, &[balance(1, 30, 0)], &[open]).await.unwrap();
    let asked = [(BudgetId::from_u128(1), month())];
    eventually("each has ended once", async || {
        let Ok(balances) = limiter.balances(hit, &asked).await else { return false };
        (balances[0].spent.get(), balances[0].held.get()) == (50, 0)
    })
    .await;
    eventually("nothing waits", async || (limiter.stats().waiting, limiter.stats().queued) == (0, 0)).await;
    assert_eq!(limiter.stats().dropped, 0);
    stop.cancel();
}
