//! What a node fails to do although the control plane is there: it acknowledges no revocation, it cannot renew its
//! certificate, nobody renews the one that its callers see, it dies with what it was sent.

use std::path::Path;

use prost::Message as _;
use serde_json::json;
use tidegate_proto::enroll::EnrollResponse;
use tidegate_secrets::ca::{CertificateAuthority, NodeKey};
use tidegate_secrets::envelope::{self, Aad, DataKey};
use tidegate_telemetry::SystemClock;
use tidegate_types::Clock as _;
use tidegate_types::Timestamp;

use rcgen::{CertificateParams, KeyPair};
use tidegate_testkit::installation::Shape;

use super::{rules, target};
use crate::support::{Ask, Prometheus, apps, install, nodes, seconds, until};

/// Ten seconds are most of the time for which a node that is frozen stays connected.
const THRESHOLDS: [(&str, &str); 1] = [(
    "tidegate_revocations_unacknowledged_seconds) > 10",
    "tidegate_revocations_unacknowledged_seconds) > 2",
)];

/// Has the node's certificate be one of six days ago, by an authority that nobody knows. Returns the file as it was.
fn age(state: &Path) -> Vec<u8> {
    let file = state.join("identity");
    let (before, secret) = (std::fs::read(&file).unwrap(), std::fs::read(state.join("secret")).unwrap());
    let (key, aad) =
        (DataKey::from_bytes(secret.as_slice().try_into().unwrap()), Aad::new("node state").with("identity"));
    let plain = envelope::open(&key, &aad, &before).unwrap();
    let mut parts = Vec::new();
    let mut rest = plain.as_slice();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (part, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        parts.push(part.to_vec());
        rest = after;
    }
    let begun = Timestamp::from_seconds(SystemClock.now().as_seconds() - 6 * 86_400);
    let mut answer = EnrollResponse::decode(parts[3].as_slice()).unwrap();
    let request = NodeKey::from_bytes(&parts[0]).unwrap().certificate_request().unwrap();
    let signed = CertificateAuthority::generate(begun)
        .unwrap()
        .sign_node(&request, answer.node_id.parse().unwrap(), &answer.pool, begun)
        .unwrap();
    answer.certificate_chain = signed.chain.iter().map(|der| der.to_vec()).collect();
    answer.not_after_micros = signed.not_after.as_micros();
    parts[2] = begun.as_micros().to_be_bytes().to_vec();
    parts[3] = answer.encode_to_vec();
    let framed = parts.iter().flat_map(|part| [&(part.len() as u32).to_be_bytes()[..], part].concat());
    std::fs::write(&file, envelope::seal(&key, &aad, &framed.collect::<Vec<u8>>()).unwrap()).unwrap();
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_makes_a_revocation_late_and_a_certificate_that_is_not_renewed_is_told_in_time() {
    let mut installation = install(nodes(1)).await;
    let (id, _) = installation.key("revoked", &json!({})).await.unwrap();
    let (_, key) = installation.key("stays", &json!({})).await.unwrap();
    apps(&installation, &key)[0].expect(&Ask::chat("Hello"), 200).await;
    let targets = |installation: &tidegate_testkit::installation::Installation| {
        [
            target("tidegate-nodes", "node-0", &installation.nodes[0]),
            target("tidegate-control", "control-0", &installation.control_planes[0]),
        ]
    };
    let prometheus = Prometheus::start(&targets(&installation), &rules(&THRESHOLDS)).await;
    let says = async |prometheus: &Prometheus, alert: &str, text: &str| {
        prometheus.alerts().await.get(alert).is_some_and(|says| says.contains(text))
    };
    let watched = async || !prometheus.shows("tidegate_revocations_unacknowledged_seconds").await.is_empty();
    until("it is measured", seconds(20), watched).await;
    assert!(prometheus.alerts().await.is_empty());

    installation.nodes[0].signal("STOP");
    installation.admin.delete(&format!("/keys/{id}")).await.unwrap();
    let late = ("TidegateRevocationsLate", "has not acknowledged the revocation of a key for");
    until("the revocation is late", seconds(20), async || says(&prometheus, late.0, late.1).await).await;
    installation.nodes[0].signal("CONT");
    let quiet = async || prometheus.alerts().await.is_empty();
    until("it has come, and nobody says otherwise", seconds(60), quiet).await;

    installation.nodes[0].signal("TERM");
    assert!(installation.nodes[0].wait(seconds(60)).await.unwrap(), "it ends in order");
    let state = installation.folder().join("node-0-state");
    let identity = age(&state);
    installation.restart_node(0).await.unwrap();
    let prometheus = Prometheus::start(&targets(&installation), &rules(&THRESHOLDS)).await;
    let ends = ("TidegateNodeCertificateEndsSoon", "The certificate of node-0 ends in 23h 5");
    until("its certificate ends soon", seconds(30), async || says(&prometheus, ends.0, ends.1).await).await;

    installation.nodes[0].signal("TERM");
    assert!(installation.nodes[0].wait(seconds(60)).await.unwrap(), "it ends in order");
    std::fs::write(state.join("identity"), identity).unwrap();
    installation.restart_node(0).await.unwrap();
    let prometheus = Prometheus::start(&targets(&installation), &rules(&THRESHOLDS)).await;
    let fresh = "tidegate_node_certificate_expiration_timestamp_seconds - time() > 6 * 86400";
    until("it is measured", seconds(20), async || !prometheus.shows(fresh).await.is_empty()).await;
    assert!(prometheus.alerts().await.is_empty());
    assert_eq!(prometheus.broken_rules().await, [serde_json::Value::Null; 0]);
}

/// A certificate of the gateway that ends in so many days, and its key.
fn certify(folder: &Path, days: i64) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let end = std::time::SystemTime::now() + seconds(u64::try_from(days * 86_400).unwrap());
    params.not_after = end.into();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_certificate_that_nobody_replaces_is_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), 90);
    let files = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let installation = install(Shape { gateway_tls: Some(files), ..nodes(1) }).await;
    let target = target("tidegate-nodes", "node-0", &installation.nodes[0]);
    let prometheus = Prometheus::start(&[target], &rules(&[])).await;
    let fresh = "tidegate_gateway_certificate_expiration_timestamp_seconds - time() > 89 * 86400";
    until("it is measured", seconds(20), async || !prometheus.shows(fresh).await.is_empty()).await;
    assert!(prometheus.alerts().await.is_empty());

    certify(folder.path(), 1);
    let ends =
        ("TidegateGatewayCertificateEndsSoon", "The certificate that node-0 shows callers ends in 23h 5");
    let is_told = async || prometheus.alerts().await.get(ends.0).is_some_and(|says| says.contains(ends.1));
    until("it ends soon", seconds(30), is_told).await;

    certify(folder.path(), 90);
    until("it was replaced", seconds(30), async || prometheus.alerts().await.is_empty()).await;
    assert_eq!(prometheus.broken_rules().await, [serde_json::Value::Null; 0]);
}

/// What the disk knows to have been sent.
fn floor(state: &Path) -> Vec<u8> {
    std::fs::read(state.join("floor")).unwrap()
}

/// Nothing is being applied: a death is not told to be of one shard.
fn is_idle(state: &Path) -> bool {
    std::fs::read(state.join("applying")).unwrap().first() == Some(&0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_died_three_times_with_a_change_on_trial_says_that_it_holds_it_back() {
    let mut installation = install(nodes(1)).await;
    let state = installation.folder().join("node-0-state");
    // What is held back is so for a pause only: it looks all the while, at every process of the node.
    let target = target("tidegate-nodes", "node-0", &installation.nodes[0]);
    let prometheus = Prometheus::start(&[target], &rules(&[])).await;
    let passed = async || !prometheus.shows("tidegate_config_on_trial_shards == 0").await.is_empty();
    until("what it began with has passed", seconds(90), passed).await;
    assert!(prometheus.alerts().await.is_empty());

    let before = floor(&state);
    let (_, key) = installation.key("tried", &json!({})).await.unwrap();
    until("it is on the disk", seconds(20), async || floor(&state) != before).await;
    for death in 1..=3 {
        // Started by what was good, the node is sent the rest anew.
        let app = apps(&installation, &key).remove(0);
        until("it knows the key", seconds(20), async || app.status().await == 200).await;
        until("it has applied it", seconds(20), async || is_idle(&state)).await;
        installation.nodes[0].kill();
        installation.restart_node(0).await.unwrap_or_else(|error| panic!("after {death} deaths: {error}"));
    }
    let held =
        ("TidegateConfigurationHeldBack", "node-0 holds back what 1 shard of its configuration was sent");
    let is_told = async || prometheus.alerts().await.get(held.0).is_some_and(|says| says.contains(held.1));
    until("it says so", seconds(25), is_told).await;
    // The deaths were none of the change's: when its pause is over it is taken.
    let quiet = async || prometheus.alerts().await.is_empty();
    until("it is tried once more", seconds(90), quiet).await;
    apps(&installation, &key)[0].expect(&Ask::chat("Hello"), 200).await;
    assert_eq!(prometheus.broken_rules().await, [serde_json::Value::Null; 0]);
}
