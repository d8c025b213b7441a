//! What ended attempts leave in the store: little, and not for long.

use std::sync::Arc;
use std::time::Duration;

use tidegate_limits::{End, LimitError, Limiter, RedisSettings, Timing};
use tidegate_testkit::redis::Server;
use tidegate_types::{BudgetId, Secret};
use tokio_util::sync::CancellationToken;

use crate::support::{ORGANIZATION, RealClock, TIMING, admit, call, eventually, hard, month, spent};

const ATTEMPTS: usize = 2_000;

fn number(server: &Server, words: &[&str], line: &str) -> usize {
    let told = server.command(words).unwrap();
    let found = told.lines().find_map(|text| text.trim().strip_prefix(line)?.trim().parse().ok());
    found.unwrap()
}

#[tokio::test]
async fn ended_attempts_are_forgotten_soon_and_never_counted_twice() {
    let server = Server::start().unwrap();
    let stop = CancellationToken::new();
    // Attempts run for at most an hour; their ends are remembered for a second.
    let timing = Timing { ended: Duration::from_secs(1), ..TIMING };
    let settings = RedisSettings {
        timing,
        decision: Duration::from_secs(2),
        ..RedisSettings::new(Secret::new(server.url()), 3)
    };
    let limiter = Limiter::redis(settings, Arc::new(RealClock), stop.clone()).await.unwrap();
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let deadline = limiter.now().plus_millis(3_600_000);
    let mut holds = Vec::new();
    for _ in 0..ATTEMPTS {
        let hold = tidegate_limits::Hold {
            call_id: call(),
            attempt: 0,
            step: 0,
            epoch: 1,
            deadline,
            budgets: [hard(1, 1_000_000, 3)].into_iter().collect(),
        };
        limiter.hold(ORGANIZATION, &hold).await.unwrap();
        holds.push(hold);
    }
    let held = number(&server, &["DBSIZE"], "");
    assert!(held >= ATTEMPTS, "positive control: {held} keys while they run");
    holds.iter().for_each(|hold| limiter.settle(hold.settlement(ORGANIZATION, 1, spent(2))));
    limiter.idle().await;

    // Whoever comes late with a hold or a step finds the attempt ended, as long as that may happen: of one attempt at
    // least, since a busy machine may take longer over it than it is remembered.
    eventually("a late hold finds its attempt ended", async || {
        let hold = crate::support::hold(&limiter, &[hard(2, 1_000_000, 3)]);
        limiter.hold(ORGANIZATION, &hold).await.unwrap();
        let end = || limiter.settle(hold.settlement(ORGANIZATION, 1, spent(2)));
        end();
        limiter.idle().await;
        let late = limiter.admit(&admit(hold.call_id, &[], 0, Some(hold.clone()))).await;
        end();
        late.is_err_and(|error| error == LimitError::HoldEnded)
    })
    .await;
    let few = || async { number(&server, &["DBSIZE"], "") < 10 };
    eventually("ended attempts are forgotten", few).await;

    // The same settlements once more, and others: nothing is held, so nothing is counted.
    for (at, hold) in holds.iter().enumerate() {
        let end = if at % 2 == 0 { spent(2) } else { End::Void };
        limiter.settle(hold.settlement(ORGANIZATION, 1, end));
    }
    limiter.idle().await;
    let told = limiter.balances(ORGANIZATION, &[(BudgetId::from_u128(1), month())]).await.unwrap()[0];
    let figures = (told.spent.get(), told.held.get(), told.unresolved.get());
    assert_eq!(figures, (2 * i64::try_from(ATTEMPTS).unwrap(), 0, 0));
    eventually("these are forgotten as well", few).await;
    stop.cancel();
}

#[tokio::test]
async fn what_an_ended_attempt_takes_is_small() {
    let server = Server::start().unwrap();
    let stop = CancellationToken::new();
    let limiter = crate::support::connect(&server, 3, &stop).await;
    limiter.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
    let used = || number(&server, &["INFO", "memory"], "used_memory:");
    let before = used();
    for _ in 0..ATTEMPTS {
        let ended = tidegate_limits::Hold {
            call_id: call(),
            attempt: 0,
            step: 0,
            epoch: 1,
            deadline: limiter.now(),
            budgets: [hard(1, 1_000_000, 3)].into_iter().collect(),
        };
        limiter.settle(ended.settlement(ORGANIZATION, 1, spent(2)));
    }
    limiter.idle().await;
    let each = used().saturating_sub(before) / ATTEMPTS;
    println!("{each} bytes for an ended attempt");
    // 1,000 a second for the two minutes that they are remembered: under 60 MB.
    assert!((50..500).contains(&each), "{each} bytes");
    stop.cancel();
}
