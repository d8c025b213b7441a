//! Epochs: counters that are lost or foreign are never taken for zero.

use tidegate_limits::{End, LimitError};
use tidegate_types::resource::OpenHold;
use tidegate_types::{BudgetId, NanoUsd};

use crate::support::{Bench, ORGANIZATION, admit, balance, call, hard, key, month, on_both, spent};

fn open_hold(bench: &Bench, call_id: tidegate_types::CallId, budget: u128, amount: i64) -> OpenHold {
    OpenHold {
        call_id,
        attempt: 0,
        budget_id: BudgetId::from_u128(budget),
        window_start: month().start,
        window_end: month().end,
        amount: NanoUsd::new(amount),
        deadline: bench.deadline(),
    }
}

#[tokio::test]
pub(crate) async fn without_an_epoch_nothing_is_held_and_nothing_is_written() {
    on_both(async |bench| {
        for epoch in [0, 1] {
            let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
            hold.epoch = epoch;
            let limited = admit(hold.call_id, &[key(Some(5), None, None)], 0, Some(hold));
            assert_eq!(bench.limiter.admit(&limited).await.unwrap_err(), LimitError::NoEpoch { found: 0 });
        }
        let asked = [(BudgetId::from_u128(1), month())];
        assert_eq!(bench.limiter.balances(ORGANIZATION, &asked).await, Err(LimitError::NoEpoch { found: 0 }));
        // Rates need no epoch, and nothing was taken from them.
        let free = bench.limiter.admit(&admit(call(), &[key(Some(5), None, None)], 0, None)).await.unwrap();
        assert_eq!(free.rates.requests.unwrap().remaining, 4);
        if let Some(server) = &bench.server {
            // On grants there is the record of what this process has of it, too.
            let keys = if bench.is_granted() { "2" } else { "1" };
            assert_eq!(server.command(&["DBSIZE"]).unwrap(), keys, "the probe's bucket alone");
        }
    })
    .await;
}

#[tokio::test]
pub(crate) async fn another_epoch_is_named_and_an_unknown_one_is_taken() {
    on_both(async |bench| {
        bench.open(4).await;
        let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
        for foreign in [3, 5] {
            hold.epoch = foreign;
            assert_eq!(bench.place(&hold).await, Err(LimitError::NoEpoch { found: 4 }));
        }
        assert_eq!(bench.limiter.present_epoch(ORGANIZATION).await, Ok(4));
        hold.epoch = 0;
        assert_eq!(bench.place(&hold).await, Ok(4));
        assert_eq!(bench.figures(1).await, (0, 600, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn opening_an_epoch_twice_changes_nothing_and_an_older_one_is_refused() {
    on_both(async |bench| {
        bench.limiter.open_epoch(ORGANIZATION, 2, &[balance(1, 300, 0)], &[]).await.unwrap();
        bench.limiter.open_epoch(ORGANIZATION, 2, &[balance(1, 0, 0)], &[]).await.unwrap();
        assert_eq!(bench.figures(1).await, (300, 0, 0));
        let older = bench.limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await;
        assert_eq!(older, Err(LimitError::NoEpoch { found: 2 }));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_new_epoch_begins_with_its_balances_and_its_open_holds() {
    on_both(async |bench| {
        bench.open(1).await;
        let (running, reported) = (
            bench.hold(call(), 0, &[hard(1, 1000, 200), hard(2, 1000, 200)]),
            bench.hold(call(), 0, &[hard(1, 1000, 50)]),
        );
        bench.place(&running).await.unwrap();
        bench.place(&reported).await.unwrap();
        let holds = [open_hold(&bench, running.call_id, 1, 200), open_hold(&bench, running.call_id, 2, 200)];
        bench.limiter.open_epoch(ORGANIZATION, 2, &[balance(1, 350, 25)], &holds).await.unwrap();
        assert_eq!(bench.figures(1).await, (350, 200, 25));
        assert_eq!(bench.figures(2).await, (0, 200, 0));
        // The attempt that still runs is settled, the other's cost is in the balance already.
        bench.limiter.settle(running.settlement(ORGANIZATION, 1, spent(120)));
        bench.limiter.settle(reported.settlement(ORGANIZATION, 1, spent(50)));
        assert_eq!(bench.figures(1).await, (470, 0, 25));
        assert_eq!(bench.figures(2).await, (120, 0, 0));
        // Counters of the burnt epoch never come back.
        let stale = bench.hold(call(), 0, &[hard(3, 1000, 10)]);
        assert_eq!(bench.place(&stale).await, Err(LimitError::NoEpoch { found: 2 }));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_settlement_without_an_epoch_waits_for_one() {
    on_both(async |bench| {
        bench.open(1).await;
        let (running, reported) =
            (bench.hold(call(), 0, &[hard(1, 1000, 200)]), bench.hold(call(), 0, &[hard(1, 1000, 70)]));
        bench.place(&running).await.unwrap();
        bench.place(&reported).await.unwrap();
        bench.limiter.close_epoch(ORGANIZATION, 1).await.unwrap();
        assert_eq!(bench.limiter.present_epoch(ORGANIZATION).await, Ok(0));
        assert_eq!(
            bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await,
            Err(LimitError::NoEpoch { found: 0 })
        );
        bench.limiter.settle(running.settlement(ORGANIZATION, 1, spent(120)));
        bench.limiter.settle(reported.settlement(ORGANIZATION, 1, spent(60)));
        bench.settled().await;
        let holds = [open_hold(&bench, running.call_id, 1, 200)];
        bench.limiter.open_epoch(ORGANIZATION, 2, &[balance(1, 60, 0)], &holds).await.unwrap();
        crate::support::eventually("the waiting settlement is through", async || {
            bench.figures(1).await == (180, 0, 0) && bench.limiter.stats().waiting == 0
        })
        .await;
    })
    .await;
}

#[tokio::test]
pub(crate) async fn closing_burns_only_the_epoch_that_is_named() {
    on_both(async |bench| {
        bench.open(3).await;
        bench.limiter.close_epoch(ORGANIZATION, 2).await.unwrap();
        let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 200)]);
        hold.epoch = 3;
        bench.place(&hold).await.unwrap();
        bench.limiter.settle(hold.settlement(ORGANIZATION, 3, End::Void));
        bench.settled().await;
        bench.limiter.close_epoch(ORGANIZATION, 3).await.unwrap();
        hold.call_id = call();
        assert_eq!(bench.place(&hold).await, Err(LimitError::NoEpoch { found: 0 }));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn an_epoch_of_a_thousand_budgets_opens_whole() {
    on_both(async |bench| {
        let balances: Vec<_> = (1..=1000).map(|n| balance(n, n.try_into().unwrap(), 1)).collect();
        bench.limiter.open_epoch(ORGANIZATION, 1, &balances, &[]).await.unwrap();
        assert_eq!(bench.figures(1).await, (1, 0, 1));
        assert_eq!(bench.figures(1000).await, (1000, 0, 1));
    })
    .await;
}
