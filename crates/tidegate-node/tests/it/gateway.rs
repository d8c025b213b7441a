//! The gateway's port, wired to the node around it.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tidegate_node::{Node, RunningNode};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{CallOutcome, RefusalCause};
use tidegate_types::resource::KeyStatus;
use tokio::net::TcpStream;

use crate::control_plane::FakeControl;
use crate::fleet::{Tenant, end, exchange, settings, start_ready, until};

pub(crate) async fn call(node: &RunningNode, key: &str) -> (u16, String) {
    let body = r#"{"model":"nobody/knows","messages":[{"role":"user","content":"hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    exchange(TcpStream::connect(node.gateway_address()).await.unwrap(), &request).await
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

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_speaks_tls_when_it_has_a_certificate() {
    let control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let (server, client) = control.listener_tls();
    let mut with = settings(&control, state.path());
    with.gateway_tls = Some(Arc::new(server));
    let node = Node::start(with).await.unwrap();
    until("the node is ready", || node.is_ready()).await;
    let socket = TcpStream::connect(node.gateway_address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(stream, request).await.0, 200);
    end(node).await;
}
