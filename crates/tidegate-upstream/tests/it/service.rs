//! A service on loopback that keeps each request as it came and answers by a rule.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_upstream::{Settings, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::loopback;

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
}

type Rule = dyn Fn(usize) -> (u16, String) + Send + Sync;

impl Service {
    /// `rule` gives status and body of the n-th answer, from 0; it may take its time.
    pub(crate) async fn start(rule: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self { address: listener.local_addr().unwrap(), received: Arc::default() };
        let (received, rule): (_, Arc<Rule>) = (service.received.clone(), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, received.clone(), rule.clone()));
            }
        });
        service
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().len()
    }
}

/// The way out to all of these.
pub(crate) fn way_to(services: &[&Service]) -> Upstreams {
    let ports: Vec<_> = services.iter().map(|service| service.address.port()).collect();
    Upstreams::new(&Settings { private: loopback(&ports), ..Settings::default() }).unwrap()
}

async fn serve(mut socket: TcpStream, received: Arc<Mutex<Vec<Received>>>, rule: Arc<Rule>) {
    while let Some(request) = read(&mut socket).await {
        let number = {
            let mut all = received.lock();
            all.push(request);
            all.len() - 1
        };
        // Long enough for others to ask meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let (status, body) = rule(number);
        let head =
            format!("HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: {}\r\n\r\n", body.len());
        if socket.write_all([head, body].concat().as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let mut next = || first.next().unwrap().to_owned();
    let (method, target) = (next(), next());
    let headers: Vec<_> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut received = Received { method, target, headers, body: Vec::new() };
    received.body = vec![0; received.header("content-length").parse().unwrap_or(0)];
    socket.read_exact(&mut received.body).await.ok()?;
    Some(received)
}
