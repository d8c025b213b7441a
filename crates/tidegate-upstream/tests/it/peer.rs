//! A provider on loopback that does what it is told, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tidegate_types::OrganizationId;
use tidegate_upstream::{PrivateTarget, SendError, Settings, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the peer does with each request on a connection.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Sends these bytes and keeps the connection.
    Say(&'static str),
    /// Sends these bytes and closes.
    SayAndClose(&'static str),
    /// Sends these bytes and waits until the other side closes, then counts a hang-up.
    SayAndWait(&'static str),
    /// Resets the connection.
    Reset,
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) hang_ups: Arc<AtomicUsize>,
}

impl Peer {
    pub(crate) async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            hang_ups: Arc::default(),
        };
        let (connections, hang_ups) = (peer.connections.clone(), peer.hang_ups.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket, act, hang_ups.clone()));
            }
        });
        peer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(mut socket: TcpStream, act: Act, hang_ups: Arc<AtomicUsize>) {
    while read_request(&mut socket).await.is_some() {
        match act {
            Act::Say(text) => socket.write_all(text.as_bytes()).await.unwrap(),
            Act::SayAndClose(text) => return socket.write_all(text.as_bytes()).await.unwrap(),
            Act::SayAndWait(text) => {
                socket.write_all(text.as_bytes()).await.unwrap();
                let _ = socket.read(&mut [0; 64]).await;
                hang_ups.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Act::Reset => {
                socket.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

/// Reads one request with a `content-length`; its head.
async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some(head)
}

/// Loopback on every port of `ports`, plain http, for the catalogue's own providers.
pub(crate) fn loopback(ports: &[u16]) -> Vec<PrivateTarget> {
    ["127.0.0.0/8", "::1/128"]
        .map(|cidr| PrivateTarget {
            cidr: cidr.parse().unwrap(),
            ports: ports.to_vec(),
            http: true,
            organizations: Vec::new(),
        })
        .to_vec()
}

pub(crate) fn upstreams(peer: &Peer) -> Upstreams {
    Upstreams::new(&Settings { private: loopback(&[peer.address.port()]), ..Settings::default() }).unwrap()
}

/// One exchange: status and whole body.
pub(crate) async fn post(upstreams: &Upstreams, url: &str) -> Result<(u16, Bytes), SendError> {
    let endpoint = upstreams.endpoint(url).unwrap();
    let path = endpoint.path("/v1/x").unwrap();
    let sent = upstreams.post(&endpoint, OrganizationId::SYSTEM, path, HeaderMap::new(), Bytes::from("{}"));
    let response = tokio::time::timeout(Duration::from_secs(120), sent).await.expect("an end in time")?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Waits until `count` reaches `wanted`.
pub(crate) async fn reaches(count: &AtomicUsize, wanted: usize) {
    for _ in 0..12_000 {
        if count.load(Ordering::SeqCst) >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never reached {wanted}");
}
