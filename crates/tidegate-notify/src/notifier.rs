//! The loop: claim what is due, bring it, record what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_store::webhooks::{self, Due, Tried};
use tidegate_store::{Store, StoreError};
use tidegate_telemetry::entropy;
use tidegate_types::{Clock, OrganizationId};
use tidegate_upstream::Upstreams;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::send::{Answer, post};
use crate::{keys, schedule};

/// Times and numbers of the deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often is looked for deliveries that are due.
    pub every: Duration,
    /// Longest time for one attempt.
    pub time_out: Duration,
    /// How long a claim holds; longer than an attempt.
    pub claim: Duration,
    /// Deliveries claimed at once.
    pub at_once: u16,
    /// Deliveries of one organization in flight: one slow receiver does not keep the others waiting.
    pub per_organization: usize,
    /// How long notices are kept.
    pub keep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(500),
            time_out: Duration::from_secs(15),
            claim: Duration::from_secs(60),
            at_once: 64,
            per_organization: 4,
            keep: Duration::from_secs(90 * 86_400),
        }
    }
}

/// Brings notices to webhooks.
pub struct Notifier {
    store: Store,
    kek: KeyEncryptionKey,
    upstreams: Upstreams,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Looks between two sweeps of old notices.
const LOOKS_PER_SWEEP: u32 = 7_200;

impl Notifier {
    /// With the times that [`Settings::default`] gives.
    #[must_use]
    pub fn new(store: Store, kek: KeyEncryptionKey, upstreams: Upstreams, clock: Arc<dyn Clock>) -> Self {
        Self { store, kek, upstreams, clock, settings: Settings::default() }
    }

    /// With other times.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Works until `stop`. What is being brought then is finished. A database that is away is waited for.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = 0u32;
        while !stop.is_cancelled() {
            match self.look().await {
                // There may be more.
                Ok(brought) if brought == usize::from(self.settings.at_once) => continue,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "no deliveries: the database does not answer"),
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS_PER_SWEEP) {
                self.sweep().await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.every) => {}
            }
        }
    }

    /// Brings what is due now; returns how many deliveries were tried.
    ///
    /// # Errors
    /// When the database is away; what was claimed is brought after its claim.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let until = now.plus_millis(i64::try_from(self.settings.claim.as_millis()).unwrap_or(i64::MAX));
        let due = webhooks::claim(&self.store, now, until, self.settings.at_once).await?;
        let count = due.len();
        let mut by_organization: BTreeMap<OrganizationId, Vec<Due>> = BTreeMap::new();
        for one in due {
            by_organization.entry(one.organization_id).or_default().push(one);
        }
        let all = by_organization.into_values().map(|of_one| {
            // Boxed, or the compiler cannot tell that the whole may go from thread to thread.
            let bring = |due| self.bring(due).boxed();
            stream::iter(of_one).for_each_concurrent(self.settings.per_organization, bring).boxed()
        });
        futures_util::future::join_all(all).await;
        Ok(count)
    }

    async fn bring(&self, due: Due) {
        let keys = match keys::signing(&self.store, &self.kek, &due).await {
            Ok(keys) => keys,
            Err(error) => return tracing::debug!(%error, "a delivery waits for the database"),
        };
        let answer = post(&self.upstreams, &due, &keys, self.clock.now(), self.settings.time_out).await;
        let tried = self.judge(&due, answer);
        let (organization, webhook, notice) = (due.organization_id, due.webhook_id, due.notice_id);
        if let Tried::Failed { status, error, .. } = tried {
            tracing::warn!(%organization, %webhook, %notice, status, error, "a delivery is given up");
        }
        if let Err(error) = webhooks::record(&self.store, &due, tried).await {
            tracing::warn!(%organization, %webhook, %notice, %error, "a delivery was brought and could not be recorded");
        }
    }

    fn judge(&self, due: &Due, answer: Answer) -> Tried {
        let now = self.clock.now();
        let (status, error, retry_after) = match answer {
            Answer::Status { status: status @ 200..=299, .. } => return Tried::Delivered { status },
            Answer::Status { status: 410, .. } => {
                return Tried::Failed { status: Some(410), error: "gone", gone: true };
            }
            Answer::Status { status: status @ 300..=399, retry_after } => {
                (Some(status), "redirect", retry_after)
            }
            Answer::Status { status, retry_after } => (Some(status), "status", retry_after),
            Answer::None(error) => (None, error, None),
        };
        let mut draw = [0; 8];
        entropy::fill(&mut draw);
        match schedule::next(due.attempts, now, u64::from_le_bytes(draw)) {
            Some(next) => {
                Tried::Again { status, error, next_at: schedule::not_before(next, now, retry_after) }
            }
            None => Tried::Failed { status, error, gone: false },
        }
    }

    async fn sweep(&self) {
        let keep = i64::try_from(self.settings.keep.as_millis()).unwrap_or(i64::MAX);
        match webhooks::sweep(&self.store, self.clock.now().plus_millis(-keep)).await {
            Ok(deleted) => tracing::debug!(deleted, "old notices are gone"),
            Err(error) => tracing::debug!(%error, "old notices stay for now"),
        }
        self.upstreams.sweep();
    }
}
