//! Sentinels say where the primary is: after a failover the limiter is at the new one, what the old one had is not
//! spent a second time, and nobody who is cut off is believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tidegate_limits::{LimitError, Limiter, Mode, RedisSettings, SentinelSettings, Unfit};
use tidegate_testkit::port;
use tidegate_testkit::redis::{Sentinels, Server};
use tidegate_types::Secret;
use tokio_util::sync::CancellationToken;

use crate::support::{ORGANIZATION, RealClock, TIMING, balance, eventually, hard, hold, place};

const LIMIT: i64 = 8_000;

fn settings(addresses: &[String], password: Option<&str>) -> RedisSettings {
    let sentinel = SentinelSettings {
        addresses: addresses.to_vec(),
        group: "tidegate".to_owned(),
        user: None,
        password: password.map(Secret::new),
        tls: false,
    };
    // Nobody listens where the URL points: it is not asked.
    let url = Secret::new("redis://127.0.0.1:1/0");
    let mut settings =
        RedisSettings { sentinel: Some(sentinel), timing: TIMING, ..RedisSettings::new(url, 9) };
    settings.decision = Duration::from_millis(500);
    settings.grants.rates = false;
    settings
}

async fn limiter(settings: RedisSettings, stop: &CancellationToken) -> Limiter {
    Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap()
}

/// Takes one nano-dollar after the other until the budget, or the epoch, says no; what was granted.
async fn take(limiter: &Limiter, epoch: u64, granted: &AtomicI64, stop: &AtomicBool) {
    // A fast machine leaves half of it for what comes after the failover.
    let most = if epoch == 1 { LIMIT / 2 } else { i64::MAX };
    while !stop.load(Ordering::Relaxed) {
        if granted.load(Ordering::Relaxed) >= most {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let mut asked = hold(limiter, &[hard(1, LIMIT, 1)]);
        asked.epoch = epoch;
        match place(limiter, &asked).await {
            Ok(_) => {
                granted.fetch_add(1, Ordering::Relaxed);
            }
            Err(LimitError::Refused(_)) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_a_failover_is_followed_within_seconds_and_the_cap_holds_over_it() {
    let mut primary = Server::start().unwrap();
    let replica = primary.replica().unwrap();
    let sentinels = Sentinels::around(&primary, 3, 1, 1_000, "").unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(settings(&sentinels.addresses(), None), &stop).await;
    eventually("it is at the primary", async || limiter.mode() == Mode::Healthy).await;
    let run = limiter.store_run_id(ORGANIZATION).unwrap();
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let (granted, ended) = (AtomicI64::new(0), AtomicBool::new(false));
    let story = async {
        eventually("there is load", async || granted.load(Ordering::Relaxed) > 500).await;
        primary.stop();
        let began = Instant::now();
        eventually("it is at the promoted replica", async || {
            limiter.mode() == Mode::Healthy
                && limiter.store_run_id(ORGANIZATION).is_some_and(|now| now != run)
        })
        .await;
        println!("at the new primary after {:?}", began.elapsed());
        // The replica has the epoch's marker and its counters: they are another process's.
        let refused = async || match place(&limiter, &hold(&limiter, &[hard(1, LIMIT, 1)])).await {
            Err(LimitError::NoEpoch { found: 0 }) => true,
            Err(LimitError::Away) => false,
            other => panic!("granted from what another process counted: {other:?}"),
        };
        eventually("it has no epoch of its own", refused).await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(story, take(&limiter, 1, &granted, &ended), take(&limiter, 1, &granted, &ended));
    // The first of them may be the last to hear.
    eventually("all Sentinels name it", async || sentinels.primary() == Some(replica.port())).await;
    // As the control plane does it: the next epoch opens with what the books have.
    let known = granted.load(Ordering::Relaxed);
    assert!(known > 500 && known < LIMIT, "the failover came in the middle: {known}");
    limiter.open_epoch(ORGANIZATION, 2, &[balance(1, known, 0)], &[]).await.unwrap();
    ended.store(false, Ordering::Relaxed);
    take(&limiter, 2, &granted, &ended).await;
    assert_eq!(granted.load(Ordering::Relaxed), LIMIT, "all of it, and no more");
    // The old primary comes back empty, as the new one's replica, and nobody goes back to it.
    primary.start_again().unwrap();
    eventually("it follows", async || {
        primary.command(&["INFO", "replication"]).is_ok_and(|told| told.contains("role:slave"))
    })
    .await;
    assert_eq!(limiter.mode(), Mode::Healthy);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_only_lost_its_office_is_left() {
    let primary = Server::start().unwrap();
    let replica = primary.replica().unwrap();
    let mut sentinels = Sentinels::around(&primary, 3, 1, 60_000, "").unwrap();
    let addresses = sentinels.addresses();
    // One of them is away: the others say it.
    sentinels.stop(0);
    let stop = CancellationToken::new();
    let limiter = limiter(settings(&addresses, None), &stop).await;
    eventually("it is at the primary", async || limiter.mode() == Mode::Healthy).await;
    let run = limiter.store_run_id(ORGANIZATION).unwrap();
    let second = addresses[1].rsplit(':').next().unwrap().parse().unwrap();
    assert!(sentinels.ask(second, &["failover", "tidegate"]).contains("OK"));
    eventually("it is at the other one", async || {
        limiter.mode() == Mode::Healthy && limiter.store_run_id(ORGANIZATION).is_some_and(|now| now != run)
    })
    .await;
    let told = replica.command(&["INFO", "server"]).unwrap();
    assert!(told.contains(&limiter.store_run_id(ORGANIZATION).unwrap()));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_never_lead_to_two_servers_at_once() {
    let (one, other) = (Server::start().unwrap(), Server::start().unwrap());
    let sentinels = Sentinels::around(&one, 1, 0, 60_000, "").unwrap();
    let stop = CancellationToken::new();
    let limiter = limiter(settings(&sentinels.addresses(), None), &stop).await;
    eventually("it is at the first", async || limiter.mode() == Mode::Healthy).await;
    let mine = || -> Vec<String> {
        let all = one.command(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap();
        let mine = all.lines().filter(|line| !line.contains("name=sentinel") && !line.contains("cmd=client"));
        mine.filter_map(|line| Some(line.split(' ').next()?.strip_prefix("id=")?.to_owned())).collect()
    };
    assert_eq!(mine().len(), 2, "one for decisions, one for settlements");
    let port = sentinels.addresses()[0].rsplit(':').next().unwrap().parse().unwrap();
    let at = other.port().to_string();
    assert!(sentinels.ask(port, &["remove", "tidegate"]).contains("OK"));
    assert!(sentinels.ask(port, &["monitor", "tidegate", "127.0.0.1", &at, "1"]).contains("OK"));
    // Only one of the two breaks, and finds the other server.
    if let Some(id) = mine().last() {
        one.command(&["CLIENT", "KILL", "ID", id]).unwrap();
    }
    let told = other.command(&["INFO", "server"]).unwrap();
    eventually("all of it is at the other one", async || {
        limiter.mode() == Mode::Healthy
            && limiter.store_run_id(ORGANIZATION).is_some_and(|run| told.contains(&run))
            && mine().is_empty()
    })
    .await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_have_a_password_of_their_own() {
    let primary = Server::start().unwrap();
    let sentinels = Sentinels::around(&primary, 1, 0, 60_000, "requirepass canary").unwrap();
    let stop = CancellationToken::new();
    let addresses = sentinels.addresses();
    let told = async |password| {
        tidegate_limits::survey_sentinels(&settings(&addresses, password)).await.unwrap()[0].1.clone()
    };
    eventually("the sentinel is there", async || told(Some("canary")).await.is_ok()).await;
    assert_eq!(told(Some("canary")).await.unwrap(), format!("127.0.0.1:{}", primary.port()));
    assert_eq!(told(None).await.unwrap_err(), "it asks for a password");
    assert_eq!(told(Some("wrong")).await.unwrap_err(), "it refuses the user or the password");
    let reached = limiter(settings(&addresses, Some("canary")), &stop).await;
    eventually("it is at the primary", async || reached.mode() == Mode::Healthy).await;
    let refused = limiter(settings(&addresses, None), &stop).await;
    assert_eq!(refused.mode(), Mode::Away);
    stop.cancel();
}

#[test]
fn what_says_of_sentinels_what_cannot_be_is_refused_before_anybody_is_asked() {
    let free = port::free().unwrap();
    settings(&[format!("sentinel.example:{free}"), "[::1]:26379".to_owned()], None).check().unwrap();
    for addresses in [
        vec![],
        vec!["a".to_owned()],
        vec!["a:b".to_owned()],
        vec!["x@a:1".to_owned()],
        vec![":1".to_owned()],
    ] {
        let refused = settings(&addresses, None).check().unwrap_err();
        assert_eq!(refused, LimitError::Unfit(Unfit::Sentinels), "{addresses:?}");
    }
}
