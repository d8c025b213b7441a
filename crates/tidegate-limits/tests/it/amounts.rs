//! What both stores promise of amounts of money: every scenario runs over memory and over Redis.

use tidegate_limits::{End, LimitError, MAX_AMOUNT, Refusal};
use tidegate_types::NanoUsd;

use crate::support::{ORGANIZATION, call, hard, month, on_both, refusal, soft, spent};

#[tokio::test]
pub(crate) async fn money_is_held_then_spent_and_the_rest_is_free_again() {
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
pub(crate) async fn the_last_nano_dollar_can_be_spent_and_not_one_more() {
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
pub(crate) async fn counting_is_exact_up_to_two_to_the_fifty_third() {
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
pub(crate) async fn amounts_outside_the_range_are_refused_clearly() {
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
pub(crate) async fn soft_budgets_only_count() {
    on_both(async |bench| {
        bench.open(1).await;
        let hold = bench.hold(call(), 0, &[soft(1, 10, 600)]);
        bench.place(&hold).await.unwrap();
        bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(900)));
        assert_eq!(bench.figures(1).await, (900, 0, 0));
    })
    .await;
}
