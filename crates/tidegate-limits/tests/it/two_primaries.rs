//! Two servers of Redis that count in turns: what the first one lost meanwhile must not be counted upon again.

use std::time::Duration;

use tidegate_limits::{Hold, LimitError, Limiter, Mode};
use tidegate_testkit::redis::Server;
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, ORGANIZATION, call, connect, eventually, hard, hold, place, spent};

async fn replicates(replica: &Server, of: &Server) {
    replica.command(&["REPLICAOF", "127.0.0.1", &of.port().to_string()]).unwrap();
    eventually("it has all of it", async || {
        replica.command(&["INFO", "replication"]).unwrap().contains("master_link_status:up")
    })
    .await;
}

async fn no_epoch(limiter: &Limiter) -> bool {
    let placed = place(limiter, &hold(limiter, &[hard(1, 100, 1)])).await;
    assert!(matches!(placed, Err(LimitError::NoEpoch { .. } | LimitError::Away)), "{placed:?}");
    matches!(placed, Err(LimitError::NoEpoch { .. }))
}

#[tokio::test]
async fn a_server_that_is_promoted_again_counts_no_more_under_the_epoch_that_it_had_before() {
    let bench = Bench::redis().await;
    bench.open(1).await;
    let (first, second) = (bench.server.as_ref().unwrap(), Server::start().unwrap());
    replicates(&second, first).await;
    second.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    // The first goes on for a moment, which the second does not hear of.
    let lost = bench.hold(call(), 0, &[hard(1, 100, 90)]);
    bench.place(&lost).await.unwrap();
    bench.limiter.settle(lost.settlement(ORGANIZATION, 1, spent(90)));
    eventually("it is counted", async || bench.figures(1).await == (90, 0, 0)).await;
    // One node asks the second in its place.
    let stop = CancellationToken::new();
    let other = connect(&second, 8, &stop).await;
    eventually("the second says that nothing is open", async || no_epoch(&other).await).await;
    // The first one comes back as its replica, with the same process, and is promoted once more.
    replicates(first, &second).await;
    first.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    eventually("the first is asked again", async || bench.limiter.mode() == Mode::Healthy).await;
    eventually("it does not count as if nothing had been", async || no_epoch(&bench.limiter).await).await;
    tokio::time::timeout(Duration::from_secs(20), bench.open(2)).await.unwrap();
    let next = Hold { epoch: 2, ..hold(&bench.limiter, &[hard(1, 100, 1)]) };
    place(&bench.limiter, &next).await.unwrap();
    stop.cancel();
}
