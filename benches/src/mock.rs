//! The upstream of the measurements: answers at once, or streams at a set pace.
//!
//! The model's name says how: `mock-l50-c50-i20` waits 50 ms, then streams 50 chunks 20 ms apart.
//! Streams begin at different parts of the interval: in step, one waking of the gateway would serve
//! them all, which callers who know nothing of each other never do. A stream's first chunk says when
//! it was sent: what a stream takes from there does not depend on how timers round.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep};

/// Before the time at which a stream's first chunk was sent, in its text.
pub(crate) const SENT_AT: &str = "sent-at-";

/// Microseconds of the machine's clock, the same for mock and load.
pub(crate) fn clock_micros() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

#[derive(Clone, Copy, Default)]
struct Pace {
    latency_ms: u64,
    chunks: u64,
    interval_ms: u64,
}

/// Serves for ever on one thread.
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                tokio::task::spawn_local(async move {
                    let service = service_fn(answer);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        })
        .await
}

fn pace(model: &str) -> Pace {
    let mut pace = Pace { latency_ms: 0, chunks: 100, interval_ms: 0 };
    for part in model.split('-').skip(1) {
        let (kind, number) = part.split_at(part.len().min(1));
        let Ok(number) = number.parse() else { continue };
        match kind {
            "l" => pace.latency_ms = number,
            "c" => pace.chunks = number,
            "i" => pace.interval_ms = number,
            _ => {}
        }
    }
    pace
}

fn model_of(body: &str) -> &str {
    let rest = body.split("\"model\"").nth(1).unwrap_or_default();
    rest.split('"').nth(1).unwrap_or("mock")
}

async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Paced>>, Infallible> {
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    let model = model_of(&body);
    let pace = pace(model);
    let mut response = if body.contains("\"stream\":true") {
        Response::new(Either::Right(Paced::new(pace, model)))
    } else {
        tokio::time::sleep(Duration::from_millis(pace.latency_ms)).await;
        Response::new(Either::Left(Full::new(plain(model).into())))
    };
    let kind = if body.contains("\"stream\":true") { "text/event-stream" } else { "application/json" };
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

fn plain(model: &str) -> String {
    let content = "token ".repeat(64);
    format!(
        "{{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"{model}\",\"choices\":[{{\"index\":0,\
         \"message\":{{\"role\":\"assistant\",\"content\":\"{content}\",\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":12,\"completion_tokens\":64,\"total_tokens\":76}},\"system_fingerprint\":\"fp_mock\"}}"
    )
}

struct Paced {
    pace: Pace,
    sent: u64,
    head: String,
    chunk: Bytes,
    end: Option<Bytes>,
    next: Pin<Box<Sleep>>,
}

impl Paced {
    fn new(pace: Pace, model: &str) -> Self {
        let head = format!(
            "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"{model}\",\"choices\":"
        );
        let chunk = chunk(&head, "token ");
        let (n, total) = (pace.chunks, pace.chunks + 12);
        let end = format!(
            "{head}[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n{head}[],\
             \"usage\":{{\"prompt_tokens\":12,\"completion_tokens\":{n},\"total_tokens\":{total}}}}}\n\ndata: [DONE]\n\n"
        );
        // The microseconds of the clock: as good as drawn by lot.
        let lot = UNIX_EPOCH.elapsed().map_or(0, |now| u64::from(now.subsec_micros()));
        let part = lot % pace.interval_ms.max(1);
        let at = Instant::now() + Duration::from_millis(pace.latency_ms + part);
        Self {
            pace,
            sent: 0,
            head,
            chunk: chunk.into(),
            end: Some(end.into()),
            next: Box::pin(tokio::time::sleep_until(at)),
        }
    }
}

/// One event with a piece of text.
fn chunk(head: &str, text: &str) -> String {
    let delta = format!("{{\"role\":\"assistant\",\"content\":\"{text}\"}}");
    format!("{head}[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n")
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.end.is_some() && self.next.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if self.sent == self.pace.chunks {
            return Poll::Ready(self.end.take().map(|end| Ok(Frame::data(end))));
        }
        self.sent += 1;
        if self.pace.interval_ms > 0 {
            let at = self.next.deadline() + Duration::from_millis(self.pace.interval_ms);
            self.next.as_mut().reset(at);
        }
        let chunk = if self.sent == 1 {
            Bytes::from(chunk(&self.head, &format!("{SENT_AT}{} ", clock_micros())))
        } else {
            self.chunk.clone()
        };
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}
