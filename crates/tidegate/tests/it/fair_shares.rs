//! Rates while Redis is away: the nodes of a pool share them.

use std::time::Instant;

use serde_json::json;

use crate::support::{Ask, apps, install, losing_redis, seconds, until};

/// Of the rate, and of a node's share of it.
const A_MINUTE: u32 = 240;
const SHARE: u32 = A_MINUTE / 2;
/// What a share begins with, as in `docs/rate-limits.md`.
const AT_FIRST: u32 = SHARE / 20;

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_nodes_of_a_pool_serve_a_rate_together_and_not_each() {
    let mut installation = install(losing_redis(2)).await;
    let limits = json!({"limits": {"requests_per_minute": A_MINUTE}});
    let (_, key) = installation.key("app", &limits).await.unwrap();
    let known = || async {
        let audit = installation.admin.get("/audit?organization=system").await.unwrap().to_string();
        let fleet = installation.admin.get("/fleet").await.unwrap();
        audit.contains("\"default\":2")
            && fleet["data"].as_array().unwrap().iter().all(|node| node["live"] == true && node["lag"] == 0)
    };
    until("each node knows of the other", seconds(20), known).await;
    let apps = apps(&installation, &key);
    installation.redis.as_mut().unwrap().stop();
    for app in &apps {
        let (began, mut served) = (Instant::now(), 0);
        loop {
            let reply = app.call(&Ask::chat("Hello")).await.unwrap();
            // The limit is known, what is left of it all is not.
            let told = |name: &str| reply.headers.get(format!("x-ratelimit-{name}-requests"));
            assert_eq!(told("limit").unwrap().to_str().unwrap(), A_MINUTE.to_string());
            assert_eq!((told("remaining"), told("reset")), (None, None));
            match reply.status {
                200 => served += 1,
                429 => break,
                other => panic!("status {other}"),
            }
        }
        let meanwhile = began.elapsed().as_secs_f64() * f64::from(SHARE) / 60.0;
        let most = f64::from(AT_FIRST) + meanwhile + 1.0;
        assert!(f64::from(served) <= most, "{served} served, {meanwhile} of them came back meanwhile");
        assert!(served >= AT_FIRST, "{served} are no share");
    }
}
