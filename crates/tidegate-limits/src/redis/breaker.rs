//! All connections, and the breaker over them.
//!
//! The first decision that is not answered in time opens the breaker for everybody; one task
//! probes, reconnects and closes it again. Knows nothing of what is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, Value};
use tidegate_types::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::finder::Finder;
use super::link::{Failure, Link, Offset};
use super::script::Scripts;
use crate::error::LimitError;

/// Between two probes of healthy connections.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// With so many of them the Sentinels are asked whether the primary is still the same.
const FOLLOWED: u32 = 3;
/// First and longest pause between two attempts to come back (full jitter).
const FIRST_PAUSE_MS: u64 = 10;
const LONGEST_PAUSE_MS: u64 = 1_000;

/// Connections for decisions, one for settlements (the last), and whether they may be used.
pub(super) struct Breaker {
    finder: Finder,
    scripts: Arc<Scripts>,
    clock: Arc<dyn Clock>,
    decision: Duration,
    links: Vec<ArcSwapOption<Link>>,
    closed: AtomicBool,
    tripped: Notify,
    recovered: Notify,
    trips: AtomicU64,
    offset: AtomicI64,
    offset_known: AtomicBool,
    jitter: Mutex<u64>,
    complained: AtomicI64,
}

impl Breaker {
    pub(super) fn new(
        finder: Finder,
        scripts: Arc<Scripts>,
        clock: Arc<dyn Clock>,
        decision: Duration,
        connections: u8,
        seed: u64,
    ) -> Self {
        Self {
            finder,
            scripts,
            clock,
            decision,
            links: (0..usize::from(connections.clamp(1, 8)) + 1).map(|_| ArcSwapOption::empty()).collect(),
            closed: AtomicBool::new(false),
            tripped: Notify::new(),
            recovered: Notify::new(),
            trips: AtomicU64::new(0),
            offset: AtomicI64::new(0),
            offset_known: AtomicBool::new(false),
            jitter: Mutex::new(seed | 1),
            complained: AtomicI64::new(0),
        }
    }

    /// Whether the store may be asked.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Longest silence of the store that a caller waits for.
    pub(super) const fn decision(&self) -> Duration {
        self.decision
    }

    pub(super) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// The store's time.
    pub(super) fn now(&self) -> Timestamp {
        let micros = self.clock.now().as_micros();
        Timestamp::from_micros(micros.saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    /// The run of the server last spoken to.
    pub(super) fn run_id(&self) -> Option<String> {
        self.links.first()?.load().as_ref().map(|link| link.run_id().to_owned())
    }

    /// The connection for an organization's decisions, unless the breaker is open.
    pub(super) fn front(&self, spread: u64) -> Option<Arc<Link>> {
        let fronts = u64::try_from(self.links.len() - 1).unwrap_or(1);
        self.usable(usize::try_from(spread % fronts).unwrap_or(0))
    }

    /// The connection for work off the caller's path, unless the breaker is open.
    pub(super) fn back(&self) -> Option<Arc<Link>> {
        self.usable(self.links.len() - 1)
    }

    fn usable(&self, index: usize) -> Option<Arc<Link>> {
        if !self.is_closed() {
            return None;
        }
        self.links.get(index)?.load_full()
    }

    /// Asks one decision. Silence opens the breaker; an error of the server's does not, it is
    /// an answer (out of memory: some calls may still be served).
    pub(super) async fn ask(&self, link: &Link, command: &Cmd) -> Result<Value, Failure> {
        let mut answer = link.ask(command, self.decision).await;
        if answer == Err(Failure::Forgot) {
            // Somebody ran SCRIPT FLUSH: nothing was done yet.
            link.teach(&self.scripts, self.decision).await.inspect_err(|_| self.trip())?;
            answer = link.ask(command, self.decision).await;
        }
        match answer {
            Err(Failure::Silent) => self.trip(),
            Err(Failure::ReadOnly) => self.demoted(link),
            Err(Failure::Forgot | Failure::Server) => self.complain(),
            Ok(_) => {}
        }
        answer
    }

    /// The server became a replica: find the one that counts.
    pub(super) fn demoted(&self, link: &Link) {
        link.spoil();
        self.trip();
    }

    /// Logs that the server refuses commands, at most once a second.
    fn complain(&self) {
        let second = self.clock.now().as_seconds();
        if self.complained.swap(second, Ordering::Relaxed) != second {
            tracing::error!("redis answers, but refuses commands (memory, permissions, loading?)");
        }
    }

    /// Asks many things off the caller's path; silence opens the breaker.
    pub(super) async fn ask_many(
        &self,
        link: &Link,
        pipeline: &Pipeline,
        stop: Duration,
    ) -> Result<Vec<Value>, Failure> {
        link.ask_many(pipeline, stop).await.inspect_err(|_| self.trip())
    }

    /// Opens the breaker.
    pub(super) fn trip(&self) {
        if self.closed.swap(false, Ordering::AcqRel) {
            self.trips.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("redis does not answer: hard budgets are refused, rates are shared out");
            self.tripped.notify_one();
        }
    }

    /// Resolves when the breaker has closed again (or is closed).
    pub(super) async fn wait_until_closed(&self) {
        loop {
            let recovered = self.recovered.notified();
            tokio::pin!(recovered);
            recovered.as_mut().enable();
            if self.is_closed() {
                return;
            }
            recovered.await;
        }
    }

    /// First connection. An unfit server is an error, an absent one is not.
    pub(super) async fn begin(&self) -> Result<(), LimitError> {
        match self.revive().await {
            Err(error @ LimitError::Unfit(_)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps the connections alive until `stop`; calls `back` after each recovery.
    pub(super) async fn keep(&self, stop: CancellationToken, back: impl Fn()) {
        let (mut attempt, mut beats) = (0u32, 0u32);
        loop {
            let pause = if self.is_closed() { HEARTBEAT } else { self.pause(attempt) };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.tripped.notified() => attempt = 0,
                () = tokio::time::sleep(pause) => {}
            }
            let was_closed = self.is_closed();
            if was_closed {
                self.check().await;
                beats = beats.wrapping_add(1);
                if self.finder.has_sentinels() && beats.is_multiple_of(FOLLOWED) {
                    self.follow().await;
                }
                continue;
            }
            match self.revive().await {
                Ok(()) => {
                    tracing::info!("redis answers again");
                    back();
                    attempt = 0;
                }
                Err(error) => {
                    if matches!(error, LimitError::Unfit(_)) {
                        tracing::error!(%error, "redis must not be used");
                    }
                    attempt = attempt.saturating_add(1);
                }
            }
        }
    }

    /// Probes healthy connections: finds a dead one before a call does, follows the clock.
    async fn check(&self) {
        for slot in &self.links {
            let Some(link) = slot.load_full() else { return self.trip() };
            match link.probe(&*self.clock, self.decision.max(HEARTBEAT / 4)).await {
                Ok(offset) => self.note(offset),
                Err(_) => return self.trip(),
            }
        }
    }

    /// Leaves a server that the Sentinels do not call the primary any more: it may not have heard of it.
    async fn follow(&self) {
        if self.finder.has_moved().await {
            tracing::warn!("the sentinels name another primary");
            for link in self.links.iter().filter_map(ArcSwapOption::load_full) {
                link.spoil();
            }
            self.trip();
        }
    }

    /// Makes every connection usable, then closes the breaker.
    async fn revive(&self) -> Result<(), LimitError> {
        let mut found = None;
        for slot in &self.links {
            if let Some(link) = slot.load_full()
                && let Ok(offset) = link.probe(&*self.clock, self.decision).await
            {
                self.note(offset);
                continue;
            }
            let client = match found.take() {
                Some(client) => client,
                None => self.finder.find().await?,
            };
            let link = Link::connect(&client, &self.scripts).await?;
            found = Some(client);
            let offset = link.probe(&*self.clock, HEARTBEAT).await.map_err(|_| LimitError::Away)?;
            self.note(offset);
            slot.store(Some(Arc::new(link)));
        }
        self.agree()?;
        self.closed.store(true, Ordering::Release);
        self.recovered.notify_waiters();
        Ok(())
    }

    /// All connections lead to one server. Where one of them found another primary than the rest, everybody looks anew.
    fn agree(&self) -> Result<(), LimitError> {
        let links: Vec<_> = self.links.iter().filter_map(ArcSwapOption::load_full).collect();
        let mut runs = links.iter().map(|link| link.run_id());
        let first = runs.next();
        if runs.all(|run| Some(run) == first) {
            return Ok(());
        }
        links.iter().for_each(|link| link.spoil());
        Err(LimitError::Away)
    }

    /// A measured offset replaces the old one when it is surely different.
    fn note(&self, offset: Offset) {
        let old = self.offset.load(Ordering::Relaxed);
        let known = self.offset_known.swap(true, Ordering::Relaxed);
        if !known || old.abs_diff(offset.micros) > offset.error {
            self.offset.store(offset.micros, Ordering::Relaxed);
        }
    }

    /// Full jitter: between 0 and a ceiling that doubles.
    fn pause(&self, attempt: u32) -> Duration {
        let ceiling = (FIRST_PAUSE_MS << attempt.min(7)).min(LONGEST_PAUSE_MS);
        let mut state = self.jitter.lock();
        // xorshift64: spreads nodes out, nothing more.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        Duration::from_millis(*state % (ceiling + 1))
    }
}
