//! What nodes have of budgets in advance, over the wire.

use std::collections::BTreeSet;

use tidegate_proto::budget::open_epoch_response::Outcome;
use tidegate_proto::budget::{
    AllowGrantsRequest, ConfirmEpochRequest, OpenEpochRequest, ReturnGrantsOfRequest, ReturnGrantsRequest,
    ReviewGrantsRequest,
};
use tidegate_push::PushSettings;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::TestDatabase;
use tidegate_types::OrganizationId;
use tonic::Code;

use crate::fake_node::FakeNode;
use crate::plane::Plane;

/// What nodes of tests say that their process is.
const BOOT: u64 = 1;

/// The organization's counters are open, and the process may have something of its budgets.
async fn grant(node: &FakeNode, organization: OrganizationId) {
    let (organization_id, store_run_id) = (organization.to_string(), "run".to_owned());
    let mut budgets = node.budgets();
    let request = OpenEpochRequest {
        organization_id: organization_id.clone(),
        store_run_id: store_run_id.clone(),
        found_epoch: 0,
    };
    let opened = budgets.open_epoch(request).await.unwrap().into_inner().outcome;
    let Some(Outcome::Open(open)) = opened else { panic!("{opened:?}") };
    let request = ConfirmEpochRequest {
        organization_id: organization_id.clone(),
        epoch: open.epoch,
        permit: open.permit,
        store_run_id,
    };
    assert!(budgets.confirm_epoch(request).await.unwrap().into_inner().accepted);
    let request = AllowGrantsRequest { organization_id, epoch: open.epoch, boot: BOOT, tells_apart: true };
    assert_eq!(budgets.allow_grants(request).await.unwrap().into_inner().percent, 10);
}

/// Of whose budgets the process has something.
async fn granted(node: &FakeNode) -> BTreeSet<String> {
    let request = ReviewGrantsRequest { from_boot: BOOT, before_boot: BOOT + 1 };
    let reviewed = node.budgets().review_grants(request).await.unwrap().into_inner();
    reviewed.ended.into_iter().map(|ended| ended.organization_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_gives_back_what_it_has_of_one_organization_or_of_all() {
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let settings = PushSettings { grant_percent: 10, ..PushSettings::default() };
    let plane = Plane::start_over(database, kek, settings).await;
    let (node, other) = (FakeNode::enrol(&plane).await, FakeNode::enrol(&plane).await);
    let _heard = node.synchronised().await;
    let mut organizations = Vec::new();
    for slug in ["one", "two", "three", "four"] {
        let (organization, _) = plane.organization(slug).await;
        grant(&node, organization).await;
        organizations.push(organization.to_string());
    }
    let left = |from: usize| organizations[from..].iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(granted(&node).await, left(0));
    // By both names: an earlier node says it by the first one.
    let of = Some(organizations[0].clone());
    let request = ReturnGrantsRequest { boot: BOOT, organization_id: of };
    node.budgets().return_grants(request).await.unwrap();
    assert_eq!(granted(&node).await, left(1));
    let request = ReturnGrantsOfRequest { boot: BOOT, organization_id: organizations[1].clone() };
    node.budgets().return_grants_of(request.clone()).await.unwrap();
    assert_eq!(granted(&node).await, left(2));
    // Where nobody is named, for another process, by another node: nothing is given back.
    for named in ["", "two"] {
        let nobody = ReturnGrantsOfRequest { organization_id: named.to_owned(), ..request.clone() };
        let refused = node.budgets().return_grants_of(nobody).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{named:?}");
    }
    let all = ReturnGrantsRequest { boot: BOOT, organization_id: None };
    other.budgets().return_grants(all.clone()).await.unwrap();
    node.budgets().return_grants(ReturnGrantsRequest { boot: BOOT + 1, ..all.clone() }).await.unwrap();
    assert_eq!(granted(&node).await, left(2));
    node.budgets().return_grants(all).await.unwrap();
    assert_eq!(granted(&node).await, left(4));
}
