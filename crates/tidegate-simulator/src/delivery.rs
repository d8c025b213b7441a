//! Delivers a body in the scripted way, and puts the call on the bill exactly once.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::Sleep;

use crate::complete::Counts;
use crate::script::{Ending, Faults};
use crate::state::State;

/// Whether the connection is to be reset when it is dropped.
pub(crate) type ResetFlag = Arc<AtomicBool>;

/// One call on its way to the bill: it is charged when this is dropped, however the call ended.
pub(crate) struct Charge {
    pub(crate) state: Arc<State>,
    pub(crate) call_id: String,
    pub(crate) provider: &'static str,
    pub(crate) model: String,
    pub(crate) counts: Counts,
    pub(crate) bill_after_abort: bool,
    /// Writes that the whole body has.
    pub(crate) writes: usize,
    /// Writes handed to the socket.
    pub(crate) sent: usize,
    /// Whether the body was handed over to its end.
    pub(crate) completed: bool,
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut counts = self.counts;
        if !self.completed && !self.bill_after_abort {
            let share = counts.output * self.sent as u64 / self.writes.max(1) as u64;
            counts.output = share;
            counts.reasoning = counts.reasoning.min(share);
        }
        self.state.charge(&self.call_id, self.provider, &self.model, counts, self.completed);
    }
}

/// A body with faults.
pub(crate) struct Delivery {
    writes: VecDeque<Bytes>,
    delay: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    broken: Option<Ending>,
    flushed: bool,
    reset: ResetFlag,
    charge: Charge,
}

/// Long enough for the socket to take what was written.
const FLUSH: Duration = Duration::from_millis(5);

/// The body was broken off on purpose.
#[derive(Debug, thiserror::Error)]
#[error("broken off by script")]
pub(crate) struct BrokenOff;

impl Delivery {
    /// Lays out the writes of a body; `error_event` is the dialect's error inside a stream.
    pub(crate) fn new(
        writes: Vec<Vec<u8>>,
        faults: &Faults,
        error_event: Vec<u8>,
        reset: ResetFlag,
        charge: Charge,
    ) -> Self {
        let mut writes: VecDeque<Bytes> = writes.into_iter().map(Bytes::from).collect();
        if let Some(size) = faults.write_bytes.filter(|size| *size > 0) {
            let whole: Vec<u8> = writes.into_iter().flatten().collect();
            writes = whole.chunks(size).map(Bytes::copy_from_slice).collect();
        }
        let mut broken = None;
        if let Some(at) = faults.cut_after_bytes {
            broken = cut(&mut writes, at).then_some(faults.ending);
        }
        match broken {
            Some(Ending::ErrorEvent) => writes.push_back(Bytes::from(error_event)),
            Some(Ending::Garbage) => writes.push_back(Bytes::from_static(b"\x00\xff}{ not an event\n\n")),
            _ => {}
        }
        let delay = Duration::from_millis(faults.chunk_delay_ms);
        Self { writes, delay, sleep: None, broken, flushed: false, reset, charge }
    }

    /// Bytes of the whole body, when it is delivered in full.
    pub(crate) fn length(&self) -> usize {
        self.writes.iter().map(Bytes::len).sum()
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }
}

/// Shortens the writes to `at` bytes; false when there were no more than that.
fn cut(writes: &mut VecDeque<Bytes>, at: usize) -> bool {
    let mut left = at;
    for index in 0..writes.len() {
        let Some(write) = writes.get_mut(index) else { break };
        if write.len() > left {
            write.truncate(left);
            writes.truncate(index + 1);
            return true;
        }
        left -= write.len();
    }
    false
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        if let Some(sleep) = &mut this.sleep {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
        if let Some(write) = this.writes.pop_front() {
            this.charge.sent += 1;
            this.charge.completed = this.writes.is_empty() && this.broken.is_none();
            if !this.delay.is_zero() && !this.writes.is_empty() {
                this.sleep = Some(Box::pin(tokio::time::sleep(this.delay)));
            }
            return Poll::Ready(Some(Ok(Frame::data(write))));
        }
        let breaks = matches!(this.broken, Some(Ending::Close | Ending::Reset));
        if breaks && !std::mem::replace(&mut this.flushed, true) {
            // What was written is delivered before the end; an error would discard it.
            let mut sleep = Box::pin(tokio::time::sleep(FLUSH));
            if sleep.as_mut().poll(cx).is_pending() {
                this.sleep = Some(sleep);
                return Poll::Pending;
            }
        }
        match this.broken {
            Some(Ending::Stall) => Poll::Pending,
            Some(Ending::Reset) => {
                this.reset.store(true, Ordering::Release);
                Poll::Ready(Some(Err(BrokenOff)))
            }
            Some(Ending::Close) => Poll::Ready(Some(Err(BrokenOff))),
            Some(Ending::ErrorEvent | Ending::Garbage) => Poll::Ready(None),
            None => Poll::Ready(None),
        }
    }
}

/// A body that is there at once and always delivered.
pub(crate) fn whole(bytes: Vec<u8>) -> http_body_util::Full<Bytes> {
    http_body_util::Full::new(Bytes::from(bytes))
}
