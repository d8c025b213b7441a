//! The least HTTP/1.1 client that a load generator needs: one connection, one answer at a time.

use std::io;
use std::time::Instant;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::mock::SENT_AT;

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// When the first byte of the body came.
    pub(crate) first_byte: Instant,
    /// Server-sent events in the body.
    pub(crate) events: u64,
    /// When a stream's first chunk left the upstream, by the machine's clock in microseconds.
    pub(crate) sent_at: Option<u64>,
    /// Whether the connection can be used again.
    pub(crate) reusable: bool,
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    at: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How the body is framed.
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Connection {
    pub(crate) async fn open(address: &str, tls: Option<&TlsConnector>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = match tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Tls(Box::new(tls.connect(crate::tls::server_name(), stream).await?)),
        };
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), at: 0 })
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<Answer> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(request).await?,
            Stream::Tls(stream) => {
                stream.write_all(request).await?;
                stream.flush().await?;
            }
        }
        let (status, framing, keep) = self.head().await?;
        let mut answer =
            Answer { status, first_byte: Instant::now(), events: 0, sent_at: None, reusable: keep };
        match framing {
            Framing::Length(length) => {
                if length > 0 && self.at == self.buffer.len() {
                    self.fill().await?;
                }
                answer.first_byte = Instant::now();
                self.need(length).await?;
                answer.events = self.take(length);
            }
            Framing::Chunked => self.chunks(&mut answer).await?,
            Framing::UntilClose => {
                answer.reusable = false;
                while self.fill().await.is_ok() {}
                let rest = self.buffer.len() - self.at;
                answer.events = self.take(rest);
            }
        }
        Ok(answer)
    }

    async fn chunks(&mut self, answer: &mut Answer) -> io::Result<()> {
        let mut first = true;
        loop {
            let line = self.line().await?;
            let text = std::str::from_utf8(&self.buffer[line]).unwrap_or_default();
            let size = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| io::Error::other("bad chunk size"))?;
            if size == 0 {
                self.line().await?;
                return Ok(());
            }
            if first {
                answer.first_byte = Instant::now();
                first = false;
            }
            self.need(size + 2).await?;
            if answer.sent_at.is_none() {
                answer.sent_at = sent_at(&self.buffer[self.at..self.at + size]);
            }
            answer.events += self.take(size + 2);
        }
    }

    async fn head(&mut self) -> io::Result<(u16, Framing, bool)> {
        let first = self.line().await?;
        let text = std::str::from_utf8(&self.buffer[first]).unwrap_or_default();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let (mut framing, mut keep) = (Framing::UntilClose, true);
        loop {
            let line = self.line().await?;
            let text = std::str::from_utf8(&self.buffer[line]).unwrap_or_default().trim();
            let Some((name, value)) = text.split_once(':') else { return Ok((status, framing, keep)) };
            if name.eq_ignore_ascii_case("content-length") {
                framing = Framing::Length(value.trim().parse().map_err(|_| io::Error::other("bad length"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                keep = !value.trim().eq_ignore_ascii_case("close");
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> io::Result<std::ops::Range<usize>> {
        let mut from = self.at;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer[from..]) {
                let line = self.at..from + end;
                self.at = from + end + 1;
                return Ok(line);
            }
            if self.at == self.buffer.len() {
                self.buffer.clear();
                self.at = 0;
            }
            from = self.buffer.len();
            self.fill().await?;
        }
    }

    async fn need(&mut self, bytes: usize) -> io::Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        while self.buffer.len() < bytes {
            self.fill().await?;
        }
        Ok(())
    }

    /// Takes bytes that are there; the number of events among them.
    fn take(&mut self, bytes: usize) -> u64 {
        let part = &self.buffer[self.at..self.at + bytes];
        let events = memmem::find_iter(part, b"data:").count() as u64;
        self.at += bytes;
        events
    }

    async fn fill(&mut self) -> io::Result<()> {
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.buffer).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await?,
        };
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// What the first chunk says of its own departure.
fn sent_at(chunk: &[u8]) -> Option<u64> {
    let from = memmem::find(chunk, SENT_AT.as_bytes())? + SENT_AT.len();
    let digits = chunk[from..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
