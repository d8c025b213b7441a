//! The fleet: what nodes say of themselves, who is cut off, commands.

use tidegate_proto::budget::OpenEpochRequest;
use tidegate_push::CommandError;
use tidegate_store::fleet::NodeState;
use tidegate_types::resource::{Resource, ResourceKind};
use tidegate_types::{CredentialId, OrganizationId, Shard};
use tonic::Code;

use crate::fake_node::FakeNode;
use crate::plane::{Plane, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_rejections_and_heartbeats_show_in_the_fleet() {
    let plane = Plane::start().await;
    let (organization, _) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let team = stream.held.resources.keys().find(|key| key.kind == ResourceKind::Team).unwrap().clone();
    stream.held.rejects.insert(team.clone());
    let shard = Shard::of(organization);
    let n = stream.held.position.get(shard);
    stream.acknowledge(shard, n).await;
    stream.beat().await;
    eventually("the node's state is stored", || async {
        let said = plane.fleet(node.id).await.heartbeat;
        said.applied.get(shard) == n
            && said.shipped.get(shard) == n
            && said.limiter_mode == "healthy"
            && said.journal_pending_records == 3
            && said.rejections.len() == 1
    })
    .await;
    let said = plane.fleet(node.id).await.heartbeat;
    let rejection = said.rejections.first().unwrap();
    assert_eq!((&rejection.key, rejection.reason.as_str()), (&team, "pretends not to know it"));
    assert_eq!((said.boot, said.gateway_address.as_str()), (1, "127.0.0.1:1"));

    // A digest that tells of the rejection is right: nothing to heal. Applied later, it is gone.
    stream.held.rejects.clear();
    stream.acknowledge(shard, n).await;
    eventually("no rejection is left", || async {
        plane.fleet(node.id).await.heartbeat.rejections.is_empty()
    })
    .await;
    let compared = plane.metrics.compared.get();
    stream.acknowledge(shard, n).await;
    eventually("it was compared again", || async { plane.metrics.compared.get() > compared }).await;
    assert_eq!(plane.metrics.heals.get(), 0);
    assert!(matches!(stream.held.resources[&team].resource, Some(Resource::Team(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_node_is_cut_off_from_every_stream_and_call() {
    let plane = Plane::start().await;
    plane.organization("acme").await;
    let (node, other) = (FakeNode::enrol(&plane).await, FakeNode::enrol(&plane).await);
    let (mut stream, mut unharmed) = (node.synchronised().await, other.synchronised().await);
    let (say, said) = tokio::sync::mpsc::channel(1);
    let mut reports =
        node.usage().report(tokio_stream::wrappers::ReceiverStream::new(said)).await.unwrap().into_inner();
    plane.retire(node.id, NodeState::Revoked).await;
    assert_eq!(stream.end().await.map(|status| status.code()), Some(Code::PermissionDenied));
    assert_eq!(reports.message().await.unwrap_err().code(), Code::PermissionDenied);
    let refused = node.budgets().open_epoch(OpenEpochRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = node.stream_from(Default::default(), node.channel.clone()).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    drop(say);
    plane.organization("globex").await;
    unharmed.until("a later change", |stream| stream.held.resources.len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stream_of_a_node_ends_the_first() {
    let plane = Plane::start().await;
    plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut first = node.synchronised().await;
    let _second = node.synchronised().await;
    assert_eq!(first.end().await.map(|status| status.code()), Some(Code::Aborted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_tested_on_a_node_and_comes_back_without_content() {
    let plane = Plane::start().await;
    plane.organization("acme").await;
    let pools = ["default".to_owned()];
    let test =
        || plane.commands.test_credential(OrganizationId::from_u128(1), CredentialId::from_u128(2), &pools);
    assert_eq!(test().await, Err(CommandError::NoNode));
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let tested = tokio::select! {
        tested = test() => tested.unwrap(),
        () = stream.until("never", |_| false) => unreachable!(),
    };
    assert_eq!(
        (tested.node_id, tested.ok, tested.status, tested.code.as_str()),
        (node.id, true, Some(200), "ok")
    );
    drop(stream);
    eventually("the node is gone", || async { test().await == Err(CommandError::NoNode) }).await;
}
