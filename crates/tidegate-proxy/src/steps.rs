//! A stream's hold that grows with its output: the next step is asked for ahead of need, off the pieces' way.
//!
//! What is held covers the input and so many tokens of output; what came is counted in bytes (a token is at
//! least one). One task for each such stream asks for steps. Where none is to be had the provider is cut off
//! before more has come than is held; so it is where its caller does not read, and it writes on unseen.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body as _, Frame};
use parking_lot::Mutex;
use tidegate_limits::{Hold, LimitError, Refusal};
use tidegate_pricing::Tariff;
use tidegate_types::NanoUsd;
use tidegate_types::usage::{BillingEvent, HeldBudget};
use tidegate_upstream::{ResponseBody, SendError};
use tokio::sync::Notify;

use crate::edges::Record;
use crate::gateway::Gateway;
use crate::grant::Grant;
use crate::meter::ABORT_LAG;
use crate::waiting::Starving;

/// Tokens of output that one step adds at least.
pub(crate) const STEP: u64 = 512;
/// A step that brings less is not worth its while.
const LEAST_STEP: u64 = 128;
/// A budget that has room for so many whole holds needs no steps.
const AMPLE: i64 = 512;
/// Between two looks at a stream that has asked for nothing.
const TICK: Duration = Duration::from_millis(50);
/// A provider from which nothing was read for so long may have written more than is held.
const STALLED: Duration = Duration::from_millis(250);
/// After so long without a hold for all of it, it is cut off.
const TOO_LONG: Duration = Duration::from_secs(1);

/// Whether holding this amount may leave too little for others.
pub(crate) fn is_ample(room: Option<NanoUsd>, amount: NanoUsd) -> bool {
    room.is_some_and(|room| room.get() / AMPLE >= amount.get())
}

/// One stream's hold.
pub(crate) struct Steps {
    grant: Grant,
    tariff: Tariff,
    /// Tokens of output that the hold covers, and bytes that came.
    covered: AtomicU64,
    metered: AtomicU64,
    /// Most bytes that came at once.
    largest: AtomicU64,
    /// When everything was read last: milliseconds since the beginning.
    read_at: AtomicU64,
    began: Instant,
    /// A step was asked for and is not there yet.
    asked: AtomicBool,
    cut: AtomicBool,
    wanted: Notify,
    stream: AtomicWaker,
    /// The provider's answer: whoever cuts it off takes it away.
    body: Mutex<Option<ResponseBody>>,
    books: Mutex<Books>,
}

/// What is held and written.
struct Books {
    event: BillingEvent,
    hold: Hold,
    held: NanoUsd,
    /// The step that was asked for last, had or not.
    step: u16,
    closed: bool,
}

impl Steps {
    /// The steps of an attempt whose intent is written; `None`: all that it may use is held.
    pub(crate) fn of(
        event: &BillingEvent,
        hold: Option<&Hold>,
        grant: Grant,
        tariff: &Tariff,
    ) -> Option<Arc<Self>> {
        let (hold, covered) = (hold?, grant.step?);
        Some(Arc::new(Self {
            tariff: tariff.clone(),
            covered: AtomicU64::new(covered),
            metered: AtomicU64::new(0),
            largest: AtomicU64::new(ABORT_LAG),
            read_at: AtomicU64::new(0),
            began: Instant::now(),
            asked: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            wanted: Notify::new(),
            stream: AtomicWaker::new(),
            body: Mutex::default(),
            books: Mutex::new(Books {
                event: event.clone(),
                hold: hold.clone(),
                held: grant.amount,
                step: 0,
                closed: false,
            }),
            grant,
        }))
    }

    /// The attempt has ended: what was held for it in all.
    pub(crate) fn close(&self) -> (Vec<HeldBudget>, NanoUsd) {
        let mut books = self.books.lock();
        books.closed = true;
        self.wanted.notify_one();
        (books.event.holds.clone(), books.held)
    }

    /// Whether the provider was cut off because no budget has more for it.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    fn is_whole(&self) -> bool {
        self.covered.load(Ordering::Acquire) >= self.grant.all_output()
    }

    /// How much more may come.
    fn left(&self) -> u64 {
        let used = self.metered.load(Ordering::Relaxed).saturating_add(ABORT_LAG);
        self.covered.load(Ordering::Acquire).saturating_sub(used)
    }

    /// Whether nothing more may be read before the next step: what comes next may be as much as ever
    /// came at once.
    fn is_at_edge(&self) -> bool {
        self.left() < self.largest.load(Ordering::Relaxed) && !self.is_whole()
    }

    /// So many bytes of output have come in all.
    pub(crate) fn note(&self, visible_bytes: u64) {
        let before = self.metered.swap(visible_bytes, Ordering::Relaxed);
        self.largest.fetch_max(visible_bytes.saturating_sub(before), Ordering::Relaxed);
        let (left, covered) = (self.left(), self.covered.load(Ordering::Relaxed));
        if left <= covered / 2 && !self.is_whole() {
            let asks = !self.asked.swap(true, Ordering::Relaxed);
            if asks || self.is_at_edge() {
                self.wanted.notify_one();
            }
        }
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        if self.is_at_edge() {
            self.stream.register(cx.waker());
            if self.is_at_edge() && !self.is_cut() {
                return Poll::Pending;
            }
        }
        let mut body = self.body.lock();
        let Some(open) = body.as_mut() else { return Poll::Ready(Some(Err(SendError::Broken))) };
        let polled = Pin::new(open).poll_frame(cx);
        if polled.is_pending() {
            let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.read_at.store(now, Ordering::Relaxed);
            // Whoever cuts it off wakes the stream.
            self.stream.register(cx.waker());
        }
        polled
    }

    /// Nothing more is read of the provider's answer.
    fn cut_off(&self) {
        self.cut.store(true, Ordering::Release);
        drop(self.body.lock().take());
        self.stream.wake();
    }

    fn is_over(&self) -> bool {
        self.is_whole() || self.is_cut() || self.books.lock().closed
    }

    /// For how long the provider may have written unseen.
    fn unread(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.read_at.load(Ordering::Relaxed)))
    }

    /// Asks for steps as long as the stream may need any.
    pub(crate) async fn keep(self: Arc<Self>, gateway: Arc<Gateway>) {
        let organization = self.books.lock().event.organization_id;
        let mut starving = None;
        while !self.is_over() {
            let _either = tokio::time::timeout(TICK, self.wanted.notified()).await;
            if self.look(&gateway).await {
                starving = None;
            } else {
                starving.get_or_insert_with(|| Starving::of(&gateway, organization));
            }
        }
    }

    /// Whether it has what it needs at the moment.
    async fn look(&self, gateway: &Gateway) -> bool {
        // At the edge nothing is read on purpose; how much is written meanwhile is the abort's lag.
        let stalled = self.unread() > STALLED && !self.is_at_edge();
        if self.is_over() || !(stalled || self.asked.load(Ordering::Relaxed)) {
            return true;
        }
        let grown = self.grow(gateway, stalled).await;
        if grown {
            self.asked.store(false, Ordering::Relaxed);
            self.note(self.metered.load(Ordering::Relaxed));
            self.stream.wake();
        } else if self.is_at_edge() || self.unread() > TOO_LONG {
            self.cut_off();
        }
        grown
    }

    /// Takes the next step, as much of it as there is; whether there was any.
    async fn grow(&self, gateway: &Gateway, stalled: bool) -> bool {
        let (all, covered) = (self.grant.all_output(), self.covered.load(Ordering::Relaxed));
        let largest = self.largest.load(Ordering::Relaxed);
        let ahead = self.metered.load(Ordering::Relaxed).saturating_add(ABORT_LAG + STEP + largest);
        let next = covered.saturating_add(STEP.max(covered / 2)).max(ahead).min(all);
        let mut to = if stalled || self.has_room(gateway) { all } else { next };
        for _ in 0..2 {
            let left = match self.extend(gateway, to).await {
                Ok(()) => return true,
                Err(left) => left,
            };
            let held = self.books.lock().held;
            let fits = left.map_or(0, |left| self.grant.affordable_output(held + left, &self.tariff));
            let least = if stalled { all } else { covered + LEAST_STEP };
            if fits < least.min(all) || fits >= to {
                return false;
            }
            to = fits;
        }
        false
    }

    fn has_room(&self, gateway: &Gateway) -> bool {
        let books = self.books.lock();
        let rest = self.grant.bound_of(self.grant.all_output(), &self.tariff) - books.held;
        is_ample(gateway.limiter.room(books.event.organization_id, &books.hold.budgets), rest)
    }

    /// Holds more, writes down what is held, and then counts on it. An error says what was left.
    async fn extend(&self, gateway: &Gateway, to: u64) -> Result<(), Option<NanoUsd>> {
        let amount = self.grant.bound_of(to, &self.tariff);
        let (organization, epoch, hold, more) = {
            let mut books = self.books.lock();
            let step = books.step.checked_add(1).filter(|_| !books.closed).ok_or(None)?;
            // Also of one whose answer is lost: a number is never used for two amounts.
            books.step = step;
            let mut hold = books.hold.clone();
            let more = (amount - books.held).max(NanoUsd::ZERO);
            (hold.step, hold.epoch) = (step, books.event.epoch);
            hold.budgets
                .iter_mut()
                .for_each(|part| part.amount = if part.hard { more } else { NanoUsd::ZERO });
            (books.event.organization_id, books.event.epoch, hold, more)
        };
        gateway.limiter.hold(organization, &hold).await.map_err(|error| left(&error))?;
        let mut books = self.books.lock();
        let mut event = books.event.clone();
        (event.step, event.at) = (hold.step, gateway.now());
        for (held, part) in event.holds.iter_mut().zip(&hold.budgets) {
            held.amount += part.amount;
        }
        if books.closed || gateway.records.append(Record::Event(&event)).is_err() {
            return Err(None);
        }
        // Looked at after it is written, as with the intent: what the node has applied of a later epoch
        // before may not know of this step.
        let present = gateway.config.organization(organization).map(|held| held.epoch());
        (books.event, books.held) = (event, books.held + more);
        if present.is_none_or(|present| present > epoch) {
            return Err(None);
        }
        self.covered.store(to, Ordering::Release);
        Ok(())
    }
}

/// What is left in the budget that refused.
fn left(error: &LimitError) -> Option<NanoUsd> {
    let LimitError::Refused(refused) = error else { return None };
    match refused.refusal {
        Refusal::Budget { limit, spent, held, unresolved, .. } => Some(limit - spent - held - unresolved),
        _ => None,
    }
}

/// Where a stream's bytes come from.
pub(crate) enum Source {
    /// All that may come is held.
    Whole(ResponseBody),
    /// What may come is held step by step.
    Stepped(Arc<Steps>),
}

impl Source {
    pub(crate) fn new(body: ResponseBody, steps: Option<&Arc<Steps>>, gateway: &Arc<Gateway>) -> Self {
        let Some(steps) = steps else { return Self::Whole(body) };
        *steps.body.lock() = Some(body);
        let keeper = steps.clone().keep(gateway.clone());
        drop(gateway.tasks.spawn(keeper));
        Self::Stepped(steps.clone())
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        match self {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Stepped(steps) => steps.poll_frame(cx),
        }
    }

    /// So many bytes of output have come in all.
    pub(crate) fn note(&self, visible_bytes: u64) {
        if let Self::Stepped(steps) = self {
            steps.note(visible_bytes);
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Self::Stepped(steps) = self {
            drop(steps.body.lock().take());
        }
    }
}
