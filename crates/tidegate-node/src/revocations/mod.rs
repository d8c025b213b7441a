//! Access that was taken from keys (revoked, or rotated without a time of grace), told over Redis by the nodes that hear
//! the feed to those that do not, and that would go on serving them by what they have.
//!
//! Nobody signs it, for it only ever tightens: who may write there could also say that every limit is used up.

mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_limits::{Board, Heard, LimitError, Limiter};
use tidegate_policy::{Config, Revocation};
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;
use tidegate_types::{KeyId, OrganizationId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::copy;
use crate::node::blocking;
use crate::pulse::Pulse;
use crate::state::State;
use words::Words;

/// Between two trips.
const EVERY: Duration = Duration::from_secs(1);
/// Told in one trip, at most.
const AT_ONCE: usize = 500;
/// Longest time that readiness waits for the first hearing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest time that the end waits for the last telling, and between two tries: nobody else may know of it. With what is
/// shipped before, a pod has 40 s (`helm/rendered.py`).
const AT_END: Duration = Duration::from_millis(3_500);
const AGAIN: Duration = Duration::from_millis(100);
/// So long may it fail before that is said.
const SAID_AFTER: Duration = Duration::from_secs(5);

/// What is told: a key, and the change of its organization's shard that took the access. Fields are only ever added, optional.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Word {
    organization: OrganizationId,
    key: KeyId,
    n: u64,
}

/// What one node has told and heard.
pub(crate) struct Revocations {
    config: Arc<Config>,
    limiter: Limiter,
    heard: Heard,
    /// The run of the store to which everything was told.
    run: Option<String>,
    words: Words,
    state: Arc<State>,
    /// The node is not ready before it has heard, for it began by a copy: nobody else has told it what was revoked since.
    must_hear: bool,
    /// To be told.
    owed: HashMap<(OrganizationId, KeyId), u64, ahash::RandomState>,
}

impl Revocations {
    /// Refuses what the disk says was revoked.
    pub(crate) fn start(config: Arc<Config>, limiter: Limiter, state: Arc<State>, must_hear: bool) -> Self {
        let words = Words::read(Arc::clone(&state));
        for word in words.all() {
            config.revoke(word.organization, word.key, word.n);
        }
        let (heard, owed) = (Heard::default(), HashMap::default());
        Self { config, limiter, heard, run: None, words, state, must_hear, owed }
    }

    /// Tells and hears until `stop`, and once more then. The node is ready when it has heard all that there is, or could
    /// not within a second and need not. `unheard`: seconds since the last trip that succeeded.
    pub(crate) async fn share(
        mut self,
        mut told: UnboundedReceiver<Revocation>,
        pulse: Arc<Pulse>,
        unheard: Gauge,
        stop: CancellationToken,
    ) {
        let mut outage = Outage { well: Instant::now(), is_said: false, unheard };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.take(&mut told);
            // What is left is tried with the next trip.
            let exchanged = if pulse.listened.load(Ordering::Acquire) {
                self.exchange().await
            } else {
                timeout(PATIENCE, self.exchange()).await.unwrap_or(Err(LimitError::Away))
            };
            outage.note(exchanged.is_ok());
            // What the control plane has brought is newer than any copy.
            let suffices = exchanged.is_ok() || !self.must_hear || pulse.handle.is_in_step();
            if suffices {
                pulse.listened.store(true, Ordering::Release);
            }
            self.words.keep().await;
            if suffices && self.must_hear && self.words.is_kept() {
                self.note_heard().await;
            }
        }
        self.take(&mut told);
        let last = async {
            while self.exchange().await.is_err() && !self.owed.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        };
        let _over = timeout(AT_END, last).await;
        if !self.owed.is_empty() {
            tracing::warn!(left = self.owed.len(), "not every revoked key was told to the other nodes");
        }
        self.words.keep().await;
    }

    /// From now on the disk knows it, and a start by it need not wait.
    async fn note_heard(&mut self) {
        let state = Arc::clone(&self.state);
        match blocking(move || copy::heard(&state)).await {
            Ok(()) => self.must_hear = false,
            Err(error) => tracing::debug!(%error, "that other nodes were heard is not noted yet"),
        }
    }

    fn take(&mut self, told: &mut UnboundedReceiver<Revocation>) {
        while let Ok(Revocation { organization, key, n }) = told.try_recv() {
            if self.words.note(Word { organization, key, n }) {
                self.owed.insert((organization, key), n);
            }
        }
    }

    async fn exchange(&mut self) -> Result<(), LimitError> {
        loop {
            // What somebody has told meanwhile need not be told once more.
            while self.trip(0).await? > 0 {}
            if self.owed.is_empty() {
                return Ok(());
            }
            self.trip(AT_ONCE).await?;
        }
    }

    /// Tells so many, and hears. How many notes were heard.
    async fn trip(&mut self, most: usize) -> Result<usize, LimitError> {
        let owed = self.owed.iter().take(most);
        let telling: Vec<Word> =
            owed.map(|(&(organization, key), &n)| Word { organization, key, n }).collect();
        let texts: Vec<Vec<u8>> = telling.iter().filter_map(|word| serde_json::to_vec(word).ok()).collect();
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let notes = self.limiter.tell(Board::Revocations, &texts, &mut self.heard).await?;
        if self.heard.run() != self.run.as_deref() {
            // It may have lost what was told before.
            self.run = self.heard.run().map(str::to_owned);
            self.owed.extend(self.words.all().map(|word| ((word.organization, word.key), word.n)));
        }
        telling.iter().for_each(|word| self.is_told(word));
        for word in notes.iter().filter_map(|note| serde_json::from_slice::<Word>(note).ok()) {
            self.is_told(&word);
            self.words.note(word);
            if self.config.revoke(word.organization, word.key, word.n) {
                tracing::info!("a key is revoked by another node's word, before the control plane's");
            }
        }
        Ok(notes.len())
    }

    fn is_told(&mut self, word: &Word) {
        let place = (word.organization, word.key);
        if self.owed.get(&place).is_some_and(|n| *n <= word.n) {
            self.owed.remove(&place);
        }
    }
}

/// For how long nothing was told or heard.
struct Outage {
    well: Instant,
    is_said: bool,
    unheard: Gauge,
}

impl Outage {
    fn note(&mut self, is_well: bool) {
        if is_well {
            if std::mem::take(&mut self.is_said) {
                tracing::info!("revoked keys are told and heard over Redis again");
            }
            self.well = Instant::now();
        }
        let lasts = self.well.elapsed();
        if lasts >= SAID_AFTER && !std::mem::replace(&mut self.is_said, true) {
            tracing::warn!(
                "revoked keys can neither be told to the other nodes of the pool nor heard of them: Redis is away, or \
                 refuses XADD or XRANGE"
            );
        }
        self.unheard.set(i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX));
    }
}
