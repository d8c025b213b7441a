//! What both stores promise of requests, tokens and slots: every scenario runs over memory and over Redis.

use std::time::Duration;

use tidegate_limits::{LimitError, RateKind, Refusal, Release};

use crate::support::{admit, call, hard, key, on_both, refusal, team};

#[tokio::test]
pub(crate) async fn a_minutes_worth_of_requests_passes_at_once_and_then_they_come_at_the_rate() {
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
pub(crate) async fn a_refused_call_passes_after_the_time_it_was_told_to_wait() {
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
pub(crate) async fn tokens_are_reserved_refunded_and_owed() {
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
        assert!((100..200).contains(&left) || bench.is_granted(), "900 refunded to, 800 taken: {left}");

        bench.limiter.release(Release { permit: second.permit, tokens_used: Some(2000) });
        bench.settled().await;
        let owing = bench.limiter.admit(&admit(call(), &scopes, 1, None)).await;
        let Refusal::Rate { retry_after_ms, .. } = refusal(owing) else { panic!("a rate refuses") };
        assert!(retry_after_ms > 60_000, "1,100 tokens are owed at 1,000 a minute: {retry_after_ms} ms");
    })
    .await;
}

#[tokio::test]
pub(crate) async fn a_call_bigger_than_the_bucket_passes_when_the_bucket_is_full() {
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
pub(crate) async fn slots_are_bounded_and_come_back() {
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
pub(crate) async fn a_refusal_by_one_limit_takes_nothing_from_the_others() {
    on_both(async |bench| {
        bench.open(1).await;
        let scopes = [key(Some(10), Some(1000), Some(5)), team(Some(2), Some(1000), None)];
        let state = async || {
            let probe =
                bench.limiter.admit(&admit(call(), &[key(Some(10), Some(1000), None)], 0, None)).await;
            let rates = probe.unwrap().rates;
            (rates.requests.unwrap().remaining, rates.tokens.unwrap().remaining)
        };
        // On a slow machine some comes back meanwhile.
        let began = std::time::Instant::now();
        for _ in 0..2 {
            drop(bench.limiter.admit(&admit(call(), &scopes, 100, None)).await.unwrap());
        }
        let within = |told: u32, exactly: u32, per_minute: u128| {
            let back = u32::try_from(began.elapsed().as_millis() * per_minute / 60_000).unwrap() + 1;
            let least = if bench.is_granted() { 0 } else { exactly };
            assert!((least..=exactly + back).contains(&told), "{told} left, not {exactly}");
        };
        let assert_left = |told: (u32, u32), requests, tokens| {
            within(told.0, requests, 10);
            within(told.1, tokens, 1_000);
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
pub(crate) async fn headers_tell_the_tightest_of_all_scopes() {
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
pub(crate) async fn a_limit_of_zero_refuses_everything() {
    on_both(async |bench| {
        for scope in [key(Some(0), None, None), key(None, Some(0), None), key(None, None, Some(0))] {
            refusal(bench.limiter.admit(&admit(call(), &[scope], 1, None)).await);
        }
    })
    .await;
}
