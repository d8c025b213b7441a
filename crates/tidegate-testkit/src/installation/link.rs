//! A TCP line that can be cut while both ends live: without a word, in one direction, or with a refusal.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::port;

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everything passes.
    Open,
    /// Nothing passes and nobody is told: connections stay open, new ones hang.
    Silent,
    /// What is asked arrives, and no answer comes back.
    HalfOpen,
    /// Connections break, and new ones are refused.
    Refused,
}

impl Line {
    fn lets_there(self) -> bool {
        matches!(self, Self::Open | Self::HalfOpen)
    }

    fn lets_back(self) -> bool {
        self == Self::Open
    }
}

/// A line to a loopback port. It ends with this value.
#[derive(Debug)]
pub struct Link {
    port: u16,
    line: watch::Sender<Line>,
    _serving: JoinSet<()>,
}

impl Link {
    /// An open line to `target` on 127.0.0.1.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(target: u16) -> Result<Self> {
        let port = port::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let (line, state) = watch::channel(Line::Open);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, (Ipv4Addr::LOCALHOST, target).into(), state));
        Ok(Self { port, line, _serving: serving })
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts or opens it, for connections that are there as well.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn serve(mut listener: TcpListener, target: SocketAddr, line: watch::Receiver<Line>) {
    let Ok(address) = listener.local_addr() else { return };
    let mut state = line.clone();
    loop {
        accept(&listener, target, &line).await;
        // Who does not listen refuses.
        drop(listener);
        if state.wait_for(|line| *line != Line::Refused).await.is_err() {
            return;
        }
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
    }
}

/// Until connections are refused; then all of them break.
async fn accept(listener: &TcpListener, target: SocketAddr, line: &watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    let mut state = line.clone();
    loop {
        let accepted = tokio::select! {
            () = refused(&mut state) => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => drop(connections.spawn(pass(socket, target, line.clone()))),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn refused(state: &mut watch::Receiver<Line>) {
    let _ = state.wait_for(|line| *line == Line::Refused).await;
}

async fn pass(from: TcpStream, target: SocketAddr, mut line: watch::Receiver<Line>) {
    if line.wait_for(|line| line.lets_there()).await.is_err() {
        return;
    }
    let Ok(to) = TcpStream::connect(target).await else { return };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let (asks, answers) = from.into_split();
    let (back, there) = to.into_split();
    tokio::join!(
        pump(asks, there, line.clone(), Line::lets_there),
        pump(back, answers, line, Line::lets_back)
    );
}

/// One direction, until its source ends; what arrives while nothing passes waits.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: watch::Receiver<Line>,
    lets: fn(Line) -> bool,
) {
    let mut part = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut part).await.unwrap_or(0);
        if line.wait_for(|line| lets(*line)).await.is_err() {
            return;
        }
        if read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
}
