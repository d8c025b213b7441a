//! Holds that a process left behind: they can be told from all others, and ended by what is known of them.

use std::time::Duration;

use tidegate_limits::{BudgetHold, End, Ended, Hold, LeftHold, Process};
use tidegate_types::resource::OpenHold;
use tidegate_types::{BudgetId, CallId, NanoUsd, NodeId};

use crate::support::{Bench, ORGANIZATION, call, hard, month, on_both, spent};

const NODE: NodeId = NodeId::from_u128(0xBEEF);
const EARLIER: Process = Process { node_id: NODE, boot: 5 };
const PRESENT: Process = Process { node_id: NODE, boot: 6 };
const ENDED: Ended = Ended { node_id: NODE, before: PRESENT.boot };

async fn place(bench: &Bench, amount: i64) -> Hold {
    let hold = bench.hold(call(), 0, &[hard(1, 1_000, amount)]);
    bench.place(&hold).await.unwrap();
    hold
}

/// Calls that were left behind, in order.
async fn left(bench: &Bench, ended: Ended) -> Vec<CallId> {
    let mut calls: Vec<CallId> = found(bench, ended).await.iter().map(|left| left.call_id).collect();
    calls.sort();
    calls
}

async fn found(bench: &Bench, ended: Ended) -> Vec<LeftHold> {
    bench.settled().await;
    bench.limiter.left_holds(&[ORGANIZATION], ended).await.unwrap()
}

/// A bench whose holds are in the store itself: those on grants die with their process.
async fn on_stores<F: Future<Output = ()>>(scenario: impl Fn(std::sync::Arc<Bench>) -> F) {
    on_both(|bench| async {
        if !bench.is_granted() {
            bench.open(1).await;
            scenario(bench).await;
        }
    })
    .await;
}

#[tokio::test]
pub(crate) async fn what_an_earlier_process_left_is_found_and_nothing_else() {
    on_stores(|bench| async move {
        let nobodys = place(&bench, 1).await;
        bench.limiter.place_as(Process { node_id: NodeId::from_u128(7), boot: 1 });
        let anothers = place(&bench, 2).await;
        bench.limiter.place_as(EARLIER);
        let (left_behind, settled, in_doubt) =
            (place(&bench, 4).await, place(&bench, 8).await, place(&bench, 16).await);
        bench.limiter.settle(settled.settlement(ORGANIZATION, 1, spent(3)));
        bench.limiter.settle(in_doubt.settlement(ORGANIZATION, 1, End::Unresolved));
        bench.limiter.place_as(PRESENT);
        let running = place(&bench, 32).await;

        assert_eq!(left(&bench, ENDED).await, [left_behind.call_id]);
        assert_eq!(found(&bench, ENDED).await[0].placed_by, EARLIER);
        assert_eq!(left(&bench, Ended { node_id: NODE, before: 5 }).await, []);
        assert_eq!(
            left(&bench, Ended { node_id: NODE, before: 7 }).await,
            [left_behind.call_id, running.call_id]
        );
        let of_another = Ended { node_id: NodeId::from_u128(7), before: u64::MAX };
        assert_eq!(left(&bench, of_another).await, [anothers.call_id]);
        // Nothing was changed by looking.
        assert_eq!(bench.figures(1).await, (3, 1 + 2 + 4 + 32, 16));
        bench.limiter.settle(nobodys.settlement(ORGANIZATION, 1, End::Void));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn what_was_left_is_ended_once_and_what_it_held_is_free() {
    on_stores(|bench| async move {
        bench.limiter.place_as(EARLIER);
        let (first, second) = (place(&bench, 600).await, place(&bench, 400).await);
        bench.limiter.place_as(PRESENT);
        bench.place(&bench.hold(call(), 0, &[hard(1, 1_000, 1)])).await.expect_err("everything is held");

        let holds = found(&bench, ENDED).await;
        let of = |hold: &Hold| holds.iter().find(|left| left.call_id == hold.call_id).unwrap();
        for _ in 0..2 {
            bench.limiter.settle(of(&first).settlement(End::Void));
            bench.limiter.settle(of(&second).settlement(End::Unresolved));
        }
        assert_eq!(bench.figures(1).await, (0, 0, 400));
        assert_eq!(left(&bench, ENDED).await, []);
        place(&bench, 600).await;
        // A word of the dead that comes late changes nothing more.
        bench.limiter.settle(first.settlement(ORGANIZATION, 1, spent(600)));
        assert_eq!(bench.figures(1).await, (0, 600, 400));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn what_was_left_is_still_found_when_it_is_overdue() {
    on_stores(|bench| async move {
        bench.limiter.place_as(EARLIER);
        let mut hold = bench.hold(call(), 0, &[hard(1, 1_000, 70)]);
        hold.deadline = bench.limiter.now().plus_millis(200);
        bench.place(&hold).await.unwrap();
        bench.limiter.place_as(PRESENT);
        bench.pass(Duration::from_millis(900)).await;
        assert_eq!(bench.figures(1).await, (0, 0, 70));
        let holds = found(&bench, ENDED).await;
        assert_eq!(holds.len(), 1);
        bench.limiter.settle(holds[0].settlement(End::Void));
        assert_eq!(bench.figures(1).await, (0, 0, 0));
        assert_eq!(left(&bench, ENDED).await, []);
    })
    .await;
}

#[tokio::test]
pub(crate) async fn what_an_epoch_began_with_is_on_the_books_and_was_left_by_nobody() {
    on_stores(|bench| async move {
        bench.limiter.place_as(EARLIER);
        let hold = place(&bench, 50).await;
        bench.limiter.place_as(PRESENT);
        let before = found(&bench, ENDED).await;
        let BudgetHold { amount, .. } = hold.budgets[0];
        let open = OpenHold {
            call_id: hold.call_id,
            attempt: 0,
            budget_id: BudgetId::from_u128(1),
            window_start: month().start,
            window_end: month().end,
            amount,
            deadline: hold.deadline,
        };
        bench.limiter.open_epoch(ORGANIZATION, 2, &[], &[open]).await.unwrap();
        assert_eq!(left(&bench, ENDED).await, []);
        // What was found under the counters of before holds nothing in these, but for the same attempt's.
        bench.limiter.settle(before[0].settlement(End::Void));
        assert_eq!(bench.figures(1).await, (0, 0, 0));
        let mut unheld = before[0].clone();
        unheld.call_id = call();
        bench.limiter.settle(unheld.settlement(End::Spent(NanoUsd::new(9))));
        assert_eq!(bench.figures(1).await, (0, 0, 0));
    })
    .await;
}
