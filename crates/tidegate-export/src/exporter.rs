//! The loop: claim what is due, make spans of it, bring them, record what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use prost::Message as _;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_store::exporters::{self, Came, Due};
use tidegate_store::{Store, StoreError, SystemActor};
use tidegate_telemetry::entropy;
use tidegate_types::Clock;
use tidegate_upstream::Upstreams;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::metrics::ExportMetrics;
use crate::send::{Answer, post};
use crate::spans::{Names, request};
use crate::{headers, schedule};

const ACTOR: SystemActor = SystemActor::new("export");
/// Exporters that are worked for at the same time.
const AT_ONCE: usize = 32;

/// Times and numbers of the export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often is looked for calls that are due.
    pub every: Duration,
    /// Longest time for one post.
    pub time_out: Duration,
    /// How long a claim holds; longer than a post.
    pub claim: Duration,
    /// Calls claimed at once.
    pub batch: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            time_out: Duration::from_secs(10),
            claim: Duration::from_secs(60),
            batch: 256,
        }
    }
}

/// Brings traces to collectors.
pub struct Exporter {
    store: Store,
    kek: KeyEncryptionKey,
    upstreams: Upstreams,
    clock: Arc<dyn Clock>,
    metrics: ExportMetrics,
    settings: Settings,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Exporter {
    /// With the times that [`Settings::default`] gives.
    #[must_use]
    pub fn new(
        store: Store,
        kek: KeyEncryptionKey,
        upstreams: Upstreams,
        clock: Arc<dyn Clock>,
        metrics: ExportMetrics,
    ) -> Self {
        Self { store, kek, upstreams, clock, metrics, settings: Settings::default() }
    }

    /// With other times.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Works until `stop`. What is being brought then is finished. A database that is away is waited for.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.look().await {
                // There may be more.
                Ok(brought) if brought == usize::from(self.settings.batch) => continue,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "no traces: the database does not answer"),
            }
            if let Ok(waiting) = exporters::depth(&self.store).await {
                self.metrics.waiting.set(waiting);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.every) => {}
            }
        }
    }

    /// Brings what is due now; returns how many calls were tried.
    ///
    /// # Errors
    /// When the database is away; what was claimed is brought after its claim.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let until = now.plus_millis(i64::try_from(self.settings.claim.as_millis()).unwrap_or(i64::MAX));
        let due = exporters::claim(&self.store, now, until, self.settings.batch).await?;
        let count = due.iter().map(|due| due.calls.len()).sum();
        stream::iter(due).for_each_concurrent(AT_ONCE, |due| self.bring(due)).await;
        Ok(count)
    }

    async fn bring(&self, due: Due) {
        let (organization, exporter) = (due.organization_id, due.exporter_id);
        let came = match self.prepare(&due).await {
            Ok(Some((headers, body))) => {
                let time_out = self.settings.time_out;
                let answer = post(&self.upstreams, organization, &due.url, headers, body, time_out).await;
                self.judge(&due, answer)
            }
            Ok(None) => self.judge(&due, Answer::Later { status: None, error: "headers", retry_after: None }),
            Err(error) => {
                return tracing::debug!(%organization, %exporter, %error, "traces wait for the database");
            }
        };
        self.count(&due, came);
        if let Err(error) = exporters::record(&self.store, &due, came, self.clock.now()).await {
            tracing::warn!(%organization, %exporter, %error, "traces were brought and could not be recorded");
        }
    }

    /// Headers and body of the post; `None` when the stored headers do not open.
    async fn prepare(&self, due: &Due) -> Result<Option<(HeaderMap, Bytes)>, StoreError> {
        let mut tx = self.store.begin(&ACTOR.acting_for(due.organization_id)).await?;
        let Some(mut headers) = headers::open(&mut tx, &self.kek, due).await? else { return Ok(None) };
        let records = due.records(&mut tx).await?;
        let names = Names::of(&mut tx, &records).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static("tidegate"));
        Ok(Some((headers, request(&records, &names).encode_to_vec().into())))
    }

    fn judge(&self, due: &Due, answer: Answer) -> Came {
        let now = self.clock.now();
        match answer {
            Answer::Taken { refused_spans } => Came::Taken { refused: refused_spans },
            Answer::Never { status } => Came::Dropped { status: Some(status), error: "status" },
            Answer::Later { status, error, .. }
                if due.calls.iter().all(|call| schedule::is_old(*call, now)) =>
            {
                Came::Dropped { status, error }
            }
            Answer::Later { status, error, retry_after } => {
                let mut draw = [0; 8];
                entropy::fill(&mut draw);
                let next_at = schedule::next(due.failures, now, u64::from_le_bytes(draw), retry_after);
                Came::Again { status, error, next_at }
            }
        }
    }

    fn count(&self, due: &Due, came: Came) {
        let (organization, exporter) = (due.organization_id, due.exporter_id);
        let calls = due.calls.len() as u64;
        match came {
            Came::Taken { refused } => {
                let refused = refused.min(calls);
                self.metrics.sent.inc_by(calls - refused);
                self.metrics.dropped.inc_by(refused);
            }
            Came::Again { status, error, .. } => {
                self.metrics.retried.inc();
                tracing::debug!(%organization, %exporter, status, error, "a collector takes no traces");
            }
            Came::Dropped { status, error } => {
                self.metrics.dropped.inc_by(calls);
                tracing::warn!(%organization, %exporter, status, error, calls, "traces are given up");
            }
        }
    }
}
