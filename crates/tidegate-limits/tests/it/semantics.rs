//! What both stores promise of holds and their ends: every scenario runs over memory and over Redis.

use std::time::Duration;

use tidegate_limits::{BudgetHold, End, LimitError, Refusal};
use tidegate_types::Timestamp;
use tidegate_types::window::Window;

use crate::support::{ORGANIZATION, admit, call, epoch, hard, key, month, on_both, refusal, soft, spent};

#[tokio::test]
pub(crate) async fn repeating_an_admission_does_nothing_twice() {
    on_both(async |bench| {
        bench.open(1).await;
        let id = call();
        let hold = bench.hold(id, 0, &[hard(1, 1000, 600)]);
        let again = admit(id, &[key(Some(10), None, Some(1))], 0, Some(hold));
        let first = bench.limiter.admit(&again).await.unwrap();
        let second = bench.limiter.admit(&again).await.unwrap();
        assert_eq!((first.held.epoch, second.held.epoch), (1, 1));
        bench.assert_left(second.rates.requests.unwrap().remaining, 9);
        assert_eq!(bench.figures(1).await, (0, 600, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn each_step_adds_to_its_attempts_hold_once() {
    on_both(async |bench| {
        bench.open(1).await;
        let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 300), soft(2, 1, 300)]);
        bench.place(&hold).await.unwrap();
        for step in [1, 1, 2, 2, 1] {
            hold.step = step;
            assert_eq!(epoch(bench.limiter.hold(ORGANIZATION, &hold).await), Ok(1));
        }
        assert_eq!(bench.figures(1).await, (0, 900, 0));
        assert_eq!(bench.figures(2).await, (0, 900, 0));
        hold.step = 3;
        refusal(bench.limiter.hold(ORGANIZATION, &hold).await);
        assert_eq!(bench.figures(2).await, (0, 900, 0));
        bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(777)));
        assert_eq!(bench.figures(1).await, (777, 0, 0));
        assert_eq!(bench.figures(2).await, (777, 0, 0));
        hold.step = 4;
        assert_eq!(bench.limiter.hold(ORGANIZATION, &hold).await, Err(LimitError::HoldEnded));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn each_attempt_of_a_call_holds_its_own_money() {
    on_both(async |bench| {
        bench.open(1).await;
        let id = call();
        let (first, second) =
            (bench.hold(id, 0, &[hard(1, 1000, 400)]), bench.hold(id, 1, &[hard(1, 1000, 400)]));
        bench.place(&first).await.unwrap();
        assert_eq!(epoch(bench.limiter.hold(ORGANIZATION, &second).await), Ok(1));
        assert_eq!(bench.figures(1).await, (0, 800, 0));
        bench.limiter.settle(first.settlement(ORGANIZATION, 1, End::Unresolved));
        bench.limiter.settle(second.settlement(ORGANIZATION, 1, spent(10)));
        assert_eq!(bench.figures(1).await, (10, 0, 400));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_settlement_counts_once_however_often_it_is_sent() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
        bench.place(&hold).await.unwrap();
        for end in [spent(100), spent(100), End::Void, End::Unresolved, spent(500)] {
            bench.limiter.settle(hold.settlement(ORGANIZATION, 1, end));
        }
        assert_eq!(bench.figures(1).await, (100, 0, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn an_unresolved_hold_stays_against_the_budget_until_it_is_settled_once_more() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
        bench.place(&hold).await.unwrap();
        bench.limiter.settle(hold.settlement(ORGANIZATION, 1, End::Unresolved));
        assert_eq!(bench.figures(1).await, (0, 0, 600));
        let other = bench.hold(call(), 0, &[hard(1, 1000, 500)]);
        let Refusal::Budget { unresolved, .. } = refusal(bench.place(&other).await) else { panic!("budget") };
        assert_eq!(unresolved.get(), 600);
        for _ in 0..2 {
            bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(450)));
        }
        assert_eq!(bench.figures(1).await, (450, 0, 0));
        bench.place(&other).await.unwrap();
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_hold_past_deadline_and_grace_becomes_unresolved_and_a_late_settlement_corrects_it() {
    on_both(async |bench| {
        bench.open(1).await;
        let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 600), hard(2, 1000, 600)]);
        hold.deadline = bench.limiter.now().plus_millis(100);
        bench.place(&hold).await.unwrap();
        bench.settled().await;
        assert_eq!(bench.figures(1).await.1, 600);
        bench.pass(Duration::from_millis(450)).await;
        assert_eq!(bench.figures(1).await, (0, 0, 600));
        assert_eq!(bench.figures(2).await, (0, 0, 600));
        hold.step = 1;
        assert_eq!(bench.limiter.hold(ORGANIZATION, &hold).await, Err(LimitError::HoldEnded));
        for _ in 0..2 {
            bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(80)));
        }
        assert_eq!(bench.figures(1).await, (80, 0, 0));
        assert_eq!(bench.figures(2).await, (80, 0, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_step_with_a_later_deadline_keeps_its_hold_open() {
    on_both(async |bench| {
        bench.open(1).await;
        let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 100)]);
        hold.deadline = bench.limiter.now().plus_millis(100);
        bench.place(&hold).await.unwrap();
        (hold.step, hold.deadline) = (1, bench.deadline());
        bench.limiter.hold(ORGANIZATION, &hold).await.unwrap();
        bench.pass(Duration::from_millis(450)).await;
        assert_eq!(bench.figures(1).await, (0, 200, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn the_limit_of_the_highest_revision_binds_everybody() {
    on_both(async |bench| {
        bench.open(1).await;
        let part = |limit, limit_revision, amount| BudgetHold { limit_revision, ..hard(1, limit, amount) };
        bench.place(&bench.hold(call(), 0, &[part(1000, 5, 300)])).await.unwrap();
        // Lowered by a call that is refused itself.
        refusal(bench.place(&bench.hold(call(), 0, &[part(400, 6, 200)])).await);
        // A node that has not heard of it yet.
        let Refusal::Budget { limit, .. } =
            refusal(bench.place(&bench.hold(call(), 0, &[part(1000, 5, 200)])).await)
        else {
            panic!("a budget refuses")
        };
        assert_eq!(limit.get(), 400);
        bench.place(&bench.hold(call(), 0, &[part(2000, 7, 1000)])).await.unwrap();
        bench.place(&bench.hold(call(), 0, &[part(1, 5, 700)])).await.unwrap();
        assert_eq!(bench.figures(1).await, (0, 2000, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn windows_of_a_budget_count_apart_and_a_lifetime_has_no_reset() {
    on_both(async |bench| {
        bench.open(1).await;
        let year = Timestamp::from_seconds(4_100_000_000);
        let next = BudgetHold { window: Window { start: month().end, end: year }, ..hard(1, 1000, 900) };
        let ever = Window { start: Timestamp::from_micros(0), end: Timestamp::from_micros(i64::MAX) };
        bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 900)])).await.unwrap();
        bench.place(&bench.hold(call(), 0, &[next])).await.unwrap();
        let lifetime = BudgetHold { window: ever, ..hard(2, 1000, 900) };
        bench.place(&bench.hold(call(), 0, &[lifetime])).await.unwrap();
        let Refusal::Budget { resets_at, .. } =
            refusal(bench.place(&bench.hold(call(), 0, &[lifetime])).await)
        else {
            panic!("a budget refuses")
        };
        assert_eq!(resets_at, None);
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_hold_that_was_given_up_before_it_arrived_is_not_placed() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
        bench.limiter.settle(hold.settlement(ORGANIZATION, 1, End::Void));
        bench.settled().await;
        assert_eq!(bench.place(&hold).await, Err(LimitError::HoldEnded));
        assert_eq!(bench.figures(1).await, (0, 0, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn the_cost_of_an_attempt_that_was_never_held_counts_once() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[soft(1, 1000, 0)]);
        for _ in 0..2 {
            bench.limiter.settle(hold.settlement(ORGANIZATION, 0, spent(40)));
        }
        assert_eq!(bench.figures(1).await, (40, 0, 0));
        // A settlement of a hold that is not there counts nothing.
        let lost = bench.hold(call(), 0, &[soft(1, 1000, 0)]);
        bench.limiter.settle(lost.settlement(ORGANIZATION, 1, spent(40)));
        assert_eq!(bench.figures(1).await, (40, 0, 0));
    })
    .await;
}

#[tokio::test]
pub(crate) async fn organizations_do_not_share_counters() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
        bench.place(&hold).await.unwrap();
        let stranger = tidegate_types::OrganizationId::from_u128(0xB0B);
        bench.limiter.open_epoch(stranger, 1, &[], &[]).await.unwrap();
        let theirs = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
        assert_eq!(epoch(bench.limiter.hold(stranger, &theirs).await), Ok(1));
        assert_eq!(bench.figures(1).await, (0, 600, 0));
    })
    .await;
}
