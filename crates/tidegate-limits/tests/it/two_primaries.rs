//! Two servers of Redis that count in turns: what the first one lost meanwhile must not be counted upon again.

use std::time::Duration;

use tidegate_limits::{Hold, LimitError, Limiter, Mode, Process};
use tidegate_testkit::redis::Server;
use tidegate_types::{BudgetId, NodeId, OrganizationId};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, ORGANIZATION, call, connect, eventually, hard, hold, month, place, spent};

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

/// Asks the server in the other's place about an organization in one of the ways in which nothing is held.
async fn look(other: &Limiter, organization: OrganizationId, way: u128) -> bool {
    let gone = LimitError::NoEpoch { found: 0 };
    match way {
        1 => other.present_epoch(organization).await == Ok(0),
        2 => other.balances(organization, &[(BudgetId::from_u128(1), month())]).await == Err(gone),
        _ => {
            let dead = Process { node_id: NodeId::from_u128(1), boot: 1 };
            other.reclaim(organization, dead, 1, &[]).await == Err(gone)
        }
    }
}

#[tokio::test]
async fn so_it_is_for_an_organization_that_nobody_called_in_between() {
    let bench = Bench::redis().await;
    let quiet = [1, 2, 3].map(OrganizationId::from_u128);
    for organization in quiet {
        bench.limiter.open_epoch(organization, 1, &[], &[]).await.unwrap();
    }
    let (first, second) = (bench.server.as_ref().unwrap(), Server::start().unwrap());
    replicates(&second, first).await;
    second.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    let stop = CancellationToken::new();
    let other = connect(&second, 8, &stop).await;
    for (organization, way) in quiet.into_iter().zip(1..) {
        eventually("it is looked at", async || look(&other, organization, way).await).await;
    }
    replicates(first, &second).await;
    first.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    for organization in quiet {
        let asked = async || match bench
            .limiter
            .hold(organization, &hold(&bench.limiter, &[hard(1, 100, 1)]))
            .await
        {
            Err(LimitError::NoEpoch { found: 0 }) => true,
            Err(LimitError::Away) => false,
            other => panic!("it counts as if nothing had been: {other:?}"),
        };
        eventually("nothing is open there", asked).await;
    }
    stop.cancel();
}
