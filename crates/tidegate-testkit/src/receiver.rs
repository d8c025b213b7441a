//! A server of plain HTTP that answers by a list and notes all that it hears: a webhook's receiver,
//! a collector of traces.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One request as it was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The request line.
    pub target: String,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Heard {
    /// The first header of that name; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// The server; ends with this value.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    /// Starts one on a free port that answers with these status lines (`200 OK`, and headers when wanted)
    /// one after the other, and with the last one for ever.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(answers: &[&'static str]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (noted, answers) = (heard.clone(), answers.to_vec());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (answers, noted) = (answers.clone(), noted.clone());
                connections.spawn(async move { serve(socket, &answers, &noted).await });
            }
        });
        Ok(Self { address, heard, _tasks: tasks })
    }

    /// A URL of the server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// All that was heard so far, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }
}

/// Answers the n-th request that anybody sent with the n-th answer, until the connection ends.
async fn serve(mut socket: TcpStream, answers: &[&'static str], heard: &Mutex<Vec<Heard>>) {
    while let Some(request) = read(&mut socket).await {
        let place = {
            let mut heard = heard.lock();
            heard.push(request);
            heard.len() - 1
        };
        let Some(answer) = answers.get(place).or(answers.last()) else { return };
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request; none when the connection ended, or what came is no request with a length.
async fn read(socket: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.lines();
    let target = lines.next()?.to_owned();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<(String, String)> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
    let length = head + length.parse::<usize>().ok()?;
    while bytes.len() < length {
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(Heard { target, headers, body: bytes[head..length].to_vec() })
}
