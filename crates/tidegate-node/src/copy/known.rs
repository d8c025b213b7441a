//! Which copy is the newest, as nodes tell one another over Redis: a node that starts by a copy takes no older one, which
//! somebody may have put back.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_limits::{Board, Heard, LimitError, Limiter};
use tidegate_secrets::copy::AHEAD_MILLIS;
use tidegate_types::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between two trips.
const EVERY: Duration = Duration::from_secs(2);

/// What is told. Fields are only ever added, optional.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    pool: String,
    issued_at_micros: i64,
}

/// What has been heard of one pool's copies.
#[derive(Debug)]
pub(super) struct Known {
    pool: String,
    heard: Heard,
    run: Option<String>,
    newest: i64,
}

impl Known {
    pub(super) fn new(pool: &str) -> Self {
        Self { pool: pool.to_owned(), heard: Heard::default(), run: None, newest: 0 }
    }

    /// When the newest copy was made that anybody has told of. What is said of a time to come is no copy that a node
    /// would take: somebody's clock is wrong.
    pub(super) async fn hear(&mut self, limiter: &Limiter, now: Timestamp) -> Result<Timestamp, LimitError> {
        let last = now.plus_millis(AHEAD_MILLIS).as_micros();
        while self.trip(limiter, &[], last).await? > 0 {}
        Ok(Timestamp::from_micros(self.newest))
    }

    /// Tells of a copy, unless a newer one is known.
    async fn tell(
        &mut self,
        limiter: &Limiter,
        issued_at_micros: i64,
        now: Timestamp,
    ) -> Result<(), LimitError> {
        if self.hear(limiter, now).await?.as_micros() >= issued_at_micros {
            return Ok(());
        }
        let word = Word { pool: self.pool.clone(), issued_at_micros };
        let text = serde_json::to_vec(&word).unwrap_or_default();
        self.trip(limiter, &[&text], i64::MAX).await.map(|_| ())
    }

    async fn trip(&mut self, limiter: &Limiter, notes: &[&[u8]], last: i64) -> Result<usize, LimitError> {
        let notes = limiter.tell(Board::Copies, notes, &mut self.heard).await?;
        if self.heard.run() != self.run.as_deref() {
            // It may have lost what was told before.
            self.run = self.heard.run().map(str::to_owned);
            self.newest = 0;
        }
        let words = notes.iter().filter_map(|note| serde_json::from_slice::<Word>(note).ok());
        for word in words.filter(|word| word.pool == self.pool && word.issued_at_micros <= last) {
            self.newest = self.newest.max(word.issued_at_micros);
        }
        Ok(notes.len())
    }
}

/// Tells the others of the newest copy of which the control plane tells, until `stop`.
pub(crate) async fn tell_others(
    limiter: Limiter,
    pool: String,
    told: watch::Receiver<i64>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut known = Known::new(&pool);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let own = *told.borrow();
        // An installation without copies has no trips.
        if own > 0
            && let Some(Err(error)) = stop.run_until_cancelled(known.tell(&limiter, own, clock.now())).await
        {
            tracing::debug!(%error, "the newest copy was not told to the other nodes");
        }
    }
}
