//! A key over its limit is refused from local memory and costs Redis nothing.

use tidegate_limits::{LimitError, RateScope, Refusal, Release, ScopeLimits};
use tidegate_testkit::redis::Server;
use tidegate_types::resource::KeyLimits;
use tidegate_types::{CredentialId, KeyId, TeamId};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, admit, call, connect, key, refusal};

fn scripts_run(bench: &Bench) -> u64 {
    let stats = bench.server.as_ref().unwrap().command(&["INFO", "commandstats"]).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn a_hot_key_over_its_limit_costs_redis_nothing() {
    let bench = Bench::redis().await;
    let scopes = [key(Some(3), None, None)];
    for _ in 0..3 {
        bench.limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap();
    }
    refusal(bench.limiter.admit(&admit(call(), &scopes, 0, None)).await);
    let before = scripts_run(&bench);
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
    assert_eq!(scripts_run(&bench), before);
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
    assert_eq!(scripts_run(&bench), before + 1);
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
