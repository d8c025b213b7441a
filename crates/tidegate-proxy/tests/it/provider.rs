//! A provider on loopback that follows a script, byte by byte, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What it does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends what the request is answered with.
    Reply(fn(&Asked) -> Turn),
    /// Waits.
    Pause(Duration),
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
    /// Waits until the other side closes, and counts it.
    UntilHangUp,
}

/// The answer to one request.
pub(crate) type Turn = Vec<Step>;

/// What is done with each request.
type Looks = Box<dyn Fn(&Asked) + Send>;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) hang_ups: Arc<AtomicUsize>,
    /// Looks at each request the moment it is here.
    pub(crate) on_asked: Arc<Mutex<Option<Looks>>>,
    connections: Arc<AtomicUsize>,
    script: Arc<Mutex<Vec<Turn>>>,
    accepting: Arc<Mutex<Option<AbortHandle>>>,
}

impl Provider {
    /// Answers request by request as scripted; the last turn repeats.
    pub(crate) async fn start(script: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            hang_ups: Arc::default(),
            on_asked: Arc::default(),
            connections: Arc::default(),
            script: Arc::new(Mutex::new(script)),
            accepting: Arc::default(),
        };
        let served = provider.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                served.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(served.clone().serve(socket));
            }
        });
        *provider.accepting.lock() = Some(accepting.abort_handle());
        provider
    }

    /// Listens no more: for tests that start thousands.
    pub(crate) fn end(&self) {
        if let Some(accepting) = self.accepting.lock().take() {
            accepting.abort();
        }
    }

    pub(crate) fn script(&self, script: Vec<Turn>) {
        *self.script.lock() = script;
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked.lock().last().cloned().unwrap()
    }

    async fn serve(self, mut socket: TcpStream) {
        while let Some(asked) = read_request(&mut socket).await {
            if let Some(looks) = &*self.on_asked.lock() {
                looks(&asked);
            }
            self.asked.lock().push(asked.clone());
            let turn = {
                let mut script = self.script.lock();
                if script.len() > 1 { script.remove(0) } else { script[0].clone() }
            };
            let replied = turn.into_iter().flat_map(|step| match step {
                Step::Reply(reply) => reply(&asked),
                other => vec![other],
            });
            for step in replied {
                match step {
                    Step::Reply(_) => {}
                    Step::Send(bytes) => {
                        if socket.write_all(&bytes).await.is_err() {
                            self.hang_ups.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                    }
                    Step::Pause(time) => tokio::time::sleep(time).await,
                    Step::Close => return,
                    Step::Reset => return socket.set_zero_linger().unwrap(),
                    Step::UntilHangUp => {
                        while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                        self.hang_ups.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some(Asked { head, body: String::from_utf8(body).unwrap() })
}

/// A whole answer.
pub(crate) fn whole(status: u16, headers: &str, body: &str) -> Turn {
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    vec![Step::Send(text.into_bytes())]
}

/// A JSON answer.
pub(crate) fn json(body: &str) -> Turn {
    whole(200, "", body)
}

pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of chunked encoding.
pub(crate) fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// A stream of these pieces, each in a write of its own, then its proper end.
pub(crate) fn stream(pieces: &[&str]) -> Turn {
    let mut turn = open_stream(pieces);
    turn.push(Step::Send(b"0\r\n\r\n".to_vec()));
    turn
}

/// A stream of these pieces that is not ended.
pub(crate) fn open_stream(pieces: &[&str]) -> Turn {
    let mut turn = vec![Step::Send(STREAM_HEAD.as_bytes().to_vec())];
    turn.extend(pieces.iter().map(|piece| Step::Send(chunk(piece))));
    turn
}
