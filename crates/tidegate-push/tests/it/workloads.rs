//! Enrolment by a pod's service account: whom the cluster names may join what the operator lists.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse, RetireRequest};
use tidegate_push::{Allowed, NotVerified, PushSettings, Verified, Workload, WorkloadVerifier, Workloads};
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_store::fleet::NodeState;
use tidegate_store::testing::TestDatabase;
use tidegate_types::Secret;
use tonic::{Code, Status};

use crate::fake_node::{FakeNode, dial, enroll_request};
use crate::plane::{Plane, eventually};

/// A cluster whose tokens say whose they are: `namespace.account.pod`.
#[derive(Default)]
struct Cluster {
    asked: AtomicUsize,
}

impl WorkloadVerifier for Cluster {
    fn verify<'a>(&'a self, token: &'a Secret) -> Verified<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let parts: Vec<&str> = token.expose().split('.').collect();
        let said = match parts.as_slice() {
            ["forged", ..] => Err(NotVerified::Refused),
            ["away", ..] => Err(NotVerified::Away("no route".to_owned())),
            [namespace, account, pod] => Ok(Workload {
                namespace: (*namespace).to_owned(),
                service_account: (*account).to_owned(),
                pod_uid: Some((*pod).to_owned()).filter(|pod| !pod.is_empty()),
            }),
            _ => Err(NotVerified::Refused),
        };
        Box::pin(std::future::ready(said))
    }
}

async fn plane(cluster: &Arc<Cluster>) -> Plane {
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let allowed = Allowed {
        pool: "default".to_owned(),
        namespace: "gateways".to_owned(),
        service_account: "node".to_owned(),
    };
    let workloads = Workloads { verifier: Arc::clone(cluster) as _, allowed: vec![allowed] };
    Plane::start_with(database, kek, PushSettings::default(), Some(workloads)).await
}

async fn enrol(
    plane: &Plane,
    token: &str,
    pool: &str,
) -> Result<(EnrollResponse, NodeKey, SealingKeyPair), Status> {
    let (key, sealing) = (NodeKey::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    let request = EnrollRequest {
        kubernetes_token: token.to_owned(),
        pool: pool.to_owned(),
        ..enroll_request("", &key, &sealing)
    };
    let answer = EnrollServiceClient::new(stranger).enroll(request).await?.into_inner();
    Ok((answer, key, sealing))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_an_allowed_service_account_enrols_and_others_do_not() {
    let cluster = Arc::new(Cluster::default());
    let plane = plane(&cluster).await;
    for (token, pool, code) in [
        ("forged.node.pod-1", "", Code::Unauthenticated),
        ("away.node.pod-1", "", Code::Unavailable),
        ("gateways.other.pod-1", "", Code::PermissionDenied),
        ("elsewhere.node.pod-1", "", Code::PermissionDenied),
        ("gateways.node.pod-1", "eu", Code::PermissionDenied),
        ("gateways.node.", "", Code::PermissionDenied),
    ] {
        let refused = enrol(&plane, token, pool).await.err().unwrap();
        assert_eq!(refused.code(), code, "{token} {pool}: {}", refused.message());
    }
    let asked = cluster.asked.load(Ordering::SeqCst);
    let long = format!("a.b.{}", "x".repeat(20_000));
    for garbage in ["x", "a.b", "a.b.c.d", &long] {
        let refused = enrol(&plane, garbage, "").await.err().unwrap();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    assert_eq!(cluster.asked.load(Ordering::SeqCst), asked, "nobody has the cluster asked about garbage");

    let (answer, key, sealing) = enrol(&plane, "gateways.node.pod-1", "default").await.unwrap();
    let node = FakeNode::of(&plane, answer, key, sealing).await;
    let known = plane.fleet(node.id).await;
    assert_eq!((known.pool.as_str(), known.state), ("default", NodeState::Enrolled));
    node.synchronised().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_has_one_identity() {
    let plane = plane(&Arc::default()).await;
    // The answer never reached the pod: it asks again, and is the same node.
    let (lost, ..) = enrol(&plane, "gateways.node.pod-1", "").await.unwrap();
    let (answer, key, sealing) = enrol(&plane, "gateways.node.pod-1", "").await.unwrap();
    assert_eq!(lost.node_id, answer.node_id);
    let node = FakeNode::of(&plane, answer, key, sealing).await;
    let mut stream = node.synchronised().await;
    stream.listen_for(std::time::Duration::from_millis(300)).await;
    eventually("it has spoken", || async { plane.fleet(node.id).await.last_seen.is_some() }).await;
    let again = enrol(&plane, "gateways.node.pod-1", "").await.err().unwrap();
    assert_eq!(again.code(), Code::AlreadyExists, "a stolen token makes no second node");
    let (other, ..) = enrol(&plane, "gateways.node.pod-2", "").await.unwrap();
    assert_ne!(other.node_id, node.id.to_string());

    // It ends for good; the pod may begin anew, and the old certificate opens nothing.
    let mut client = EnrollServiceClient::new(node.channel.clone());
    client.retire(RetireRequest {}).await.unwrap();
    assert_eq!(plane.fleet(node.id).await.state, NodeState::Drained);
    let refused = client.retire(RetireRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let (anew, ..) = enrol(&plane, "gateways.node.pod-1", "").await.unwrap();
    assert_ne!(anew.node_id, node.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cluster_service_accounts_enrol_nobody() {
    let plane = Plane::start().await;
    let refused = enrol(&plane, "gateways.node.pod-1", "").await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{}", refused.message());
    let stranger = dial(plane.address, &plane.material.roots_pem(), None).await.unwrap();
    let refused = EnrollServiceClient::new(stranger).retire(RetireRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}
