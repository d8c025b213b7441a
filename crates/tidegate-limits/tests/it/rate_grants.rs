//! Rates taken in advance: no trip for the common call, never more than one bucket would admit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tidegate_limits::{LimitError, Limiter, Mode, RateKind, Refusal, Release, ScopeLimits};
use tidegate_testkit::redis::Server;
use tokio_util::sync::CancellationToken;

use crate::support::{
    ORGANIZATION, RealClock, SOON, admit, call, connect, eventually, hard, hold, key, refusal, scripts_run,
    settings, spent, team,
};

/// A node as it is in the product.
async fn node(server: &Server, seed: u64, nodes: u32, stop: &CancellationToken) -> Limiter {
    let mut settings = settings(server, seed);
    // No machine stands still for so long.
    settings.decision = Duration::from_secs(20);
    let limiter = Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap();
    eventually("Redis is found", async || limiter.mode() == Mode::Healthy).await;
    limiter.set_live_nodes(nodes);
    limiter
}

/// Calls as fast as it goes, and after `until` to the first refusal; between when and when each was admitted, and when it
/// ended.
async fn hammer(limiter: Limiter, scopes: Vec<ScopeLimits>, until: Instant) -> (Vec<[Instant; 2]>, Instant) {
    let mut admitted = Vec::new();
    loop {
        let asked = Instant::now();
        match limiter.admit(&admit(call(), &scopes, 0, None)).await {
            Ok(_) => admitted.push([asked, Instant::now()]),
            Err(LimitError::Refused(_)) if Instant::now() >= until => return (admitted, Instant::now()),
            Err(LimitError::Refused(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_call_with_rates_and_a_budget_asks_no_redis_while_grants_last() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = node(&server, 1, 1, &stop).await;
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    limiter.allow_grants(ORGANIZATION, 1, 10);
    let scopes = [key(Some(600_000), Some(600_000), Some(1_000)), team(Some(900_000), None, None)];
    let one = async || {
        let hold = hold(&limiter, &[hard(1, 1_000_000_000, 1_000)]);
        let admitted = limiter.admit(&admit(hold.call_id, &scopes, 100, Some(hold.clone()))).await.unwrap();
        assert_eq!(admitted.held.epoch, 1);
        let (requests, tokens) = (admitted.rates.requests.unwrap(), admitted.rates.tokens.unwrap());
        assert!(requests.limit == 600_000 && requests.remaining > 500_000, "{requests:?}");
        assert!(tokens.limit == 600_000 && tokens.remaining > 0, "{tokens:?}");
        limiter.settle(hold.settlement(ORGANIZATION, 1, spent(400)));
        limiter.release(Release { permit: admitted.permit, tokens_used: Some(40) });
    };
    let mut calls = 0;
    while limiter.stats().rated_locally < 300 || limiter.stats().held_locally < 300 {
        one().await;
        calls += 1;
        tokio::time::sleep(Duration::from_micros(200)).await;
        assert!(calls < 20_000, "no grants: {:?}", limiter.stats());
    }
    // A machine that stands still for longer than grants last has them run out: one stretch of several must be whole.
    let mut stretches = Vec::new();
    loop {
        let (before, stats) = (scripts_run(&server), limiter.stats());
        for _ in 0..1_000 {
            one().await;
        }
        calls += 1_000;
        let (asked, now) = (scripts_run(&server) - before, limiter.stats());
        let (rated, held) = (now.rated_locally - stats.rated_locally, now.held_locally - stats.held_locally);
        if rated > 950 && held > 950 && asked < 200 {
            break;
        }
        stretches.push((rated, held, asked));
        assert!(stretches.len() < 10, "of 1000 each: rated and held here, scripts: {stretches:?}");
    }
    // What was reserved and not used is back, and nothing is kept in the end.
    limiter.idle().await;
    let probe = connect(&server, 9, &stop).await;
    let rates = probe.admit(&admit(call(), &scopes[..1], 0, None)).await.unwrap().rates;
    let lacking = 600_000 - rates.tokens.unwrap().remaining;
    let most = calls * 40 + 10_000;
    assert!(lacking <= most, "{lacking} tokens of {calls} calls that used 40 each, and a second's worth");
    stop.cancel();
}

/// What three nodes admit of a rate of 6,000 a minute in four seconds: never more than one bucket. How many, and how many
/// one bucket would have.
async fn three_nodes() -> (usize, f64) {
    const PER_MINUTE: u32 = 6_000;
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        nodes.push(node(&server, seed, 3, &stop).await);
    }
    let began = Instant::now();
    let until = began + Duration::from_secs(4);
    let scopes = vec![key(Some(PER_MINUTE), None, None)];
    let mut hammers = tokio::task::JoinSet::new();
    for worker in 0..6 {
        hammers.spawn(hammer(nodes[worker % 3].clone(), scopes.clone(), until));
    }
    let (admitted, ends): (Vec<Vec<_>>, Vec<Instant>) = hammers.join_all().await.into_iter().unzip();
    let mut admitted: Vec<[Instant; 2]> = admitted.into_iter().flatten().collect();
    admitted.sort_unstable();
    let local: u64 = nodes.iter().map(|node| node.stats().rated_locally).sum();
    println!("{} admitted, {local} of them without asking", admitted.len());
    assert!(local > 2_000, "{local}: grants were used");
    // In no span of time more than a burst and what refills in it.
    let (burst, per_second) = (f64::from(PER_MINUTE), f64::from(PER_MINUTE) / 60.0);
    for (nth, [first, _]) in admitted.iter().enumerate().step_by(50) {
        // The latest end of those that were asked for by then.
        let mut last = *first;
        for (count, [_, end]) in admitted.iter().enumerate().skip(nth) {
            last = last.max(*end);
            let most = burst + per_second * last.duration_since(*first).as_secs_f64() + 1.0;
            assert!(((count - nth) as f64) <= most, "{} in {:?}", count - nth, last.duration_since(*first));
        }
    }
    stop.cancel();
    (admitted.len(), burst + per_second * ends.into_iter().min().unwrap().duration_since(began).as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_admit_what_one_bucket_would_and_refuse_falsely_no_more_than_what_is_out() {
    // As many as one bucket by the time that the first of them met its last refusal, but for what the last second's
    // refill may still be out for. On a machine that stands still more of what is out is forfeited: one round of several
    // must be whole.
    let mut rounds = Vec::new();
    loop {
        let (admitted, whole) = three_nodes().await;
        if admitted as f64 >= whole - 200.0 {
            break;
        }
        rounds.push((admitted, whole));
        assert!(rounds.len() < 5, "admitted, and by one bucket: {rounds:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_denied_costs_no_redis_though_grants_are_on() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let limiter = node(&server, 1, 1, &stop).await;
    let scopes = [key(Some(60), None, None)];
    let (began, mut passed) = (Instant::now(), 0);
    // One is there again each second.
    let again = |since: Instant| since.elapsed().as_secs() + 1;
    for _ in 0..100 {
        passed += u64::from(limiter.admit(&admit(call(), &scopes, 0, None)).await.is_ok());
    }
    assert!((60..=60 + again(began)).contains(&passed), "{passed}: a burst of 60, to the last one");
    let (before, began, mut denied) = (scripts_run(&server), Instant::now(), 0);
    for _ in 0..1_000 {
        let answer = limiter.admit(&admit(call(), &scopes, 0, None)).await;
        if answer.is_err() {
            assert!(matches!(refusal(answer), Refusal::Rate { kind: RateKind::Requests, .. }));
            denied += 1;
        }
        tokio::task::yield_now().await;
    }
    let asked = scripts_run(&server) - before;
    assert!(denied > 900 && asked <= 4 * again(began), "{asked} scripts for {denied} refusals");
    stop.cancel();
}

#[tokio::test]
async fn what_a_dead_node_had_of_a_rate_is_gone_within_seconds_and_blocks_nobody() {
    let (server, stop, death) =
        (Server::start().unwrap(), CancellationToken::new(), CancellationToken::new());
    let (dead, other) = (node(&server, 1, 1, &death).await, connect(&server, 2, &stop).await);
    let scopes = [key(Some(6_000), None, None)];
    while dead.stats().rated_locally < 50 {
        let _ = dead.admit(&admit(call(), &scopes, 0, None)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    death.cancel();
    // A bucket of 6,000 that refills in a minute: all but what was used by then is there again.
    eventually("the bucket is whole but for a second's worth", async || {
        let rates = other.admit(&admit(call(), &scopes, 0, None)).await.unwrap().rates;
        tokio::time::sleep(Duration::from_millis(300)).await;
        rates.requests.unwrap().remaining > 5_900
    })
    .await;
    stop.cancel();
}

#[tokio::test]
async fn without_redis_a_node_uses_what_it_has_and_then_its_fair_share() {
    let (mut server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let mut settings = settings(&server, 1);
    settings.decision = Duration::from_millis(200);
    let limiter = Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap();
    limiter.set_live_nodes(2);
    let scopes = [key(Some(6_000), None, None)];
    let (began, mut whole) = (Instant::now(), 0);
    while whole < 500 || limiter.stats().rated_locally <= 50 {
        assert!(began.elapsed() < SOON, "nothing in advance: {:?}", limiter.stats());
        // Where Redis stands still for longer than is waited for here, it begins anew.
        whole = if limiter.admit(&admit(call(), &scopes, 0, None)).await.is_ok() { whole + 1 } else { 0 };
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    assert!(server.freeze());
    let (began, mut passed, mut asked) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(2) || asked < 500 {
        asked += 1;
        passed += u32::from(limiter.admit(&admit(call(), &scopes, 0, None)).await.is_ok());
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    assert_eq!(limiter.mode(), Mode::Away);
    // Half of the rate, a twentieth of half a burst on entry, and what was here in advance.
    let share = 50.0 * began.elapsed().as_secs_f64();
    assert!(passed >= 100 && f64::from(passed) < share + 150.0 + 1_200.0, "{passed} without redis");
    assert!(server.thaw());
    stop.cancel();
    server.stop();
}

/// Calls that take a while, until `until` says so; how many were admitted, and the most in flight at once.
async fn occupy(
    limiter: Limiter,
    scopes: Vec<ScopeLimits>,
    counts: Arc<[AtomicI64; 3]>,
    most_allowed: i64,
    until: Arc<dyn Fn() -> bool + Send + Sync>,
) {
    let [in_flight, admitted, refused] = &*counts;
    while !until() {
        let Ok(permit) = limiter.admit(&admit(call(), &scopes, 0, None)).await else {
            refused.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        let now = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(now <= most_allowed, "{now} in flight");
        admitted.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(3)).await;
        in_flight.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_in_advance_are_never_more_than_the_limit_over_all_nodes() {
    let (server, stop) = (Server::start().unwrap(), CancellationToken::new());
    let nodes = [node(&server, 1, 2, &stop).await, node(&server, 2, 2, &stop).await];
    // First with room to spare, then with more callers than slots.
    for (limit, workers, need) in [(400, 16, 1_000), (12, 16, 0)] {
        let scopes = vec![team(None, None, Some(limit))];
        let counts = Arc::new([const { AtomicI64::new(0) }; 3]);
        let local = {
            let nodes = nodes.clone();
            move || nodes.iter().map(|node| node.stats().rated_locally).sum::<u64>()
        };
        let (began, before) = (Instant::now(), local());
        // For a while, and longer where the machine has done too little by then.
        let until = {
            let (local, counts) = (local.clone(), Arc::clone(&counts));
            move || {
                let enough = local() - before >= need && counts[1].load(Ordering::SeqCst) > 200;
                began.elapsed() > if enough { Duration::from_millis(1_500) } else { SOON }
            }
        };
        let until: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new(until);
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..workers {
            let (limiter, counts) = (nodes[worker % 2].clone(), Arc::clone(&counts));
            tasks.spawn(occupy(limiter, scopes.clone(), counts, i64::from(limit), Arc::clone(&until)));
        }
        tasks.join_all().await;
        let local = local() - before;
        let [_, admitted, refused] = counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        println!("limit {limit}: {admitted} admitted, {local} without asking, {refused} refused");
        assert!(local >= need, "{local} of {admitted} without asking");
        assert!(admitted > 200 && (need == 0 || refused == 0), "{admitted} admitted, {refused} refused");
        for node in &nodes {
            node.idle().await;
        }
        // Nothing is kept: all of the limit can be had at one node.
        let mut all = Vec::new();
        for _ in 0..limit {
            let (began, asked) = (Instant::now(), admit(call(), &scopes, 0, None));
            // What the other node had in advance may still be on its way back.
            let had = loop {
                match nodes[0].admit(&asked).await {
                    Ok(had) => break had,
                    Err(error) => assert!(began.elapsed() < SOON, "{error:?}"),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            all.push(had);
        }
    }
    stop.cancel();
}

#[tokio::test]
async fn slots_of_a_dead_node_are_free_when_their_lease_is_over_and_those_of_a_living_one_last() {
    let (server, stop, death) =
        (Server::start().unwrap(), CancellationToken::new(), CancellationToken::new());
    let (dead, living) = (node(&server, 1, 1, &death).await, node(&server, 2, 1, &stop).await);
    let other = connect(&server, 3, &stop).await;
    let scopes = [key(None, None, Some(40))];
    let mut held = Vec::new();
    for limiter in [&dead, &living] {
        while limiter.stats().rated_locally < 5 {
            held.push(limiter.admit(&admit(call(), &scopes, 0, None)).await.unwrap());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    let in_use = async || -> usize {
        let mut permits = Vec::new();
        while let Ok(permit) = other.admit(&admit(call(), &scopes, 0, None)).await {
            permits.push(permit);
        }
        let free = permits.len();
        drop(permits);
        other.idle().await;
        40 - free
    };
    let before_death = held.len();
    // Where a machine stood still for longer than a lease, they are told of again.
    eventually("all slots are in use", async || in_use().await >= before_death).await;
    death.cancel();
    eventually("the dead node's slots are free", async || in_use().await < before_death).await;
    // The living one's calls run on, far beyond a lease.
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    eventually("renewed while its calls run", async || in_use().await >= 5).await;
    drop(held);
    stop.cancel();
}
