//! Counters of a window that are missing, or another epoch's, while the marker stands: lost, never zero.

use tidegate_limits::{Hold, LimitError};
use tidegate_testkit::cluster::{Cluster, Shape};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::OpeningBalance;
use tidegate_types::{BudgetId, OrganizationId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::cluster::{limiter, organizations, slot};
use crate::support::{Bench, ORGANIZATION, balance, call, eventually, hard, hold, month, spent};

const GONE: LimitError = LimitError::NoEpoch { found: 0 };

/// Keys of an organization of one kind.
fn keys(server: &Server, organization: OrganizationId, kind: &str) -> Vec<String> {
    let pattern = format!("tg:{{{}}}:{kind}", organization.ulid());
    server.command(&["KEYS", &pattern]).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_move_that_broke_off_took_along_is_missed() {
    let cluster = Cluster::start(&Shape::default()).unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(&cluster, &stop).await;
    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let asked = [(BudgetId::from_u128(1), month())];
    // What goes: the counters; these and the record of begun windows; nothing.
    for (organization, kinds) in
        organizations(&cluster, 0, 4).into_iter().zip([&["b:*"][..], &["b:*"], &["b:*", "w"], &[]])
    {
        limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
        let first = hold(&limiter, &[hard(1, 100, 90)]);
        limiter.hold(organization, &first).await.unwrap();
        limiter.settle(first.settlement(organization, 1, spent(90)));
        eventually("it is counted", async || {
            limiter.balances(organization, &asked).await.unwrap()[0].spent.get() == 90
        })
        .await;
        let number = slot(&cluster, organization);
        cluster.begin_move(number, from, to).unwrap();
        let going: Vec<String> = kinds.iter().flat_map(|kind| keys(from, organization, kind)).collect();
        assert_eq!(going.len(), kinds.len());
        cluster.move_these(&going, from, to).unwrap();
        cluster.break_off(number, from, to).unwrap();
        let again = async || {
            // The second one is read before anybody calls.
            let reading = organization == organizations(&cluster, 0, 2)[1];
            if reading && limiter.balances(organization, &asked).await.is_ok() {
                panic!("it reads as if nothing had been spent");
            }
            match limiter.hold(organization, &hold(&limiter, &[hard(1, 100, 20)])).await {
                Err(LimitError::Away) => false,
                Err(LimitError::Refused(_)) if kinds.is_empty() => true,
                Err(error) if error == GONE && !kinds.is_empty() => true,
                other => panic!("{other:?}"),
            }
        };
        eventually("nothing is spent from what is not there", again).await;
        if !kinds.is_empty() {
            assert_eq!(limiter.present_epoch(organization).await, Ok(0));
            limiter.open_epoch(organization, 2, &[balance(1, 90, 0)], &[]).await.unwrap();
            let next = |amount| Hold { epoch: 2, ..hold(&limiter, &[hard(1, 100, amount)]) };
            assert!(matches!(limiter.hold(organization, &next(11)).await, Err(LimitError::Refused(_))));
            limiter.hold(organization, &next(10)).await.unwrap();
        }
    }
    stop.cancel();
}

#[tokio::test]
async fn an_old_copy_of_a_counter_is_not_taken_for_a_fresh_one() {
    for granted in [false, true] {
        let bench = if granted { Bench::granted().await } else { Bench::redis().await };
        let server = bench.server.as_ref().unwrap();
        bench.open(1).await;
        let first = bench.hold(call(), 0, &[hard(1, 100, 90)]);
        bench.place(&first).await.unwrap();
        bench.limiter.settle(first.settlement(ORGANIZATION, 1, spent(90)));
        eventually("it is counted", async || bench.figures(1).await.0 == 90).await;
        let budget = &keys(server, ORGANIZATION, "b:*")[0];
        assert_eq!(server.command(&["COPY", budget, "old"]).unwrap(), "1");
        bench.limiter.open_epoch(ORGANIZATION, 2, &[balance(1, 90, 0)], &[]).await.unwrap();
        assert_eq!(server.command(&["COPY", "old", budget, "REPLACE"]).unwrap(), "1");
        if granted {
            bench.limiter.allow_grants(ORGANIZATION, 2, 100);
        }
        let next = Hold { epoch: 2, ..bench.hold(call(), 0, &[hard(1, 100, 20)]) };
        assert_eq!(bench.place(&next).await, Err(GONE), "on grants: {granted}");
        assert_eq!(bench.limiter.present_epoch(ORGANIZATION).await, Ok(0));
    }
}

#[tokio::test]
async fn an_end_finds_out_as_well_and_waits_for_the_next_epoch() {
    let bench = Bench::redis().await;
    let server = bench.server.as_ref().unwrap();
    bench.open(1).await;
    let running = bench.hold(call(), 0, &[hard(1, 100, 90)]);
    bench.place(&running).await.unwrap();
    server.command(&["DEL", &keys(server, ORGANIZATION, "b:*")[0]]).unwrap();
    bench.limiter.settle(running.settlement(ORGANIZATION, 1, spent(80)));
    eventually("the epoch is over", async || bench.limiter.present_epoch(ORGANIZATION).await == Ok(0)).await;
    bench.limiter.open_epoch(ORGANIZATION, 2, &[balance(1, 80, 0)], &[]).await.unwrap();
    eventually("it is counted once", async || bench.figures(1).await == (80, 0, 0)).await;
}

#[tokio::test]
async fn an_epoch_that_an_earlier_release_opened_goes_on_and_ended_windows_are_dropped() {
    let bench = Bench::redis().await;
    let server = bench.server.as_ref().unwrap();
    // Its marker, without a record of windows.
    let run = bench.limiter.store_run_id(ORGANIZATION).unwrap();
    let marker = format!("tg:{{{}}}:e", ORGANIZATION.ulid());
    server.command(&["SET", &marker, &format!("1 {run} 7.1")]).unwrap();
    let first = bench.hold(call(), 0, &[hard(1, 100, 90)]);
    assert_eq!(bench.place(&first).await, Ok(1));
    assert_eq!(bench.figures(1).await, (0, 90, 0));
    // From here on it is known there, too.
    server.command(&["DEL", &keys(server, ORGANIZATION, "b:*")[0]]).unwrap();
    assert_eq!(bench.place(&bench.hold(call(), 0, &[hard(1, 100, 90)])).await, Err(GONE));

    let past = |n: i64| {
        let at = |minute: i64| Timestamp::from_seconds(1_700_000_000 + 60 * minute);
        OpeningBalance { window_start: at(n), window_end: at(n + 1), ..balance(1, 1, 0) }
    };
    let mut windows: Vec<_> = (0..2_000).map(past).collect();
    windows.insert(0, balance(2, 5, 0));
    bench.limiter.open_epoch(ORGANIZATION, 2, &windows, &[]).await.unwrap();
    let record = format!("tg:{{{}}}:w", ORGANIZATION.ulid());
    let kept: usize = server.command(&["ZCARD", &record]).unwrap().parse().unwrap();
    assert!(kept < 300, "{kept}");
    // What is over may be gone; what is not may not.
    assert_eq!(bench.figures(2).await, (5, 0, 0));
    server.command(&["DEL", &keys(server, ORGANIZATION, "b:*")[0]]).unwrap();
    let asked = [(BudgetId::from_u128(2), month())];
    assert_eq!(bench.limiter.balances(ORGANIZATION, &asked).await, Err(GONE));
}
