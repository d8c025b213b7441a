//! The gateway's port, wired to the node around it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tidegate_node::{GatewayTls, Node, NodeSettings, RunningNode};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{CallOutcome, RefusalCause};
use tidegate_telemetry::SystemClock;
use tidegate_types::Clock;
use tidegate_types::resource::KeyStatus;
use tokio::net::TcpStream;

use crate::control_plane::FakeControl;
use crate::fleet::{Tenant, end, exchange, settings, start_ready, until};
use crate::support::PATIENCE;

pub(crate) async fn call(node: &RunningNode, key: &str) -> (u16, String) {
    call_at(node.gateway_address(), key).await
}

/// The same of a node in another process.
pub(crate) async fn call_at(gateway: SocketAddr, key: &str) -> (u16, String) {
    let body = r#"{"model":"nobody/knows","messages":[{"role":"user","content":"hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(TcpStream::connect(gateway).await.unwrap(), &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_the_feed_opens_the_gateway_until_it_is_revoked_and_each_call_is_reported() {
    let control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    let (key, text) = tenant.issue(&control);
    for resource in [tenant.organization(), tenant.team(), key] {
        control.shared.publish(&resource);
    }
    let node = start_ready(&control, state.path()).await;
    assert_eq!(call(&node, "nonsense").await.0, 401);
    assert_eq!(call(&node, text.expose()).await.0, 404);
    until("the call is reported", || {
        control.shared.stored().values().any(|record| {
            matches!(&record.record, Some(Record::Call(call))
                if call.outcome() == CallOutcome::Refused && call.refusal_cause() == RefusalCause::UnknownModel)
        })
    })
    .await;
    control.shared.publish(&tenant.key(KeyStatus::Revoked));
    until("the revocation is applied", || control.shared.acks.lock().iter().any(|ack| ack.n == 4)).await;
    assert_eq!(call(&node, text.expose()).await.0, 401);
    end(node).await;
}

/// The certificate that a caller sees now.
async fn served(control: &FakeControl, node: &RunningNode) -> Option<CertificateDer<'static>> {
    let stream = control.connect(node.gateway_address()).await;
    stream.get_ref().1.peer_certificates()?.first().map(|leaf| leaf.clone().into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_speaks_tls_and_takes_a_renewed_certificate_without_a_restart() {
    let control = FakeControl::start().await;
    let (state, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (first, second) = (control.listener_certificate(), control.listener_certificate());
    let files = first.write(folder.path());
    let tls = GatewayTls::read(files.clone(), Arc::new(SystemClock)).unwrap();
    let node =
        Node::start(NodeSettings { gateway_tls: Some(tls.clone()), ..settings(&control, state.path()) })
            .await
            .unwrap();
    until("the node is ready", || node.is_ready()).await;
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(control.connect(node.gateway_address()).await, request).await.0, 200);
    assert_eq!(served(&control, &node).await.as_ref(), Some(&first.leaf));

    // Half of the next one, as a kubelet or an ACME client may leave it for a moment; and what is none.
    std::fs::write(&files.certificate, &second.certificate).unwrap();
    assert!(tls.look().is_err());
    std::fs::write(&files.certificate, "nothing").unwrap();
    let problem = tls.look().unwrap_err().to_string();
    assert!(problem.starts_with("node.tls.certificate_file: "), "{problem}");
    assert_eq!(served(&control, &node).await.as_ref(), Some(&first.leaf));
    // One whose time is over, and one whose time has not come.
    let day = 24 * 3600 * 1000;
    for (millis, problem) in [(-4000 * day, "its time is over"), (10 * day, "its time has not come")] {
        control.listener_certificate_of(SystemClock.now().plus_millis(millis)).write(folder.path());
        assert!(tls.look().unwrap_err().to_string().ends_with(problem));
        assert_eq!(served(&control, &node).await.as_ref(), Some(&first.leaf));
    }
    told_as_refused(&node, true).await;

    second.write(folder.path());
    let began = std::time::Instant::now();
    while served(&control, &node).await.as_ref() != Some(&second.leaf) {
        assert!(began.elapsed() < PATIENCE, "the new certificate is not taken");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    told_as_refused(&node, false).await;
    let text = metrics(&node).await;
    let until = text.lines().find_map(|line| {
        line.strip_prefix("tidegate_gateway_certificate_expiration_timestamp_seconds ")?.parse::<i64>().ok()
    });
    let (_, expected) = tidegate_secrets::ca::validity(&second.leaf).unwrap();
    assert_eq!(until, Some(expected.as_seconds()), "{text}");
    end(node).await;
}

async fn metrics(node: &RunningNode) -> String {
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    exchange(TcpStream::connect(node.metrics_address()).await.unwrap(), request).await.1
}

/// Waits until the node says whether its files hold what it does not take.
async fn told_as_refused(node: &RunningNode, refused: bool) {
    let line = format!("tidegate_gateway_certificate_refused {}", u8::from(refused));
    let began = std::time::Instant::now();
    while !metrics(node).await.lines().any(|told| told == line) {
        assert!(began.elapsed() < PATIENCE, "{line}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
