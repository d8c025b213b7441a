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

use super::cluster::Watch;
use super::finder::Finder;
use super::link::{Failure, Link, Offset, elsewhere};
use super::script::Scripts;
use super::shard::Totals;
use crate::error::LimitError;

/// Between two probes of healthy connections.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// With so many of them the Sentinels are asked whether the primary is still the same.
const FOLLOWED: u32 = 3;
/// First and longest pause between two attempts to come back (full jitter).
const FIRST_PAUSE_MS: u64 = 10;
const LONGEST_PAUSE_MS: u64 = 1_000;

/// What every server's breaker is made with.
#[derive(Clone)]
pub(super) struct Kit {
    pub(super) scripts: Arc<Scripts>,
    pub(super) clock: Arc<dyn Clock>,
    /// Hard stop of a decision.
    pub(super) decision: Duration,
    /// Connections for decisions.
    pub(super) connections: u8,
    pub(super) seed: u64,
    /// Grows whenever an organization may have another server, or the server another process.
    pub(super) version: Arc<AtomicU64>,
    pub(super) totals: Arc<Totals>,
}

/// Connections for decisions, one for settlements (the last), and whether they may be used.
pub(super) struct Breaker {
    finder: Finder,
    kit: Kit,
    /// Where what is seen of the cluster is told; `None`: there is none.
    watch: Option<Arc<Watch>>,
    links: Vec<ArcSwapOption<Link>>,
    /// The run of the server last spoken to.
    run: Mutex<String>,
    /// Store's time at which the server was last found again, microseconds.
    recovered_at: AtomicI64,
    closed: AtomicBool,
    tripped: Notify,
    recovered: Notify,
    offset: AtomicI64,
    offset_known: AtomicBool,
    jitter: Mutex<u64>,
    complained: AtomicI64,
}

impl Breaker {
    /// `offset`: the store's time minus the local one, until it is measured, microseconds.
    pub(super) fn new(finder: Finder, kit: &Kit, watch: Option<Arc<Watch>>, offset: i64) -> Self {
        Self {
            finder,
            kit: kit.clone(),
            watch,
            links: (0..usize::from(kit.connections.clamp(1, 8)) + 1)
                .map(|_| ArcSwapOption::empty())
                .collect(),
            run: Mutex::default(),
            recovered_at: AtomicI64::new(0),
            closed: AtomicBool::new(false),
            tripped: Notify::new(),
            recovered: Notify::new(),
            offset: AtomicI64::new(offset),
            offset_known: AtomicBool::new(false),
            jitter: Mutex::new(kit.seed | 1),
            complained: AtomicI64::new(0),
        }
    }

    /// Where the server is, when it is one of several.
    fn at(&self) -> Option<String> {
        self.watch.as_ref().map(|_| self.finder.address())
    }

    /// Whether the store may be asked.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Longest silence of the store that a caller waits for.
    pub(super) const fn decision(&self) -> Duration {
        self.kit.decision
    }

    pub(super) const fn totals(&self) -> &Arc<Totals> {
        &self.kit.totals
    }

    /// The store's time minus the local one, microseconds.
    pub(super) fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// The store's time when it was last found again, microseconds; 0: it was never away.
    pub(super) fn recovered_at(&self) -> i64 {
        self.recovered_at.load(Ordering::Relaxed)
    }

    /// The store's time.
    pub(super) fn now(&self) -> Timestamp {
        let micros = self.kit.clock.now().as_micros();
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
        let mut answer = link.ask(command, self.kit.decision).await;
        if answer == Err(Failure::Forgot) {
            // Somebody ran SCRIPT FLUSH: nothing was done yet.
            link.teach(&self.kit.scripts, self.kit.decision).await.inspect_err(|_| self.trip())?;
            answer = link.ask(command, self.kit.decision).await;
        }
        if matches!(answer, Err(Failure::Moved | Failure::Moving)) {
            self.kit.totals.moved.fetch_add(1, Ordering::Relaxed);
        }
        match answer {
            Err(Failure::Silent) => self.trip(),
            Err(Failure::ReadOnly) => self.demoted(link),
            Err(Failure::Moved) => self.hint(),
            Err(Failure::Down) => self.trip(),
            Err(Failure::Forgot | Failure::Server) => self.complain(),
            Err(Failure::Moving) | Ok(_) => {}
        }
        answer
    }

    /// The server became a replica: find the one that counts.
    pub(super) fn demoted(&self, link: &Link) {
        link.spoil();
        self.trip();
    }

    /// Something was elsewhere, or is nowhere: whoever knows the cluster should look.
    pub(super) fn hint(&self) {
        if let Some(watch) = &self.watch {
            watch.hint();
        }
    }

    /// Looks through answers for what is elsewhere.
    pub(super) fn heard(&self, replies: &[Value]) {
        let moved = |reply: &Value| match reply {
            Value::ServerError(error) => elsewhere(error) == Some(Failure::Moved),
            _ => false,
        };
        if self.watch.is_some() && replies.iter().any(moved) {
            self.hint();
        }
    }

    /// Logs that the server refuses commands, at most once a second.
    fn complain(&self) {
        let second = self.kit.clock.now().as_seconds();
        if self.complained.swap(second, Ordering::Relaxed) != second {
            tracing::error!("redis answers, but refuses commands (memory, permissions, loading?)");
        }
    }

    /// Asks one thing off the caller's path; the breaker is not for it.
    pub(super) async fn ask_back(
        &self,
        link: &Link,
        command: &Cmd,
        stop: Duration,
    ) -> Result<Value, Failure> {
        link.ask(command, stop).await.inspect_err(|failure| {
            if *failure == Failure::Moved {
                self.hint();
            }
        })
    }

    /// Asks many things off the caller's path; silence opens the breaker, which is no less patient here than callers are.
    pub(super) async fn ask_many(
        &self,
        link: &Link,
        pipeline: &Pipeline,
        stop: Duration,
    ) -> Result<Vec<Value>, Failure> {
        let stop = stop.max(self.decision());
        let replies = link.ask_many(pipeline, stop).await.inspect_err(|_| self.trip())?;
        self.heard(&replies);
        Ok(replies)
    }

    /// Opens the breaker.
    pub(super) fn trip(&self) {
        if self.closed.swap(false, Ordering::AcqRel) {
            self.kit.totals.trips.fetch_add(1, Ordering::Relaxed);
            let at = self.at();
            tracing::warn!(at, "redis does not answer: hard budgets are refused, rates are shared out");
            self.tripped.notify_one();
            self.hint();
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
        match self.revive(false).await {
            Err(error @ LimitError::Unfit(_)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps the connections alive until `stop`.
    pub(super) async fn keep(&self, stop: CancellationToken) {
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
            match self.revive(true).await {
                Ok(()) => {
                    tracing::info!(at = self.at(), "redis answers again");
                    attempt = 0;
                }
                Err(error) => {
                    if matches!(error, LimitError::Unfit(_)) {
                        tracing::error!(at = self.at(), %error, "redis must not be used");
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
            match link.probe(&*self.kit.clock, self.probing()).await {
                Ok(offset) => self.note(offset),
                Err(_) => return self.trip(),
            }
        }
        if self.stands().await.is_err() {
            self.trip();
        }
    }

    /// Longest silence of a probe.
    fn probing(&self) -> Duration {
        self.kit.decision.max(HEARTBEAT / 4)
    }

    /// Whether the server takes part in a cluster that counts; where there is none, yes.
    async fn stands(&self) -> Result<(), Failure> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let link = self.links.last().and_then(ArcSwapOption::load_full).ok_or(Failure::Silent)?;
        watch.ask(&link, self.probing()).await
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

    /// Makes every connection usable, then closes the breaker. `again`: what was served meanwhile is to be counted.
    async fn revive(&self, again: bool) -> Result<(), LimitError> {
        let mut found = None;
        for slot in &self.links {
            if let Some(link) = slot.load_full()
                && let Ok(offset) = link.probe(&*self.kit.clock, self.kit.decision).await
            {
                self.note(offset);
                continue;
            }
            let client = match found.take() {
                Some(client) => client,
                None => self.finder.find().await?,
            };
            let link = Link::connect(&client, &self.kit.scripts, self.watch.is_some()).await?;
            found = Some(client);
            let offset = link.probe(&*self.kit.clock, HEARTBEAT).await.map_err(|_| LimitError::Away)?;
            self.note(offset);
            slot.store(Some(Arc::new(link)));
        }
        self.agree()?;
        self.stands().await.map_err(|_| LimitError::Away)?;
        if again {
            self.recovered_at.store(self.now().as_micros(), Ordering::Relaxed);
        }
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
            let (mut last, first) = (self.run.lock(), first.unwrap_or_default());
            if *last != first {
                first.clone_into(&mut last);
                self.kit.version.fetch_add(1, Ordering::AcqRel);
            }
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
