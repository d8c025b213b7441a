//! A stream on its way to the caller: bytes pass, the meter counts, the end settles.
//!
//! All that one read brings leaves in one piece. The final event is written before the last
//! piece leaves. When the caller goes, the provider is cut off where that stops its billing,
//! else its answer is read to the end elsewhere.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tidegate_dialect::refusal::Failure;
use tidegate_dialect::stream::{AnswerStream, End};
use tidegate_types::usage::{CallOutcome, RefusalCause};
use tidegate_upstream::ResponseBody;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::cache::{Keep, Keeping};
use crate::gateway::Gateway;
use crate::settle::Attempt;
use crate::steps::{Source, Steps};

/// What one piece to the caller holds at most, so that a fast provider leaves room for others.
const PIECE: usize = 64 * 1024;

/// A provider's stream, its meter and its money.
pub(crate) struct Live {
    gateway: Arc<Gateway>,
    pub(crate) attempt: Box<Attempt>,
    body: Option<Source>,
    steps: Option<Arc<Steps>>,
    pub(crate) stream: AnswerStream,
    out: Vec<Bytes>,
    pub(crate) end: Option<End>,
    keeping: Option<Box<Keeping>>,
}

impl Live {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        mut attempt: Box<Attempt>,
        body: ResponseBody,
        stream: AnswerStream,
        keep: Option<Box<Keep>>,
    ) -> Self {
        let keeping = keep.map(|keep| Box::new(Keeping::new(*keep)));
        attempt.begin_steps();
        let steps = attempt.steps.clone();
        let body = Some(Source::new(body, steps.as_ref(), &gateway));
        Self { gateway, attempt, body, steps, stream, out: Vec::new(), end: None, keeping }
    }

    /// Reads what is there. Ready when something came or the stream ended.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut taken = 0;
        while let Some(body) = &mut self.body {
            match body.poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    taken += data.len();
                    self.stream.push(&data, &mut self.out);
                    if let Some(keeping) = &mut self.keeping {
                        keeping.take(&data);
                    }
                    body.note(self.stream.facts().visible_bytes);
                    if self.stream.facts().fault.is_some() {
                        self.close(End::Faulty);
                    } else if taken >= PIECE {
                        // More is there: the next piece takes it.
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(Some(Err(_))) => self.close(End::Truncated),
                Poll::Ready(None) => {
                    let end = self.stream.end(&mut self.out);
                    self.close(end);
                }
            }
        }
        if taken > 0 || self.body.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn close(&mut self, end: End) {
        self.body = None;
        self.end = Some(end);
    }

    /// The provider's own end marker is there, or its end.
    fn is_complete(&self) -> bool {
        self.stream.facts().ended || self.end == Some(End::Complete)
    }

    fn settle_complete(&mut self) {
        let facts = self.stream.facts();
        self.attempt.completed(facts.usage, facts.visible_bytes);
    }

    fn settle_interrupted(&mut self) {
        self.attempt.interrupted(self.stream.facts());
    }

    /// Reads on without a caller and settles by what is read.
    pub(crate) async fn read_to_end(mut self: Box<Self>) {
        while self.end.is_none() {
            std::future::poll_fn(|cx| self.poll_more(cx)).await;
            self.out.clear();
        }
        if self.is_complete() { self.settle_complete() } else { self.settle_interrupted() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Reached unsettled only when reading on was cut short: what was seen counts.
        self.settle_interrupted();
    }
}

/// The body of a streamed answer.
pub(crate) struct Relay {
    live: Option<Box<Live>>,
    timer: Option<Pin<Box<Sleep>>>,
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    began: Instant,
    last_read: Instant,
    /// Since when the finish has waited for usage.
    holding_since: Option<Instant>,
    /// The last piece has left.
    over: bool,
}

/// How long the provider may take to close after its end marker.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

impl Relay {
    pub(crate) fn new(live: Box<Live>) -> Self {
        let now = Instant::now();
        Self {
            live: Some(live),
            timer: None,
            cut: None,
            began: now,
            last_read: now,
            holding_since: None,
            over: false,
        }
    }

    /// The next piece for the caller.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let Some(live) = self.live.as_mut() else { return Poll::Ready(None) };
            if self.over {
                if live.out.is_empty() {
                    self.live = None;
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(joined(&mut live.out)));
            }
            let more = live.poll_more(cx);
            if more.is_ready() {
                self.last_read = Instant::now();
            }
            let Some(live) = self.judge() else { return Poll::Ready(None) };
            if !live.out.is_empty() {
                return Poll::Ready(Some(joined(&mut live.out)));
            }
            if more.is_pending() && !self.over && self.poll_waits(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Whether the last piece has left.
    pub(crate) fn is_over(&self) -> bool {
        self.over && self.live.as_ref().is_none_or(|live| live.out.is_empty())
    }

    /// Settles when the end is there, before its last piece leaves.
    fn judge(&mut self) -> Option<&mut Box<Live>> {
        let live = self.live.as_mut()?;
        self.holding_since = match (live.stream.holding() && live.end.is_none(), self.holding_since) {
            (true, None) => Some(Instant::now()),
            (true, since) => since,
            (false, _) => None,
        };
        if live.is_complete() {
            if !live.attempt.is_ended() {
                let facts = live.stream.facts();
                if let Some(mut keeping) = live.keeping.take().filter(|_| facts.finished) {
                    keeping.complete(facts.usage);
                }
                live.attempt.answered(facts.usage, facts.visible_bytes);
            }
            self.over = live.end.is_some();
        } else if live.steps.as_ref().is_some_and(|steps| steps.is_cut()) && live.end.is_some() {
            self.break_off(RefusalCause::Budget, "the budget cannot afford more of this answer");
        } else if let Some(end) = live.end {
            let message = match end {
                End::Faulty => "the provider reported an error or sent what cannot be read",
                End::Truncated | End::Complete => "the provider's answer broke off",
            };
            self.break_off(RefusalCause::UpstreamFailed, message);
        }
        self.live.as_mut()
    }

    /// Ends the caller's stream with an error in its dialect. What was seen is settled.
    fn break_off(&mut self, cause: RefusalCause, message: &str) {
        self.over = true;
        let Some(live) = self.live.as_mut() else { return };
        if live.attempt.is_ended() {
            return;
        }
        live.settle_interrupted();
        let account = live.attempt.account.clone();
        account.note_outcome(200, CallOutcome::Broken);
        let id = account.arrival.call_id.to_string();
        let failure =
            Failure { cause, status: None, message, code: None, param: None, model: None, call_id: &id };
        live.stream.fail(&failure, &mut live.out);
        live.body = None;
    }

    /// Waits for time to pass: for usage, for a silent provider, for the end of the node.
    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(live) = self.live.as_mut() else { return Poll::Ready(()) };
        let settings = &live.gateway.settings;
        let silence = if live.attempt.is_ended() { LINGER } else { settings.stream_idle_timeout };
        let deadline = match self.holding_since {
            Some(since) => since + settings.usage_wait,
            None => (self.last_read + silence).min(self.began + settings.max_stream),
        };
        let cut = self.cut.get_or_insert_with(|| Box::pin(live.gateway.cut.clone().cancelled_owned()));
        if cut.as_mut().poll(cx).is_ready() {
            self.break_off(RefusalCause::Unavailable, "this node is stopping");
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                self.time_is_up();
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn time_is_up(&mut self) {
        let Some(live) = self.live.as_mut() else { return };
        if self.holding_since.take().is_some() {
            live.stream.release(&mut live.out);
        } else if live.attempt.is_ended() {
            // The caller has everything; the provider's connection is given up.
            self.over = true;
        } else {
            self.break_off(RefusalCause::Timeout, "the provider fell silent");
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(live) = self.live.take().filter(|live| !live.attempt.is_ended()) else { return };
        live.attempt.account.note_outcome(200, CallOutcome::Disconnected);
        if live.attempt.must_be_read() {
            live.gateway.clone().read_on(live.read_to_end());
        }
    }
}

/// One piece of many.
fn joined(out: &mut Vec<Bytes>) -> Bytes {
    if out.len() == 1
        && let Some(only) = out.pop()
    {
        return only;
    }
    let mut piece = BytesMut::with_capacity(out.iter().map(Bytes::len).sum());
    for part in out.drain(..) {
        piece.extend_from_slice(&part);
    }
    piece.freeze()
}
