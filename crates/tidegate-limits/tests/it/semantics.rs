//! What both stores promise: every scenario runs over memory and over Redis.

use std::time::Duration;

use tidegate_limits::{BudgetHold, End, LimitError, MAX_AMOUNT, RateKind, Refusal, Release};
use tidegate_types::window::Window;
use tidegate_types::{NanoUsd, Timestamp};

use crate::support::{
    ORGANIZATION, admit, call, epoch, hard, key, month, on_both, refusal, soft, spent, team,
};

#[tokio::test]
async fn a_minutes_worth_of_requests_passes_at_once_and_then_they_come_at_the_rate() {
    on_both(async |bench| {
        let scopes = [key(Some(5), None, None)];
        for left in (0..5).rev() {
            let admitted = bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
            let state = admitted.rates.requests.unwrap();
            assert_eq!(state.limit, 5);
            bench.assert_left(state.remaining, left);
            // One comes back every 12 s.
            let taken = if bench.is_granted() { 5 } else { u64::from(5 - left) };
            let least = if bench.is_granted() { 0 } else { (taken - 1) * 12_000 };
            assert!(state.reset_ms > least && state.reset_ms <= taken * 12_000, "{state:?}");
            assert_eq!(admitted.rates.tokens, None);
        }
        let refused = bench.limiter.admit(&admit(call(), &scopes, 0, None)).await;
        let Err(LimitError::Refused(refused)) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.rates.requests.unwrap().remaining, 0);
        let Refusal::Rate { kind: RateKind::Requests, limit: 5, retry_after_ms, .. } = refused.refusal else {
            panic!("{refused:?}")
        };
        assert!((1..=12_000).contains(&retry_after_ms));
    })
    .await;
}

#[tokio::test]
async fn a_refused_call_passes_after_the_time_it_was_told_to_wait() {
    on_both(async |bench| {
        // 600 a minute: one each 100 ms.
        let scopes = [key(Some(600), None, None)];
        for _ in 0..600 {
            if bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.is_err() {
                break;
            }
        }
        let mut told = None;
        for _ in 0..50 {
            if let Err(LimitError::Refused(refused)) =
                bench.limiter.admit(&admit(call(), &scopes, 0, None)).await
            {
                told = Some(refused.refusal);
                break;
            }
        }
        let Some(Refusal::Rate { retry_after_ms, .. }) = told else { panic!("{told:?}") };
        bench.pass(Duration::from_millis(retry_after_ms)).await;
        bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn tokens_are_reserved_refunded_and_owed() {
    on_both(async |bench| {
        let scopes = [key(None, Some(1000), None)];
        let first = bench.limiter.admit(&admit(call(), &scopes, 800, None)).await.unwrap();
        bench.assert_left(first.rates.tokens.unwrap().remaining, 200);
        let denied = refusal(bench.limiter.admit(&admit(call(), &scopes, 800, None)).await);
        assert!(matches!(denied, Refusal::Rate { kind: RateKind::Tokens, limit: 1000, .. }), "{denied:?}");

        bench.limiter.release(Release { permit: first.permit, tokens_used: Some(100) });
        bench.settled().await;
        let second = bench.limiter.admit(&admit(call(), &scopes, 800, None)).await.unwrap();
        let left = second.rates.tokens.unwrap().remaining;
        assert!((100..=120).contains(&left) || bench.is_granted(), "900 refunded to, 800 taken: {left}");

        bench.limiter.release(Release { permit: second.permit, tokens_used: Some(2000) });
        bench.settled().await;
        let owing = bench.limiter.admit(&admit(call(), &scopes, 1, None)).await;
        let Refusal::Rate { retry_after_ms, .. } = refusal(owing) else { panic!("a rate refuses") };
        assert!(retry_after_ms > 60_000, "1,100 tokens are owed at 1,000 a minute: {retry_after_ms} ms");
    })
    .await;
}

#[tokio::test]
async fn a_call_bigger_than_the_bucket_passes_when_the_bucket_is_full() {
    on_both(async |bench| {
        let scopes = [key(None, Some(1000), None)];
        let big = bench.limiter.admit(&admit(call(), &scopes, 50_000, None)).await.unwrap();
        assert_eq!(big.rates.tokens.unwrap().remaining, 0);
        assert!(bench.limiter.admit(&admit(call(), &scopes, 50_000, None)).await.is_err());
        drop(big);
    })
    .await;
}

#[tokio::test]
async fn slots_are_bounded_and_come_back() {
    on_both(async |bench| {
        let scopes = [key(None, None, Some(2))];
        let first = bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
        let second = bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
        let denied = refusal(bench.limiter.admit(&admit(call(), &scopes, 0, None)).await);
        assert!(matches!(denied, Refusal::Concurrency { limit: 2, .. }), "{denied:?}");
        bench.limiter.release(Release { permit: first.permit, tokens_used: None });
        bench.settled().await;
        let third = bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
        assert!(bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.is_err());
        // A permit that is merely dropped gives its slot back too.
        drop((second, third));
        bench.settled().await;
        let _both = (
            bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap(),
            bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap(),
        );
    })
    .await;
}

#[tokio::test]
async fn a_refusal_by_one_limit_takes_nothing_from_the_others() {
    on_both(async |bench| {
        bench.open(1).await;
        let scopes = [key(Some(10), Some(1000), Some(5)), team(Some(2), Some(1000), None)];
        let state = async || {
            let probe =
                bench.limiter.admit(&admit(call(), &[key(Some(10), Some(1000), None)], 0, None)).await;
            let rates = probe.unwrap().rates;
            (rates.requests.unwrap().remaining, rates.tokens.unwrap().remaining)
        };
        for _ in 0..2 {
            drop(bench.limiter.admit(&admit(call(), &scopes, 100, None)).await.unwrap());
        }
        let assert_left = |told: (u32, u32), requests, tokens| {
            bench.assert_left(told.0, requests);
            bench.assert_left(told.1, tokens);
        };
        assert_left(state().await, 7, 800);
        // The team's requests are used up, then a budget is.
        assert!(bench.limiter.admit(&admit(call(), &scopes, 100, None)).await.is_err());
        assert_left(state().await, 6, 800);
        let poor = call();
        let hold = bench.hold(poor, 0, &[hard(1, 100, 60), hard(2, 50, 60)]);
        let denied = refusal(bench.limiter.admit(&admit(poor, &scopes[..1], 100, Some(hold))).await);
        assert!(matches!(denied, Refusal::Budget { .. }), "{denied:?}");
        assert_left(state().await, 5, 800);
        assert_eq!(bench.figures(1).await, (0, 0, 0));
        // Five slots are free.
        let five = [key(None, None, Some(5))];
        let mut permits = Vec::new();
        for _ in 0..5 {
            permits.push(bench.limiter.admit(&admit(call(), &five, 0, None)).await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn headers_tell_the_tightest_of_all_scopes() {
    on_both(async |bench| {
        let scopes = [key(Some(100), Some(5_000), None), team(Some(10), Some(90_000), None)];
        let rates = bench.limiter.admit(&admit(call(), &scopes, 1000, None)).await.unwrap().rates;
        let (requests, tokens) = (rates.requests.unwrap(), rates.tokens.unwrap());
        assert_eq!((requests.limit, requests.remaining), (10, 9));
        assert_eq!((tokens.limit, tokens.remaining), (5_000, 4_000));
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_zero_refuses_everything() {
    on_both(async |bench| {
        for scope in [key(Some(0), None, None), key(None, Some(0), None), key(None, None, Some(0))] {
            refusal(bench.limiter.admit(&admit(call(), &[scope], 1, None)).await);
        }
    })
    .await;
}

#[tokio::test]
async fn money_is_held_then_spent_and_the_rest_is_free_again() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[hard(1, 1000, 600), hard(2, 900, 600)]);
        assert_eq!(bench.place(&hold).await, Ok(1));
        assert_eq!(bench.figures(1).await, (0, 600, 0));
        let other = bench.hold(call(), 0, &[hard(1, 1000, 400), hard(2, 900, 400)]);
        let Refusal::Budget { budget_id, limit, spent: s, held, unresolved, resets_at } =
            refusal(bench.place(&other).await)
        else {
            panic!("a budget refuses")
        };
        assert_eq!(budget_id.to_u128(), 2);
        assert_eq!((limit.get(), s.get(), held.get(), unresolved.get()), (900, 0, 600, 0));
        assert_eq!(resets_at, Some(month().end));
        bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(250)));
        assert_eq!(bench.figures(1).await, (250, 0, 0));
        assert_eq!(bench.figures(2).await, (250, 0, 0));
        assert_eq!(bench.place(&other).await, Ok(1));
        bench.limiter.settle(other.settlement(ORGANIZATION, 1, End::Void));
        assert_eq!(bench.figures(2).await, (250, 0, 0));
        assert_eq!(bench.balance(2).await.limit, Some(NanoUsd::new(900)));
    })
    .await;
}

#[tokio::test]
async fn the_last_nano_dollar_can_be_spent_and_not_one_more() {
    on_both(async |bench| {
        bench.open(1).await;
        let all = bench.hold(call(), 0, &[hard(1, 1000, 999)]);
        bench.place(&all).await.unwrap();
        refusal(bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 2)])).await);
        bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await.unwrap();
        refusal(bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await);
        bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 0)])).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn counting_is_exact_up_to_two_to_the_fifty_third() {
    on_both(async |bench| {
        bench.open(1).await;
        let limit = MAX_AMOUNT.get();
        bench.place(&bench.hold(call(), 0, &[hard(1, limit, limit - 1)])).await.unwrap();
        refusal(bench.place(&bench.hold(call(), 0, &[hard(1, limit, 2)])).await);
        let last = bench.hold(call(), 0, &[hard(1, limit, 1)]);
        bench.place(&last).await.unwrap();
        assert_eq!(bench.figures(1).await, (0, limit, 0));
        // 2^53 + 1 would compare equal to 2^53.
        let Refusal::Budget { held, .. } =
            refusal(bench.place(&bench.hold(call(), 0, &[hard(1, limit, 1)])).await)
        else {
            panic!("a budget refuses")
        };
        assert_eq!(held.get(), limit);
        bench.limiter.settle(last.settlement(ORGANIZATION, 1, spent(1)));
        assert_eq!(bench.figures(1).await, (1, limit - 1, 0));
        // 100,000,000,000,001 is where a concatenated Lua number would turn into 1e+14.
        let odd = bench.hold(call(), 0, &[hard(2, limit, 100_000_000_000_001)]);
        bench.place(&odd).await.unwrap();
        bench.limiter.settle(odd.settlement(ORGANIZATION, 1, spent(100_000_000_000_001)));
        assert_eq!(bench.figures(2).await, (100_000_000_000_001, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn amounts_outside_the_range_are_refused_clearly() {
    on_both(async |bench| {
        bench.open(1).await;
        let above = MAX_AMOUNT.get() + 1;
        for part in
            [hard(1, above, 1), hard(1, 10, above), hard(1, 10, -1), hard(1, -1, 0), soft(1, 10, above)]
        {
            let error = bench.place(&bench.hold(call(), 0, &[part])).await.unwrap_err();
            assert_eq!(error, LimitError::OutOfRange { budget_id: part.budget_id });
        }
        // A soft budget's limit refuses nothing, so it may be any.
        bench.place(&bench.hold(call(), 0, &[soft(1, i64::MAX, 5)])).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn repeating_an_admission_does_nothing_twice() {
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
async fn each_step_adds_to_its_attempts_hold_once() {
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
async fn each_attempt_of_a_call_holds_its_own_money() {
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
async fn a_settlement_counts_once_however_often_it_is_sent() {
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
async fn an_unresolved_hold_stays_against_the_budget_until_it_is_settled_once_more() {
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
async fn a_hold_past_deadline_and_grace_becomes_unresolved_and_a_late_settlement_corrects_it() {
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
async fn a_step_with_a_later_deadline_keeps_its_hold_open() {
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
async fn the_limit_of_the_highest_revision_binds_everybody() {
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
async fn soft_budgets_only_count() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[soft(1, 10, 600)]);
        bench.place(&hold).await.unwrap();
        bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(900)));
        assert_eq!(bench.figures(1).await, (900, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn windows_of_a_budget_count_apart_and_a_lifetime_has_no_reset() {
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
async fn a_hold_that_was_given_up_before_it_arrived_is_not_placed() {
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
async fn the_cost_of_an_attempt_that_was_never_held_counts_once() {
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
async fn organizations_do_not_share_counters() {
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
