//! Parts that are away: `docs/degradation.md`, row by row.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::Installation;
use tokio::time::Instant;

use crate::support::{App, Ask, OwnBudget, apps, bill, charge, full, install, nodes, seconds, until, usage};

/// How long a part is away.
fn outage() -> Duration {
    seconds(if full() { 60 } else { 10 })
}

/// Calls at every application for a while; every one must be served. How many.
async fn serve(apps: &[App], span: Duration) -> u64 {
    let end = Instant::now() + span;
    let caller = |app: App| async move {
        let mut served = 0;
        while Instant::now() < end {
            app.expect(&Ask::all("Hello")[served % 4], 200).await;
            served += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served as u64
    };
    join_all(apps.iter().cloned().map(caller)).await.into_iter().sum()
}

/// Every call arrives on the books, and they agree with the provider's.
async fn assert_nothing_lost(installation: &Installation, calls: u64) {
    let arrived = || async {
        let (status, _) =
            installation.admin.send("GET".parse().unwrap(), "/usage", None).await.unwrap_or_default();
        status == 200 && usage(&installation.admin).await.1 >= calls
    };
    until("every call is on the books", seconds(30), arrived).await;
    let (charged, requests) = usage(&installation.admin).await;
    assert_eq!(requests, calls);
    assert_eq!(charged, bill(installation).await);
}

/// A key without and one with a hard budget, at every node.
async fn two_keys(installation: &Installation, limit: &str) -> (Vec<App>, Vec<App>) {
    let (_, open) = installation.key("open", &json!({})).await.unwrap();
    let (id, capped) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("cap", limit, json!({"key": id})).await.unwrap();
    let (open, capped) = (apps(installation, &open), apps(installation, &capped));
    for app in &capped {
        app.expect(&Ask::chat("Hello"), 200).await;
    }
    (open, capped)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_control_plane_everything_is_served_and_nothing_is_lost() {
    let mut installation = install(nodes(2)).await;
    let (open, capped) = two_keys(&installation, "10").await;
    let both: Vec<App> = open.into_iter().chain(capped).collect();
    installation.control_planes[0].kill();
    let served = serve(&both, seconds(5)).await;
    installation.restart_control_plane(0).await.unwrap();
    let served = 2 + served + serve(&both, seconds(1)).await;
    assert_nothing_lost(&installation, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_every_call_is_served_management_says_503_and_nothing_is_lost() {
    let mut installation = install(nodes(2)).await;
    let (open, capped) = two_keys(&installation, "10").await;
    let both: Vec<App> = open.into_iter().chain(capped).collect();
    installation.postgres.stop();
    let management = async {
        let away = || async {
            matches!(installation.admin.send("GET".parse().unwrap(), "/teams", None).await, Ok((503, _)))
        };
        until("management answers 503", seconds(10), away).await;
    };
    let (served, ()) = tokio::join!(serve(&both, outage()), management);
    installation.postgres.start_again().unwrap();
    let served = 2 + served + serve(&both, seconds(1)).await;
    assert_nothing_lost(&installation, served).await;
}

/// While the counters are away: the open key is served, the capped one is refused at once.
async fn assert_degraded(open: &[App], capped: &[App], span: Duration) -> u64 {
    let end = Instant::now() + span;
    let refused = async {
        while Instant::now() < end {
            for app in capped {
                let reply = app.expect(&Ask::chat("Hello"), 503).await;
                assert!(reply.headers.contains_key("retry-after"), "{:?}", reply.headers);
                assert!(reply.took < seconds(1), "refused after {:?}", reply.took);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(serve(open, span), refused).0
}

/// Served again at every node within 10 s.
async fn assert_back(capped: &[App]) {
    let start = Instant::now();
    for app in capped {
        let served = || async { app.status().await == 200 };
        until("the capped key is served again", seconds(10), served).await;
    }
    assert!(start.elapsed() <= seconds(10));
}

/// Uses the rest of the budget up: nothing above the limit, nothing wasted, every book agrees.
async fn assert_the_rest_is_usable(capped: &[App]) {
    let ask = Ask::chat("Hello").at_most(100);
    let mut served = 0;
    let app = &capped[0];
    let quiet = || async { OwnBudget::of(app).await.is_some_and(|budget| budget.held == 0) };
    let (mut away, mut refused) = (0, false);
    loop {
        match capped[served % capped.len()].call(&ask).await.unwrap().status {
            200 => (served, refused) = (served + 1, false),
            // The call before may not be settled yet: only a refusal with nothing held counts.
            402 if refused => break,
            402 => {
                refused = true;
                until("nothing is held", seconds(10), quiet).await;
            }
            // Redis was slower than a decision may take, which is not the end of the budget.
            503 => away += 1,
            other => panic!("status {other}"),
        }
        assert!(served < 1_000 && away < 100, "a budget without an end: {served} served, {away} away");
    }
    assert!(served > 0, "the rest of the budget is usable");
    until("nothing is held", seconds(10), quiet).await;
    let budget = OwnBudget::of(app).await.unwrap();
    let hold = 100 * 2_000 + i128::try_from(ask.body().to_string().len()).unwrap() * 500;
    assert!(budget.limit - budget.spent - budget.unresolved < hold, "{budget:?}: a call would have fitted");
    assert!(budget.spent + budget.unresolved <= budget.limit, "{budget:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_open_keys_are_served_capped_ones_refused_and_the_budget_goes_on_where_it_was() {
    let mut installation = install(nodes(2)).await;
    let (open, capped) = two_keys(&installation, "0.01").await;
    for _ in 0..10 {
        capped[0].expect(&Ask::chat("Hello"), 200).await;
    }
    installation.redis.as_mut().unwrap().stop();
    assert_degraded(&open, &capped, outage()).await;
    installation.redis.as_mut().unwrap().start_again().unwrap();
    assert_back(&capped).await;
    assert_the_rest_is_usable(&capped).await;
    let ours = || async { charge(&installation.admin).await == bill(&installation).await };
    until("the ledger and the provider's bill agree", seconds(15), ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_redis_starts_again_from_the_ledger() {
    let installation = install(nodes(2)).await;
    let (open, capped) = two_keys(&installation, "0.01").await;
    for _ in 0..10 {
        capped[1].expect(&Ask::chat("Hello"), 200).await;
    }
    installation.redis.as_ref().unwrap().flush().unwrap();
    // From here on the counters know nothing; the open key does not notice.
    serve(&open, Duration::from_millis(200)).await;
    assert_back(&capped).await;
    let budget = OwnBudget::of(&capped[0]).await.unwrap();
    assert!(budget.spent > 0, "{budget:?}: what was spent before is not forgotten");
    assert_the_rest_is_usable(&capped).await;
    let ours = || async { charge(&installation.admin).await == bill(&installation).await };
    until("the ledger and the provider's bill agree", seconds(15), ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_takes_connections_and_says_nothing_is_no_better_than_none() {
    let installation = install(nodes(2)).await;
    let (open, capped) = two_keys(&installation, "0.01").await;
    assert!(installation.redis.as_ref().unwrap().freeze());
    assert_degraded(&open, &capped, seconds(3)).await;
    assert!(installation.redis.as_ref().unwrap().thaw());
    assert_back(&capped).await;
    assert_the_rest_is_usable(&capped).await;
    let ours = || async { charge(&installation.admin).await == bill(&installation).await };
    until("the ledger and the provider's bill agree", seconds(15), ours).await;
}
