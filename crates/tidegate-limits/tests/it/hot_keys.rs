//! What decisions cost Redis: one script, and nothing for a key that is known to be over its limit.

use std::time::Duration;

use tidegate_limits::{LimitError, RateScope, RedisSettings, Refusal, Release, ScopeLimits, Timing};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::KeyLimits;
use tidegate_types::{CredentialId, KeyId, TeamId};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Bench, ORGANIZATION, TIMING, admit, begin, call, connect, hard, hold, key, refusal, scripts_run,
    settings, soft, team,
};

#[tokio::test]
async fn a_hot_key_over_its_limit_costs_redis_nothing() {
    let bench = Bench::redis().await;
    let scopes = [key(Some(3), None, None)];
    for _ in 0..3 {
        bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
    }
    refusal(bench.limiter.admit(&admit(call(), &scopes, 0, None)).await);
    let before = scripts_run(bench.server.as_ref().unwrap());
    assert_eq!(before, 4, "positive control: each decision so far was a script");
    let mut last = u64::MAX;
    for _ in 0..1000 {
        let Refusal::Rate { retry_after_ms, .. } =
            refusal(bench.limiter.admit(&admit(call(), &scopes, 0, None)).await)
        else {
            panic!("a rate refuses")
        };
        assert!(retry_after_ms <= last && retry_after_ms >= 1);
        last = retry_after_ms;
    }
    assert_eq!(scripts_run(bench.server.as_ref().unwrap()), before);
    assert_eq!(bench.limiter.stats().denied_locally, 1000);
    // A raised limit is noticed at once: Redis is asked, and names the new rate's wait.
    let raised =
        ScopeLimits { limits: KeyLimits { requests_per_minute: Some(60), ..scopes[0].limits }, ..scopes[0] };
    let Refusal::Rate { limit: 60, retry_after_ms, .. } =
        refusal(bench.limiter.admit(&admit(call(), &[raised], 0, None)).await)
    else {
        panic!("a rate refuses")
    };
    assert!(retry_after_ms <= 1000);
    assert_eq!(scripts_run(bench.server.as_ref().unwrap()), before + 1);
}

#[tokio::test]
async fn a_refund_on_this_node_ends_the_memory_of_a_token_refusal() {
    let bench = Bench::redis().await;
    let scopes = [key(None, Some(100), None)];
    let first = bench.limiter.admit(&admit(call(), &scopes, 100, None)).await.unwrap();
    refusal(bench.limiter.admit(&admit(call(), &scopes, 100, None)).await);
    let Err(LimitError::Refused(_)) = bench.limiter.admit(&admit(call(), &scopes, 100, None)).await else {
        panic!("remembered")
    };
    assert_eq!(bench.limiter.stats().denied_locally, 1);
    bench.limiter.release(Release { permit: first.permit, tokens_used: Some(0) });
    bench.limiter.idle().await;
    bench.limiter.admit(&admit(call(), &scopes, 100, None)).await.unwrap();
}

/// Whatever the scope, three nodes together never admit more than a burst and what flowed in since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_never_admit_more_than_the_limit_and_one_burst() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        nodes.push(connect(&server, seed, &stop).await);
    }
    let scopes = [
        RateScope::Organization,
        RateScope::Team(TeamId::from_u128(1)),
        RateScope::Key(KeyId::from_u128(1)),
        RateScope::Credential(CredentialId::from_u128(1)),
    ];
    for scope in scopes {
        let limits = KeyLimits { requests_per_minute: Some(120), ..KeyLimits::default() };
        let began = std::time::Instant::now();
        let mut callers = tokio::task::JoinSet::new();
        for n in 0..12 {
            let limiter = nodes[n % 3].clone();
            callers.spawn(async move {
                let mut passed = 0u128;
                for _ in 0..40 {
                    let ask = admit(call(), &[ScopeLimits { scope, limits }], 0, None);
                    passed += u128::from(limiter.admit(&ask).await.is_ok());
                }
                passed
            });
        }
        let passed: u128 = callers.join_all().await.into_iter().sum();
        // Two a second flow in.
        let most = 120 + began.elapsed().as_millis().div_ceil(500);
        assert!((120..=most).contains(&passed), "{scope:?}: {passed} of {most}");
    }
    stop.cancel();
}

#[tokio::test]
async fn a_call_is_admitted_by_one_script_however_much_it_counts_under() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    // Slots are renewed by a script of their own in every third part of their lease, and swept.
    let (lease, sweep) = (Duration::from_secs(3_600), Duration::from_secs(3_600));
    let timing = Timing { lease, sweep, ..TIMING };
    let limiter = begin(RedisSettings { timing, ..settings(&server, 7) }, &stop).await;
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let scopes = [key(Some(1_000), Some(100_000), Some(500)), team(Some(1_000), Some(100_000), Some(500))];
    // Permits that are dropped would be given back, beside the calls.
    let mut kept = Vec::new();
    for parts in [
        vec![],
        vec![hard(1, 1_000_000, 10)],
        vec![hard(1, 1_000_000, 10), soft(2, 1_000_000, 10), hard(3, 1_000_000, 10)],
    ] {
        let ask = async || {
            let hold = hold(&limiter, &parts);
            let with = (!parts.is_empty()).then(|| hold.clone());
            limiter.admit(&admit(hold.call_id, &scopes, 100, with)).await.unwrap()
        };
        let before = scripts_run(&server);
        for _ in 0..50 {
            kept.push(ask().await);
        }
        assert_eq!(scripts_run(&server) - before, 50, "{} budgets", parts.len());
    }
    stop.cancel();
}
