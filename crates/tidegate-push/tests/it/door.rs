//! What connections cost before they are served: little, counted, and no address takes what others need.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tidegate_push::Dropped;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::fake_node::FakeNode;
use crate::plane::{Plane, eventually};

/// The first word of a handshake.
fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut said = Vec::new();
    rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut said).unwrap();
    said
}

/// Connections of 127.0.0.`host` that say this and no more.
async fn hold(plane: &Plane, host: u8, said: &[u8], count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
        let mut connection = socket.connect(plane.address).await.unwrap();
        // One that is beyond what an address may have is closed.
        let _ = connection.write_all(said).await;
        held.push(connection);
    }
    held
}

async fn dropped(plane: &Plane, why: Dropped, count: u64) {
    eventually(&format!("{why:?}"), async || plane.metrics.connections_dropped(why) >= count).await;
    assert_eq!(plane.metrics.connections_dropped(why), count, "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_finish_their_handshake_keep_no_node_out() {
    let plane = Plane::start().await;
    // Some say nothing; some, of another address, begin and say no more.
    let silent = hold(&plane, 1, &[], 150).await;
    let begun = hold(&plane, 2, &client_hello(), 150).await;
    let node = FakeNode::enrol(&plane).await;
    node.synchronised().await;
    drop((silent, begun));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_have_all_handshakes_among_them_make_room_for_others() {
    let plane = Plane::start().await;
    let hello = client_hello();
    // Two of them have all 64 places; what is beyond an address's half is dropped.
    let first = hold(&plane, 2, &hello, 33).await;
    let second = hold(&plane, 3, &hello, 34).await;
    dropped(&plane, Dropped::AddressFull, 3).await;
    let node = FakeNode::enrol(&plane).await;
    assert!(plane.metrics.connections_dropped(Dropped::Displaced) > 0, "all places were taken");
    assert_eq!(plane.metrics.connections_dropped(Dropped::Full), 0);
    node.synchronised().await;
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_first_word_of_a_node_is_dropped_before_it_costs_memory() {
    let plane = Plane::start().await;
    let silent = hold(&plane, 2, &[], 1).await;
    // A message that says it is 60,000 bytes long, in records of 4,096.
    let mut long = vec![1, 0, 0xea, 0x60];
    long.resize(60_004, 0);
    let records = |said: &[u8]| {
        let record = |piece: &[u8]| {
            [&[0x16, 3, 1][..], &u16::try_from(piece.len()).unwrap().to_be_bytes(), piece].concat()
        };
        said.chunks(4_096).flat_map(record).collect::<Vec<u8>>()
    };
    // One that ends a byte before the bound is waited for.
    let bounded = hold(&plane, 2, &records(&long)[..16 * 1024 - 1], 1).await;
    let mut greedy = hold(&plane, 2, &records(&long)[..16 * 1024], 1).await;
    dropped(&plane, Dropped::TooLong, 1).await;
    assert!(matches!(greedy[0].read(&mut [0; 16]).await, Ok(0) | Err(_)), "it is closed");
    // Who speaks something else is told so.
    let mut stranger = hold(&plane, 2, b"GET / HTTP/1.1\r\n\r\n", 1).await;
    dropped(&plane, Dropped::Malformed, 1).await;
    let mut alert = [0; 1];
    stranger[0].read_exact(&mut alert).await.unwrap();
    assert_eq!(alert, [0x15]);
    // The silent one, and the one that lacks a byte, are dropped when their time is over.
    dropped(&plane, Dropped::Late, 2).await;
    drop((silent, bounded));
}
