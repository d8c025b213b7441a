//! Budget epochs over the wire.

use std::time::Duration;

use tidegate_proto::budget::open_epoch_response::Outcome;
use tidegate_proto::budget::{ConfirmEpochRequest, OpenEpochRequest, OpenWith};
use tidegate_types::Shard;
use tidegate_types::resource::{Resource, ResourceKind};

use crate::fake_node::FakeNode;
use crate::plane::{DEADLINE, eventually};
use crate::samples::{Attempt, COST, HELD};
use crate::usage::{Books, Reporter, books, event};

async fn ask(node: &FakeNode, books: &Books, run_id: &str, found: u64) -> Outcome {
    let request = OpenEpochRequest {
        organization_id: books.organization.to_string(),
        store_run_id: run_id.to_owned(),
        found_epoch: found,
    };
    node.budgets().open_epoch(request).await.unwrap().into_inner().outcome.unwrap()
}

async fn confirm(node: &FakeNode, books: &Books, run_id: &str, open: &OpenWith) -> bool {
    let request = ConfirmEpochRequest {
        organization_id: books.organization.to_string(),
        epoch: open.epoch,
        permit: open.permit.clone(),
        store_run_id: run_id.to_owned(),
    };
    node.budgets().confirm_epoch(request).await.unwrap().into_inner().accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_opened_once_and_after_their_loss_only_from_what_every_node_shipped() {
    let books = books().await;
    let (one, two) = (FakeNode::enrol(&books.plane).await, FakeNode::enrol(&books.plane).await);
    let (mut first, mut second) = (one.synchronised().await, two.synchronised().await);

    // The first epoch: one node gets the permit, the other waits, then both read the same epoch.
    let Outcome::Open(open) = ask(&one, &books, "run-a", 0).await else { panic!("no permit") };
    assert_eq!((open.epoch, open.balances.len(), open.holds.len()), (1, 0, 0));
    assert!(
        matches!(ask(&two, &books, "run-a", 0).await, Outcome::Retry(retry) if retry.reason == "opening")
    );
    assert!(confirm(&one, &books, "run-a", &open).await);
    let Outcome::Already(already) = ask(&two, &books, "run-a", 1).await else { panic!("not open") };
    assert_eq!(already.epoch, 1);

    // One attempt has ended, one is in flight when the counters are lost.
    let (ended, running) = (books.attempt.intent(), books.attempt.intent());
    let mut reporter = Reporter::open(&one).await;
    let shipped = vec![event(1, &ended), event(2, &Attempt::end(&ended, COST)), event(3, &running)];
    reporter.report(shipped).await.unwrap();

    // Burnt, never reseeded: a new epoch is published and waits for every node.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !matches!(ask(&two, &books, "run-b", 0).await, Outcome::Retry(_)) {
        assert!(tokio::time::Instant::now() < deadline, "the loss was never noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for stream in [&mut first, &mut second] {
        let is_second =
            |resource: &Option<Resource>| matches!(resource, Some(Resource::BudgetEpoch(e)) if e.epoch == 2);
        stream
            .until("the second epoch", |s| {
                s.held
                    .resources
                    .values()
                    .any(|v| v.key.kind == ResourceKind::BudgetEpoch && is_second(&v.resource))
            })
            .await;
    }
    first.beat().await;
    let shard = Shard::of(books.organization);
    let burnt = first.held.position.get(shard);
    eventually("the first node's word is stored", || async {
        books.plane.fleet(one.id).await.heartbeat.shipped.get(shard) >= burnt
    })
    .await;
    assert!(
        matches!(ask(&one, &books, "run-b", 0).await, Outcome::Retry(retry) if retry.reason == "shipping"),
        "the second node has not said that it shipped everything"
    );
    second.beat().await;
    let open = loop {
        assert!(tokio::time::Instant::now() < deadline, "never opened again");
        match ask(&two, &books, "run-b", 0).await {
            Outcome::Open(open) => break open,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(open.epoch, 2);
    let [balance] = open.balances.as_slice() else { panic!("{:?}", open.balances) };
    assert_eq!((balance.spent_nano_usd, balance.unresolved_nano_usd), (COST.get(), 0));
    let [hold] = open.holds.as_slice() else { panic!("{:?}", open.holds) };
    assert_eq!(
        (hold.call_id.as_str(), hold.amount_nano_usd),
        (running.call_id.to_string().as_str(), HELD.get())
    );
    assert!(!confirm(&two, &books, "run-b", &OpenWith { permit: "made-up".into(), ..open.clone() }).await);
    assert!(confirm(&two, &books, "run-b", &open).await);
    assert!(matches!(ask(&one, &books, "run-b", 2).await, Outcome::Already(open) if open.epoch == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_does_not_exist_has_no_epoch() {
    let books = books().await;
    let node = FakeNode::enrol(&books.plane).await;
    for (organization, run_id, found, code) in [
        ("org_00000000000000000000000009", "run", 0, tonic::Code::NotFound),
        ("org_00000000000000000000000000", "run", 0, tonic::Code::NotFound),
        ("team_00000000000000000000000009", "run", 0, tonic::Code::InvalidArgument),
        ("org_00000000000000000000000009", "", 0, tonic::Code::InvalidArgument),
        ("org_00000000000000000000000009", "r\nun", 0, tonic::Code::InvalidArgument),
        ("org_00000000000000000000000009", "run", u64::MAX, tonic::Code::InvalidArgument),
    ] {
        let request = OpenEpochRequest {
            organization_id: organization.into(),
            store_run_id: run_id.into(),
            found_epoch: found,
        };
        assert_eq!(
            node.budgets().open_epoch(request).await.unwrap_err().code(),
            code,
            "{organization} {run_id:?}"
        );
    }
}
