//! Pools over the wire: a node obtains what is placed in its pool, and can touch nothing else.

use tidegate_proto::budget::OpenEpochRequest;
use tidegate_proto::budget::open_epoch_response::Outcome;
use tidegate_proto::query::CreditsRequest;
use tidegate_proto::query::query_service_client::QueryServiceClient;
use tidegate_store::{placement, wrapped};
use tidegate_types::OrganizationId;
use tidegate_types::resource::{Resource, ResourceKind};
use tonic::Code;

use crate::fake_node::{FakeNode, Stream};
use crate::plane::{Plane, commit, eventually};
use crate::samples::{Attempt, COST};
use crate::usage::{Reporter, books, event};

/// A second pool, with a key of its own.
async fn pool(plane: &Plane, name: &str) {
    let mut change = plane.change(OrganizationId::SYSTEM).await;
    placement::insert_pool(&mut change, name).await.unwrap();
    let key = tidegate_secrets::envelope::DataKey::generate();
    let bytes = plane.kek.wrap_key(&tidegate_secrets::places::pool_key(name, 1), &key).unwrap();
    wrapped::insert_pool_key(&mut change, name, &wrapped::Wrapped { version: 1, bytes }).await.unwrap();
    commit(change).await;
}

async fn place(plane: &Plane, organization: OrganizationId, pools: &[&str]) {
    let mut change = plane.change(organization).await;
    let pools: Vec<String> = pools.iter().map(|&pool| pool.to_owned()).collect();
    placement::place(&mut change, &pools).await.unwrap();
    commit(change).await;
}

fn owned(stream: &Stream, organization: OrganizationId) -> usize {
    stream.held.resources.keys().filter(|key| key.organization_id == organization).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_holds_what_is_placed_in_its_pool_whatever_moves() {
    let plane = Plane::start().await;
    pool(&plane, "eu").await;
    let (acme, _) = plane.organization("acme").await;
    let (globex, _) = plane.organization("globex").await;
    place(&plane, globex, &["eu"]).await;
    let (here, there) = (FakeNode::enrol(&plane).await, FakeNode::enrol_in(&plane, "eu").await);
    let (mut here, mut there) = (here.synchronised().await, there.synchronised().await);
    assert_eq!((owned(&here, acme), owned(&here, globex)), (2, 0));
    assert_eq!((owned(&there, acme), owned(&there, globex)), (0, 2));
    assert!(there.deltas.iter().all(|delta| {
        delta.resources.iter().all(|r| r.key.as_ref().unwrap().organization_id != acme.to_string())
    }));

    // In both, then in the other only: what was here is told to be gone, byte for byte the same digest.
    place(&plane, acme, &["default", "eu"]).await;
    there.until("it is in both", |stream| owned(stream, acme) == 2).await;
    place(&plane, acme, &["eu"]).await;
    here.until("it has moved away", |stream| owned(stream, acme) == 0).await;
    let compared = plane.metrics.compared.get();
    for stream in [&mut here, &mut there] {
        stream.listen_for(std::time::Duration::from_secs(3)).await;
        assert!(stream.healed.is_empty(), "the digests of a pool are those of its nodes");
    }
    assert!(plane.metrics.compared.get() > compared, "digests were compared");
    place(&plane, acme, &["default"]).await;
    here.until("it is back", |stream| owned(stream, acme) == 2).await;
    there.until("it is gone there", |stream| owned(stream, acme) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_pool_opens_asks_and_reports_nothing_of_an_organization() {
    let books = books().await;
    pool(&books.plane, "eu").await;
    let (own, hostile) = (FakeNode::enrol(&books.plane).await, FakeNode::enrol_in(&books.plane, "eu").await);
    let open = OpenEpochRequest {
        organization_id: books.organization.to_string(),
        store_run_id: "run".to_owned(),
        found_epoch: 0,
    };
    let refused = hostile.budgets().open_epoch(open.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let credits = CreditsRequest { organization_id: books.organization.to_string() };
    let refused =
        QueryServiceClient::new(hostile.channel.clone()).credits(credits.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // A whole attempt that it made up, of an organization that it never served: kept out of the books.
    let forged = books.attempt.intent();
    let mut reporter = Reporter::open(&hostile).await;
    let made_up = vec![event(1, &forged), event(2, &Attempt::end(&forged, COST))];
    assert_eq!(reporter.report(made_up).await.unwrap(), 2, "acknowledged, so that the lane goes on");
    assert_eq!(books.spent().await.0.get(), 0);

    // Positive controls: the organization's own pool may do all of it.
    assert!(matches!(
        own.budgets().open_epoch(open).await.unwrap().into_inner().outcome,
        Some(Outcome::Open(_))
    ));
    QueryServiceClient::new(own.channel.clone()).credits(credits).await.unwrap();
    let real = books.attempt.intent();
    let mut reporter = Reporter::open(&own).await;
    reporter.report(vec![event(1, &real), event(2, &Attempt::end(&real, COST))]).await.unwrap();
    assert_eq!(books.spent().await.0, COST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_its_own_attempts_and_nobody_elses() {
    let books = books().await;
    let (own, hostile) = (FakeNode::enrol(&books.plane).await, FakeNode::enrol(&books.plane).await);
    let attempt = books.attempt.intent();
    let mut mine = Reporter::open(&own).await;
    mine.report(vec![event(1, &attempt)]).await.unwrap();
    // The other one knows the call, and says that it cost nothing.
    let mut theirs = Reporter::open(&hostile).await;
    let void = Attempt::end(&attempt, tidegate_types::NanoUsd::ZERO);
    theirs.report(vec![event(1, &attempt), event(2, &void)]).await.unwrap();
    assert_eq!(books.spent().await.0.get(), 0);
    mine.report(vec![event(2, &Attempt::end(&attempt, COST))]).await.unwrap();
    assert_eq!(books.spent().await.0, COST, "what the node itself says counts");

    // Its heartbeat is its own as well: the other's row does not move.
    let mut stream = hostile.synchronised().await;
    stream.listen_for(std::time::Duration::from_millis(300)).await;
    stream.beat().await;
    eventually("the liar's own heartbeat is stored", || async {
        books.plane.fleet(hostile.id).await.heartbeat.journal_pending_records == 3
    })
    .await;
    assert_eq!(books.plane.fleet(own.id).await.last_seen, None);

    // What a node left that is out may be shipped by the one that has its journal.
    let left = books.attempt.intent();
    mine.report(vec![event(3, &left)]).await.unwrap();
    books.plane.retire(own.id, tidegate_store::fleet::NodeState::Drained).await;
    theirs.report(vec![event(3, &Attempt::end(&left, COST))]).await.unwrap();
    assert_eq!(books.spent().await.0, COST + COST);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_open_in_one_pool_at_a_time_and_move_only_after_everything_is_shipped() {
    let books = books().await;
    pool(&books.plane, "eu").await;
    let (here, there) = (FakeNode::enrol(&books.plane).await, FakeNode::enrol_in(&books.plane, "eu").await);
    let (mut first, mut second) = (here.synchronised().await, there.synchronised().await);
    let ask = |node: &FakeNode, run: &'static str| {
        let request = OpenEpochRequest {
            organization_id: books.organization.to_string(),
            store_run_id: run.to_owned(),
            found_epoch: 0,
        };
        let mut client = node.budgets();
        async move { client.open_epoch(request).await.unwrap().into_inner().outcome.unwrap() }
    };
    assert!(matches!(ask(&here, "a").await, Outcome::Open(_)));
    place(&books.plane, books.organization, &["default", "eu"]).await;
    assert!(
        matches!(ask(&there, "b").await, Outcome::Retry(retry) if retry.reason == "elsewhere"),
        "served in both, counted at home"
    );

    // It moves with an attempt running, whose intent the old pool's node has not shipped yet.
    place(&books.plane, books.organization, &["eu"]).await;
    second.until("the new pool has it", |stream| owned(stream, books.organization) > 0).await;
    assert!(matches!(ask(&there, "b").await, Outcome::Retry(retry) if retry.reason == "shipping"));
    let running = books.attempt.intent();
    Reporter::open(&here).await.report(vec![event(1, &running)]).await.unwrap();
    first.until("the old pool has dropped it", |stream| owned(stream, books.organization) == 0).await;
    assert!(
        matches!(ask(&there, "b").await, Outcome::Retry(retry) if retry.reason == "shipping"),
        "the old node has not said that it shipped everything"
    );
    first.beat().await;
    let opened = std::cell::RefCell::new(None);
    eventually("the counters open in the new pool", || async {
        match ask(&there, "b").await {
            Outcome::Open(open) => opened.replace(Some(open)).is_none(),
            _ => false,
        }
    })
    .await;
    let open = opened.take().unwrap();
    assert_eq!(open.holds.len(), 1, "what runs in the old pool is held in the new one");
    let epochs = second.held.resources.values().filter(|v| v.key.kind == ResourceKind::BudgetEpoch);
    assert!(
        epochs
            .filter_map(|v| v.resource.as_ref())
            .all(|r| matches!(r, Resource::BudgetEpoch(e) if e.pool == "eu")),
        "epochs of other pools stay there"
    );
}
