//! The operator's egress proxy: what goes through it, and that no rule about addresses is weaker behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tidegate_types::OrganizationId;
use tidegate_upstream::{EgressProxy, Resolver, SendError, Settings, Upstreams};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::{Act, Peer, loopback};
use crate::tls::start;

const TENANT: OrganizationId = OrganizationId::from_u128(7);

/// A proxy on loopback that leads every tunnel to one target, and keeps what it was asked.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(target: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { return };
                        head.push(byte);
                    }
                    heard.lock().push(String::from_utf8(head).unwrap());
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains(" 200 ") {
                        let mut target = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                        let _ = copy_bidirectional(&mut socket, &mut target).await;
                    }
                });
            }
        });
        Self { port, asked }
    }

    fn settings(
        &self,
        resolves: bool,
        found: &'static [&'static str],
        looked: &Arc<AtomicUsize>,
    ) -> Settings {
        let looked = Arc::clone(looked);
        let resolver = Resolver::new(move |host| {
            let own = &*host == "proxy.internal";
            looked.fetch_add(usize::from(!own), Ordering::SeqCst);
            let found = if own { &["127.0.0.1"][..] } else { found };
            let found = found.iter().map(|address| address.parse().unwrap()).collect();
            async move { Ok(found) }.boxed()
        });
        let proxy = format!("http://us%40er:secret@proxy.internal:{}", self.port);
        let proxy = Some(EgressProxy::parse(&proxy, resolves).unwrap());
        Settings { resolver, proxy, ..Settings::default() }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

async fn call(upstreams: &Upstreams, owner: OrganizationId, url: &str) -> Result<(u16, Bytes), SendError> {
    let endpoint = upstreams.endpoint(url).unwrap();
    let path = endpoint.path("/v1/x").unwrap();
    let answer = upstreams.post(&endpoint, owner, path, HeaderMap::new(), Bytes::from("{}")).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

#[tokio::test]
async fn public_targets_are_reached_by_their_vetted_address_and_the_proxy_sees_no_request() {
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let (target, ca) = start(alpn).await;
        let (proxy, looked) = (Proxy::start(target, OPEN).await, Arc::new(AtomicUsize::new(0)));
        let settings = Settings { extra_ca: Some(ca), ..proxy.settings(false, &["1.1.1.1"], &looked) };
        let upstreams = Upstreams::new(&settings).unwrap();
        for owner in [TENANT, OrganizationId::SYSTEM, TENANT] {
            assert_eq!(call(&upstreams, owner, "https://localhost").await.unwrap().0, 200);
        }
        let asked = proxy.asked();
        assert_eq!(asked.len(), 1, "the connection is kept: {asked:?}");
        assert!(asked[0].starts_with("CONNECT 1.1.1.1:443 HTTP/1.1\r\nhost: 1.1.1.1:443\r\n"), "{asked:?}");
        assert!(asked[0].contains("proxy-authorization: Basic dXNAZXI6c2VjcmV0\r\n"), "{asked:?}");
        assert_eq!(looked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn the_address_table_holds_before_the_proxy_is_asked() {
    let looked = Arc::default();
    for resolves in [false, true] {
        let proxy = Proxy::start(1, OPEN).await;
        for bad in [&["169.254.169.254"][..], &["1.1.1.1", "10.0.0.1"], &["fd00:ec2::254"], &["127.0.0.1"]] {
            let upstreams = Upstreams::new(&proxy.settings(resolves, bad, &looked)).unwrap();
            for (owner, url) in [
                (TENANT, "https://tenant.example"),
                (OrganizationId::SYSTEM, "https://catalogue.example"),
                (TENANT, "https://169.254.169.254"),
                (OrganizationId::SYSTEM, "https://10.0.0.1"),
                (TENANT, "http://tenant.example"),
            ] {
                let error = call(&upstreams, owner, url).await.unwrap_err();
                assert_eq!(error, SendError::Forbidden, "{url} {bad:?}");
            }
        }
        // Names that organizations chose are never the proxy's to resolve.
        let upstreams = Upstreams::new(&proxy.settings(resolves, &[], &looked)).unwrap();
        assert_eq!(call(&upstreams, TENANT, "https://tenant.example").await.unwrap_err(), SendError::Dns);
        assert_eq!(proxy.asked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_catalogues_names_may_be_left_to_the_proxy_and_their_connections_are_nobody_elses() {
    let (target, ca) = start(b"http/1.1").await;
    for found in [&[][..], &["1.1.1.1"]] {
        let (proxy, looked) = (Proxy::start(target, OPEN).await, Arc::default());
        let settings = Settings { extra_ca: Some(ca.clone()), ..proxy.settings(true, found, &looked) };
        let upstreams = Upstreams::new(&settings).unwrap();
        for _ in 0..2 {
            let answer = call(&upstreams, OrganizationId::SYSTEM, "https://localhost").await;
            assert_eq!(answer.unwrap().0, 200);
        }
        let asked = proxy.asked();
        assert!(asked.len() == 1 && asked[0].starts_with("CONNECT localhost:443 HTTP/1.1\r\n"), "{asked:?}");
        // A connection that was led by a name is not taken for an organization's own base URL.
        let own = call(&upstreams, TENANT, "https://localhost").await;
        let asked = proxy.asked();
        match found {
            [] => assert_eq!((own.unwrap_err(), asked.len()), (SendError::Dns, 0)),
            _ => assert!(own.is_ok() && asked[0].starts_with("CONNECT 1.1.1.1:443 "), "{asked:?}"),
        }
    }
}

#[tokio::test]
async fn private_targets_are_called_directly_and_a_proxy_that_refuses_is_told_apart() {
    let peer = Peer::start(Act::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let looked = Arc::default();
    for resolves in [false, true] {
        let proxy =
            Proxy::start(1, "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        let private = loopback(&[peer.address.port()]);
        let settings = Settings { private, ..proxy.settings(resolves, &["127.0.0.1"], &looked) };
        let upstreams = Upstreams::new(&settings).unwrap();
        let url = format!("http://ollama.internal:{}", peer.address.port());
        assert_eq!(call(&upstreams, OrganizationId::SYSTEM, &url).await.unwrap().0, 200);
        assert_eq!(proxy.asked().len(), 0);
        let upstreams = Upstreams::new(&proxy.settings(resolves, &["1.1.1.1"], &looked)).unwrap();
        let error = call(&upstreams, OrganizationId::SYSTEM, "https://provider.example").await.unwrap_err();
        assert_eq!((error, error.was_sent(), error.word()), (SendError::Proxy, false, "proxy"));
    }
}
