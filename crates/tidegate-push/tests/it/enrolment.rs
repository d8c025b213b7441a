//! Enrolment: who gets a certificate, and what can be done without one.

use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::budget::{ConfirmEpochRequest, OpenEpochRequest};
use tidegate_proto::config::config_service_client::ConfigServiceClient;
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_proto::enroll::{EnrollRequest, RenewRequest};
use tidegate_proto::usage::usage_service_client::UsageServiceClient;
use tidegate_push::PushSettings;
use tidegate_secrets::ca::{CertificateAuthority, NodeKey, node_identity};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_store::fleet::NodeState;
use tidegate_store::testing::TestDatabase;
use tidegate_types::NodeId;
use tonic::Code;

use crate::fake_node::{FakeNode, dial, enroll_request};
use crate::plane::{Plane, eventually, now};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_enrols_once_with_a_join_token_and_is_known_from_then_on() {
    let plane = Plane::start().await;
    let token = plane.join_token(60_000).await;
    let node = FakeNode::enrol_with(&plane, token.expose()).await.unwrap();
    let known = plane.fleet(node.id).await;
    assert_eq!(
        (known.name.as_str(), known.pool.as_str(), known.state),
        ("fake", "default", NodeState::Enrolled)
    );
    assert_eq!(node_identity(&node.chain[0]).unwrap().node_id, node.id);
    let again = FakeNode::enrol_with(&plane, token.expose()).await.err().unwrap();
    assert_eq!(again.code(), Code::Unauthenticated, "a used token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_whose_answer_got_lost_is_given_it_again_until_its_node_speaks() {
    let plane = Plane::start().await;
    let token = plane.join_token(60_000).await;
    let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    let request = enroll_request(token.expose(), &key, &sealing);
    // At once, as when the first request is still under way when the second one comes; then once more.
    let ask = || {
        let (mut client, request) = (EnrollServiceClient::new(stranger.clone()), request.clone());
        async move { client.enroll(request).await }
    };
    let (one, two) = tokio::join!(ask(), ask());
    let answers = [one.unwrap(), two.unwrap(), ask().await.unwrap()].map(tonic::Response::into_inner);
    assert!(answers.iter().all(|answer| answer.node_id == answers[0].node_id), "one node");

    // Another one with the same token is somebody else.
    let thief = SealingKeyPair::generate().unwrap();
    let stolen = enroll_request(token.expose(), &NodeKey::generate().unwrap(), &thief);
    let refused = EnrollServiceClient::new(stranger.clone()).enroll(stolen).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let [_, answer, _] = answers;
    let node = FakeNode::of(&plane, answer, key, sealing).await;
    let stream = node.synchronised().await;
    stream.beat().await;
    eventually("the node has spoken", || async { plane.fleet(node.id).await.last_seen.is_some() }).await;
    assert_eq!(ask().await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_that_is_told_to_wait_keeps_its_token_and_is_let_in_later() {
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let settings = PushSettings { enrolments_per_second: 1, ..PushSettings::default() };
    let plane = Plane::start_over(database, kek, settings).await;
    let token = plane.join_token(600_000).await;
    let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let request = enroll_request(token.expose(), &key, &sealing);
    let malformed = EnrollRequest { sealing_key: vec![], ..request.clone() };
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    let ask = async |request: &EnrollRequest| {
        let answer = EnrollServiceClient::new(stranger.clone()).enroll(request.clone()).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    // A burst of ten, whoever it is; the newcomer comes into the end of it.
    eventually("it is told to wait", || async {
        ask(&malformed).await == Code::ResourceExhausted && ask(&request).await == Code::ResourceExhausted
    })
    .await;
    eventually("it is let in", || async { ask(&request).await == Code::Ok }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_expired_tokens_are_refused() {
    let plane = Plane::start().await;
    let expired = plane.join_token(-1000).await;
    let good = plane.join_token(60_000).await;
    let mut altered = good.expose().to_owned();
    altered.replace_range(40..41, if &altered[40..41] == "A" { "B" } else { "A" });
    let service = good.expose().replacen("tgj", "tgs", 1);
    for token in [expired.expose(), &altered, &service, "", "tgj_", "' OR 1=1 --", &"x".repeat(10_000)] {
        let refused = FakeNode::enrol_with(&plane, token).await.err().unwrap();
        assert_eq!(refused.code(), Code::Unauthenticated, "{}", refused.message());
    }
    assert!(FakeNode::enrol_with(&plane, good.expose()).await.is_ok(), "positive control");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_does_not_use_the_token_up() {
    let plane = Plane::start().await;
    let token = plane.join_token(60_000).await;
    let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    let good = enroll_request(token.expose(), &key, &sealing);
    for bad in [
        EnrollRequest { certificate_request: vec![1, 2, 3], ..good.clone() },
        EnrollRequest { sealing_key: vec![1; 31], ..good.clone() },
        EnrollRequest { sealing_key: vec![0; 32], ..good.clone() },
        EnrollRequest { name: "n".repeat(101), ..good.clone() },
        EnrollRequest { name: "new\nline".to_owned(), ..good.clone() },
    ] {
        let refused = EnrollServiceClient::new(stranger.clone()).enroll(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    EnrollServiceClient::new(stranger).enroll(good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_is_the_only_call_without_a_certificate() {
    let plane = Plane::start().await;
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    let unauthenticated = |code: Code| assert_eq!(code, Code::Unauthenticated);
    let mut config = ConfigServiceClient::new(stranger.clone());
    unauthenticated(config.stream(tokio_stream::pending()).await.unwrap_err().code());
    let mut usage = UsageServiceClient::new(stranger.clone());
    unauthenticated(usage.report(tokio_stream::pending()).await.unwrap_err().code());
    let mut budgets = BudgetServiceClient::new(stranger.clone());
    unauthenticated(budgets.open_epoch(OpenEpochRequest::default()).await.unwrap_err().code());
    unauthenticated(budgets.confirm_epoch(ConfirmEpochRequest::default()).await.unwrap_err().code());
    let mut enroll = EnrollServiceClient::new(stranger);
    unauthenticated(enroll.renew(RenewRequest::default()).await.unwrap_err().code());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_gets_nowhere() {
    let plane = Plane::start().await;
    let honest = FakeNode::enrol(&plane).await;
    let read = honest.budgets().open_epoch(OpenEpochRequest::default()).await.unwrap_err();
    assert_eq!(read.code(), Code::InvalidArgument, "positive control");
    let other = CertificateAuthority::generate(now()).unwrap();
    let key = NodeKey::generate().unwrap();
    let forged = other.sign_node(&key.certificate_request().unwrap(), honest.id, "default", now()).unwrap();
    let chain: Vec<Vec<u8>> = forged.chain.iter().map(|der| der.to_vec()).collect();
    // TLS 1.3 tells the client only when it first reads.
    if let Ok(channel) = dial(plane.address, &plane.material.roots_pem(), Some((&key, &chain))).await {
        let refused =
            BudgetServiceClient::new(channel).open_epoch(OpenEpochRequest::default()).await.unwrap_err();
        // However the broken connection shows: no service has read the call.
        let read = [Code::InvalidArgument, Code::PermissionDenied, Code::Unauthenticated, Code::NotFound];
        assert!(!read.contains(&refused.code()), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_certificate_of_an_unknown_node_or_pool_is_refused() {
    let plane = Plane::start().await;
    let known = FakeNode::enrol(&plane).await;
    for (id, pool) in [(NodeId::from_u128(1), "default"), (known.id, "elsewhere")] {
        let key = NodeKey::generate().unwrap();
        let signed =
            plane.material.authority.sign_node(&key.certificate_request().unwrap(), id, pool, now()).unwrap();
        let chain: Vec<Vec<u8>> = signed.chain.iter().map(|der| der.to_vec()).collect();
        let channel = dial(plane.address, &plane.material.roots_pem(), Some((&key, &chain))).await.unwrap();
        let refused =
            BudgetServiceClient::new(channel).open_epoch(OpenEpochRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_for_the_same_node_with_fresh_keys() {
    let plane = Plane::start().await;
    let node = FakeNode::enrol(&plane).await;
    let before = plane.fleet(node.id).await;
    let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let request = RenewRequest {
        certificate_request: key.certificate_request().unwrap(),
        sealing_key: sealing.public().to_vec(),
    };
    let answer =
        EnrollServiceClient::new(node.channel.clone()).renew(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.node_id, node.id.to_string());
    let after = plane.fleet(node.id).await;
    assert_ne!(before.certificate_serial, after.certificate_serial);
    assert_eq!((after.name, after.sealing_key), (before.name, *sealing.public()));
    let renewed = FakeNode::of(&plane, answer, key, sealing).await;
    let stream = renewed.synchronised().await;
    renewed.open(stream.pool_key.as_ref().unwrap());

    plane.retire(node.id, NodeState::Revoked).await;
    let refused = EnrollServiceClient::new(renewed.channel).renew(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
