//! Redis that is gone, frozen, emptied, foreign or unfit: money fails closed, the rest goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_limits::{LimitError, Limiter, Mode, RedisSettings, Unfit};
use tidegate_testkit::redis::Server;
use tidegate_types::{Clock, Secret};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Bench, ORGANIZATION, RealClock, SOON, TIMING, admit, call, connect, eventually, hard, key, settings,
    soft, spent,
};

/// A limiter with a hard stop ten times that of the product, on a server of its own: what others do on this machine
/// is no silence of Redis, and what is tried here is the same.
async fn strict() -> (Bench, CancellationToken) {
    let mut bench = Bench::redis().await;
    let stop = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let server = bench.server.as_ref().unwrap();
    let settings = RedisSettings { decision: HARD_STOP, ..settings(server, 3) };
    bench.limiter = Limiter::redis(settings, clock, stop.clone()).await.unwrap();
    bench.open(1).await;
    (bench, stop)
}

const HARD_STOP: Duration = Duration::from_millis(250);

async fn healthy_again(limiter: &Limiter) {
    let began = Instant::now();
    eventually("recovery", async || limiter.mode() == Mode::Healthy).await;
    println!("recovered after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_stopped_redis_refuses_capped_calls_at_once_and_serves_the_others_their_fair_share() {
    let (mut bench, _stop) = strict().await;
    bench.limiter.set_live_nodes(3);
    bench.server.as_mut().unwrap().stop();
    let began = Instant::now();
    let capped = bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await;
    println!("first decision after {:?}", began.elapsed());
    assert_eq!(capped, Err(LimitError::Away));
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await, Err(LimitError::Away));
    }
    println!("a hundred more in {:?}", began.elapsed());
    assert_eq!(bench.limiter.mode(), Mode::Away);

    // A soft budget does not need Redis; its cost is counted later.
    let counted = bench.hold(call(), 0, &[soft(2, 1, 5)]);
    assert_eq!(bench.place(&counted).await, Ok(0));
    // 600 a minute over 3 nodes: a twentieth of 200 on entry, the rest at the rate.
    let (began, mut admitted) = (Instant::now(), 0);
    for _ in 0..200 {
        admitted += u32::from(
            bench.limiter.admit(&admit(call(), &[key(Some(600), None, None)], 0, None)).await.is_ok(),
        );
    }
    let most = 20.0 + 200.0 / 60.0 * began.elapsed().as_secs_f64();
    assert!(admitted >= 10 && f64::from(admitted) <= most, "no free burst: {admitted}");
    // Five calls in flight over three nodes.
    let slots = [key(None, None, Some(5))];
    let first = bench.limiter.admit(&admit(call(), &slots, 0, None)).await.unwrap();
    assert!(bench.limiter.admit(&admit(call(), &slots, 0, None)).await.is_err());
    drop(first);
    drop(bench.limiter.admit(&admit(call(), &slots, 0, None)).await.unwrap());
}

#[tokio::test]
async fn a_restarted_redis_has_lost_its_epoch_and_gives_no_second_burst() {
    let (mut bench, _stop) = strict().await;
    let run = bench.limiter.store_run_id(ORGANIZATION).unwrap();
    let limited = [key(Some(600), None, None)];
    bench.server.as_mut().unwrap().stop();
    eventually("the outage is noticed", async || {
        drop(bench.limiter.admit(&admit(call(), &limited, 0, None)).await);
        bench.limiter.mode() == Mode::Away
    })
    .await;
    drop(bench.limiter.admit(&admit(call(), &limited, 0, None)).await);
    bench.server.as_mut().unwrap().start_again().unwrap();
    healthy_again(&bench.limiter).await;
    assert_ne!(bench.limiter.store_run_id(ORGANIZATION).unwrap(), run);
    let lost = bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await;
    assert_eq!(lost, Err(LimitError::NoEpoch { found: 0 }));
    let mut admitted = 0;
    while bench.limiter.admit(&admit(call(), &limited, 0, None)).await.is_ok() {
        admitted += 1;
    }
    assert!(admitted < 300, "the bucket was empty at recovery, {admitted} passed at once");
    // A key that was not served meanwhile has its whole minute.
    let other =
        tidegate_limits::ScopeLimits { scope: tidegate_limits::RateScope::Organization, ..limited[0] };
    let fresh = bench.limiter.admit(&admit(call(), &[other], 0, None)).await.unwrap();
    assert_eq!(fresh.rates.requests.unwrap().remaining, 599);
}

#[tokio::test]
async fn a_frozen_redis_leaves_nothing_held_behind() {
    let (bench, _stop) = strict().await;
    let server = bench.server.as_ref().unwrap();
    let settled = bench.hold(call(), 0, &[hard(1, 1000, 100)]);
    bench.place(&settled).await.unwrap();
    assert!(server.freeze());
    let began = Instant::now();
    let slots = [key(Some(50), None, Some(1))];
    let lost = call();
    let asked = admit(lost, &slots, 0, Some(bench.hold(lost, 0, &[hard(1, 1000, 600)])));
    assert_eq!(bench.limiter.admit(&asked).await.unwrap_err(), LimitError::Away);
    println!("first decision after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20), "generous: the hard stop is a quarter of one");
    assert_eq!(bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 600)])).await, Err(LimitError::Away));
    bench.limiter.settle(settled.settlement(ORGANIZATION, 1, spent(30)));
    assert!(bench.limiter.stats().queued >= 1);
    assert!(server.thaw());
    healthy_again(&bench.limiter).await;
    // The lost decision may have been carried out late; it was taken back either way.
    eventually("nothing is held", async || bench.figures(1).await == (30, 0, 0)).await;
    eventually("the slot is free", async || {
        bench.limiter.admit(&admit(call(), &slots, 0, None)).await.is_ok()
    })
    .await;
    assert_eq!(bench.limiter.admit(&asked).await.unwrap_err(), LimitError::HoldEnded);
}

#[tokio::test]
async fn a_process_without_a_processor_does_not_take_its_own_pause_for_the_servers_silence() {
    let (bench, _stop) = strict().await;
    for _ in 0..3 {
        let hold = bench.hold(call(), 0, &[hard(1, 1000, 1)]);
        // The runtime's only thread stands still for longer than the hard stop of a decision.
        let pause = async {
            tokio::task::yield_now().await;
            std::thread::sleep(HARD_STOP * 3);
        };
        let (placed, ()) = tokio::join!(bench.place(&hold), pause);
        assert_eq!(placed, Ok(1));
    }
    assert_eq!(bench.limiter.stats().trips, 0);
}

#[tokio::test]
async fn nor_does_an_exchange_of_grants_that_is_under_way() {
    let (bench, _stop) = strict().await;
    let server = bench.server.as_ref().unwrap();
    let scopes = [key(Some(60_000), None, None)];
    let busy = async |until: Duration| {
        let began = Instant::now();
        while began.elapsed() < until || bench.limiter.stats().rated_locally < 20 {
            let _ = bench.limiter.admit(&admit(call(), &scopes, 0, None)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(began.elapsed() < SOON, "nothing in advance");
        }
    };
    for _ in 0..2 {
        busy(Duration::from_millis(300)).await;
        assert!(server.freeze());
        // What was used since is told meanwhile, and not answered.
        let frozen = Instant::now();
        while frozen.elapsed() < HARD_STOP / 5 {
            let _ = tokio::time::timeout(
                Duration::from_millis(1),
                bench.limiter.admit(&admit(call(), &scopes, 0, None)),
            )
            .await;
        }
        // Nobody is there to hear the answer for longer than it may take.
        std::thread::sleep(Duration::from_millis(2_500));
        assert!(server.thaw());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bench.limiter.stats().trips, 0);
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_waits_leaves_nothing_held() {
    let bench = Bench::redis().await;
    bench.open(1).await;
    let server = bench.server.as_ref().unwrap();
    assert!(server.freeze());
    let hold = bench.hold(call(), 0, &[hard(1, 1000, 600)]);
    let limiter = bench.limiter.clone();
    let asked = admit(hold.call_id, &[key(None, None, Some(1))], 0, Some(hold));
    let left = tokio::time::timeout(Duration::from_millis(100), limiter.admit(&asked)).await;
    assert!(left.is_err(), "the caller left first");
    assert!(server.thaw());
    eventually("nothing is held", async || {
        bench.limiter.mode() == Mode::Healthy && bench.figures(1).await == (0, 0, 0)
    })
    .await;
    eventually("the slot is free", async || {
        bench.limiter.admit(&admit(call(), &[key(None, None, Some(1))], 0, None)).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn an_emptied_redis_has_no_epoch_though_its_run_is_the_same() {
    let (bench, _stop) = strict().await;
    let run = bench.limiter.store_run_id(ORGANIZATION);
    bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 100)])).await.unwrap();
    bench.server.as_ref().unwrap().flush().unwrap();
    let lost = bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 100)])).await;
    assert_eq!(lost, Err(LimitError::NoEpoch { found: 0 }));
    assert_eq!(bench.limiter.store_run_id(ORGANIZATION), run);
}

#[tokio::test]
async fn counters_of_another_run_are_foreign() {
    let (bench, _stop) = strict().await;
    bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 900)])).await.unwrap();
    // As after the restore of a dump: everything is there, written under another run.
    let marker = format!("tg:{{{}}}:e", ORGANIZATION.ulid());
    let server = bench.server.as_ref().unwrap();
    let written = server.command(&["GET", &marker]).unwrap();
    assert!(written.starts_with("1 "), "positive control: {written}");
    server.command(&["SET", &marker, "1 0123456789012345678901234567890123456789 9.9"]).unwrap();
    let foreign = bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 100)])).await;
    assert_eq!(foreign, Err(LimitError::NoEpoch { found: 0 }));
    // The same number opened again does not bring the old counters back.
    bench.open(1).await;
    assert_eq!(bench.figures(1).await, (0, 0, 0));
}

#[tokio::test]
async fn a_redis_that_may_evict_is_refused() {
    let server = Server::start().unwrap();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    let stop = CancellationToken::new();
    let refused = Limiter::redis(settings(&server, 1), Arc::new(RealClock), stop.clone()).await.map(|_| ());
    assert_eq!(refused, Err(LimitError::Unfit(Unfit::Eviction("allkeys-lru".into()))));
    // Turned on behind a running limiter's back, it is found at the next connection.
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    let limiter = connect(&server, 1, &stop).await;
    assert_eq!(limiter.mode(), Mode::Healthy);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    eventually("the limiter is away", async || limiter.mode() == Mode::Away).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(limiter.mode(), Mode::Away);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    healthy_again(&limiter).await;
}

#[tokio::test]
async fn a_limiter_starts_without_redis_and_finds_it_later() {
    let mut server = Server::start().unwrap();
    server.stop();
    let stop = CancellationToken::new();
    let limiter = connect(&server, 1, &stop).await;
    assert_eq!((limiter.mode(), limiter.store_run_id(ORGANIZATION)), (Mode::Away, None));
    drop(limiter.admit(&admit(call(), &[key(Some(60), None, None)], 0, None)).await.unwrap());
    server.start_again().unwrap();
    healthy_again(&limiter).await;
    stop.cancel();
    tokio::time::timeout(SOON, limiter.stopped()).await.expect("its tasks end");
}

#[tokio::test]
async fn an_unreadable_url_is_an_error_that_does_not_repeat_it() {
    let settings = RedisSettings::new(Secret::new("postgres://user:hunter2@nowhere"), 1);
    let error = Limiter::redis(settings, Arc::new(RealClock), CancellationToken::new())
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error, LimitError::Unfit(Unfit::Url));
    assert!(!error.to_string().contains("hunter2"));
}

#[tokio::test]
async fn forgotten_scripts_are_taught_again() {
    let (bench, _stop) = strict().await;
    let hold = bench.hold(call(), 0, &[hard(1, 1000, 100)]);
    bench.server.as_ref().unwrap().command(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(bench.place(&hold).await, Ok(1));
    bench.server.as_ref().unwrap().command(&["SCRIPT", "FLUSH"]).unwrap();
    bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(10)));
    bench.limiter.idle().await;
    assert_eq!(bench.figures(1).await, (10, 0, 0));
    assert_eq!(bench.limiter.mode(), Mode::Healthy);
}

#[tokio::test]
async fn slots_of_a_killed_node_come_back_and_those_of_a_long_call_stay() {
    let server = Server::start().unwrap();
    let (killed, living) = (CancellationToken::new(), CancellationToken::new());
    let dying = connect(&server, 1, &killed).await;
    let staying = connect(&server, 2, &living).await;
    let slots = [key(None, None, Some(2))];
    std::mem::forget(dying.admit(&admit(call(), &slots, 0, None)).await.unwrap());
    let long = staying.admit(&admit(call(), &slots, 0, None)).await.unwrap();
    assert!(staying.admit(&admit(call(), &slots, 0, None)).await.is_err());
    killed.cancel();
    dying.stopped().await;
    let began = Instant::now();
    let mut after = None;
    while after.is_none() {
        assert!(began.elapsed() < SOON, "the dead node's slot comes back");
        tokio::time::sleep(Duration::from_millis(30)).await;
        after = staying.admit(&admit(call(), &slots, 0, None)).await.ok();
    }
    tokio::time::sleep(TIMING.lease + Duration::from_millis(300)).await;
    // Where nobody could renew them for a while they are renewed after it.
    eventually("both slots are renewed", async || {
        staying.admit(&admit(call(), &slots, 0, None)).await.is_err()
    })
    .await;
    drop(long);
    eventually("a slot is free", async || staying.admit(&admit(call(), &slots, 0, None)).await.is_ok()).await;
    living.cancel();
}

#[tokio::test]
async fn the_stores_time_is_followed_from_a_clock_that_is_wrong() {
    struct Fast;
    impl Clock for Fast {
        fn now(&self) -> tidegate_types::Timestamp {
            RealClock.now().plus_millis(600_000)
        }
    }
    let server = Server::start().unwrap();
    let stop = CancellationToken::new();
    let limiter = Limiter::redis(settings(&server, 1), Arc::new(Fast), stop.clone()).await.unwrap();
    eventually("the clock is corrected", async || limiter.now().millis_since(RealClock.now()).abs() < 1_000)
        .await;
    stop.cancel();
}

#[tokio::test]
async fn what_was_served_while_redis_was_away_is_counted_when_it_is_back() {
    let (bench, _stop) = strict().await;
    let server = bench.server.as_ref().unwrap();
    assert!(server.freeze());
    let hold = bench.hold(call(), 0, &[soft(1, 10, 5)]);
    let first = bench.place(&hold).await;
    assert_eq!(first, Ok(0));
    let later = bench.hold(call(), 0, &[soft(1, 10, 5)]);
    assert_eq!(bench.place(&later).await, Ok(0));
    bench.limiter.settle(later.settlement(ORGANIZATION, 0, spent(70)));
    assert!(server.thaw());
    healthy_again(&bench.limiter).await;
    eventually("the cost is counted", async || bench.figures(1).await == (70, 0, 0)).await;
}

#[tokio::test]
async fn a_redis_that_became_a_replica_is_not_used_until_it_counts_again() {
    let (bench, _stop) = strict().await;
    let server = bench.server.as_ref().unwrap();
    server.command(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    eventually("the limiter is away", async || {
        let capped = bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await;
        assert!(matches!(capped, Ok(1) | Err(LimitError::Away)), "{capped:?}");
        bench.limiter.mode() == Mode::Away
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.limiter.mode(), Mode::Away, "a replica is not fit, though it answers");
    server.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    healthy_again(&bench.limiter).await;
    bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await.unwrap();
}

#[tokio::test]
async fn a_redis_out_of_memory_fails_closed_for_money_and_recovers() {
    let (bench, _stop) = strict().await;
    let server = bench.server.as_ref().unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let capped = bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await;
    assert_eq!(capped, Err(LimitError::Away));
    drop(bench.limiter.admit(&admit(call(), &[key(Some(60), None, None)], 0, None)).await.unwrap());
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    eventually("capped calls pass", async || {
        bench.place(&bench.hold(call(), 0, &[hard(1, 1000, 1)])).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn three_nodes_without_redis_stay_together_within_a_tenth_of_the_limit() {
    let mut server = Server::start().unwrap();
    server.stop();
    let stop = CancellationToken::new();
    let mut nodes = Vec::new();
    for seed in 1..=3 {
        let node = Limiter::redis(settings(&server, seed), Arc::new(RealClock), stop.clone()).await.unwrap();
        node.set_live_nodes(3);
        nodes.push(node);
    }
    let (began, mut admitted) = (Instant::now(), 0u32);
    let limited = [key(Some(60_000), None, None)];
    while began.elapsed() < Duration::from_millis(700) {
        for node in &nodes {
            admitted += u32::from(node.admit(&admit(call(), &limited, 0, None)).await.is_ok());
        }
        tokio::task::yield_now().await;
    }
    // 1,000 a second, and a twentieth of a minute's worth on entry: 1.05 times the limit in a minute.
    let most = 3_000.0 + 1_000.0 * began.elapsed().as_secs_f64() + 3.0;
    assert!(f64::from(admitted) <= most, "{admitted} of at most {most}");
    assert!(admitted > 3_000, "they are served: {admitted}");
    stop.cancel();
}

#[tokio::test]
async fn stopping_ends_the_wait_for_a_queue_that_cannot_drain() {
    let (mut bench, stop) = strict().await;
    let hold = bench.hold(call(), 0, &[hard(1, 1000, 1)]);
    bench.place(&hold).await.unwrap();
    bench.server.as_mut().unwrap().stop();
    bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(1)));
    assert!(tokio::time::timeout(Duration::from_millis(200), bench.limiter.idle()).await.is_err());
    stop.cancel();
    tokio::time::timeout(SOON, bench.limiter.stopped()).await.expect("its tasks end");
    tokio::time::timeout(SOON, bench.limiter.idle()).await.expect("nobody waits for ever");
    assert_eq!(bench.limiter.stats().dropped, 1);
}

#[tokio::test]
async fn the_permissions_that_the_settings_name_are_enough() {
    let server = Server::start().unwrap();
    let allowed = "+evalsha +script|load +info +time +zrangebyscore +hkeys +xadd +xrange +get +set +mget +del +hget +hmget +hset \
                   +hincrby +persist +pexpire +pexpireat +zadd +zrem +zcount +zscore +zremrangebyscore";
    let mut words = vec!["ACL", "SETUSER", "gate", "on", ">pass", "~tg:*"];
    words.extend(allowed.split_whitespace());
    server.command(&words).unwrap();
    let url = format!("redis://gate:pass@127.0.0.1:{}", server.port());
    let stop = CancellationToken::new();
    let settings = RedisSettings { timing: TIMING, ..RedisSettings::new(Secret::new(url), 1) };
    let mut bench = Bench::redis().await;
    bench.limiter = Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap();
    bench.open(1).await;
    let scopes = [key(Some(50), Some(5000), Some(2))];
    let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 100)]);
    let admitted = bench.limiter.admit(&admit(hold.call_id, &scopes, 100, Some(hold.clone()))).await.unwrap();
    hold.step = 1;
    bench.limiter.hold(ORGANIZATION, &hold).await.unwrap();
    let mut overdue = bench.hold(call(), 0, &[hard(1, 1000, 100)]);
    overdue.deadline = bench.limiter.now();
    bench.place(&overdue).await.unwrap();
    tokio::time::sleep(TIMING.lease).await;
    bench.limiter.release(tidegate_limits::Release { permit: admitted.permit, tokens_used: Some(7) });
    bench.limiter.settle(hold.settlement(ORGANIZATION, 1, spent(5)));
    eventually("all is through", async || bench.figures(1).await == (5, 0, 100)).await;
    bench.limiter.close_epoch(ORGANIZATION, 1).await.unwrap();
    let told = bench
        .limiter
        .tell(tidegate_limits::Board::News, &[b"note"], &mut tidegate_limits::Heard::default())
        .await
        .unwrap();
    assert_eq!(told, [b"note"]);
    let denied = server.command(&["ACL", "LOG"]).unwrap();
    assert!(!denied.contains("gate"), "{denied}");
    stop.cancel();
}
