//! A key over its limit is refused from local memory and costs Redis nothing.

use tidegate_limits::{LimitError, Refusal, Release, ScopeLimits};
use tidegate_types::resource::KeyLimits;

use crate::support::{Bench, admit, call, key, refusal};

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
