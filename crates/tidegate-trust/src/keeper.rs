//! The loop: claim rules whose issuers' keys are due, fetch, store what changed, say when next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tidegate_secrets::caller_token::jwks;
use tidegate_store::trust_rules::{self, Due};
use tidegate_store::{AuditNote, Store, StoreError, SystemActor};
use tidegate_types::resource::{IssuerKey, TrustRule};
use tidegate_types::{Clock, OrganizationId, Timestamp};
use tidegate_upstream::Upstreams;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::fetch;
use crate::merge::merge;

/// Times and numbers of the fetching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often is looked for rules that are due.
    pub every: Duration,
    /// How often an issuer's keys are fetched.
    pub refresh: Duration,
    /// First pause after a failure; it doubles up to `refresh`.
    pub retry: Duration,
    /// How long a key verifies after its issuer withdrew it.
    pub grace: Duration,
    /// Longest time for one request to an issuer.
    pub time_out: Duration,
    /// How long a claim holds; longer than two requests.
    pub claim: Duration,
    /// Rules claimed at once.
    pub at_once: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(500),
            refresh: Duration::from_secs(900),
            retry: Duration::from_secs(30),
            grace: Duration::from_secs(3_600),
            time_out: Duration::from_secs(10),
            claim: Duration::from_secs(60),
            at_once: 64,
        }
    }
}

const ACTOR: SystemActor = SystemActor::new("trust");
/// Issuers that are asked at the same time.
const AT_A_TIME: usize = 8;

/// Keeps issuers' keys.
pub struct TrustKeeper {
    store: Store,
    upstreams: Upstreams,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

impl std::fmt::Debug for TrustKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustKeeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl TrustKeeper {
    /// With the times that [`Settings::default`] gives.
    #[must_use]
    pub fn new(store: Store, upstreams: Upstreams, clock: Arc<dyn Clock>) -> Self {
        Self { store, upstreams, clock, settings: Settings::default() }
    }

    /// With other times.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Works until `stop`. A database that is away is waited for.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "no issuer is asked: the database does not answer");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.every) => {}
            }
        }
    }

    /// Fetches what is due now; returns how many rules that were.
    ///
    /// # Errors
    /// When the database is away; what was claimed is fetched after its claim.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let claimed =
            trust_rules::claim(&self.store, now, after(now, self.settings.claim), self.settings.at_once);
        let due = claimed.await?;
        let count = due.len();
        // An organization's rules for one issuer share one answer; organizations never do.
        let mut issuers: BTreeMap<(OrganizationId, String), Vec<Due>> = BTreeMap::new();
        for one in due {
            issuers.entry((one.organization_id, one.issuer.clone())).or_default().push(one);
        }
        let serve = |((organization, issuer), rules)| self.serve(organization, issuer, rules).boxed();
        stream::iter(issuers).for_each_concurrent(AT_A_TIME, serve).await;
        Ok(count)
    }

    async fn serve(&self, organization: OrganizationId, issuer: String, rules: Vec<Due>) {
        let fetched = fetch::keys(&self.upstreams, organization, &issuer, self.settings.time_out).await;
        for due in rules {
            if let Err(error) = self.settle(&due, fetched.as_deref()).await {
                let (organization, rule) = (due.organization_id, due.id);
                tracing::warn!(%organization, %rule, %error, "an issuer's keys could not be stored");
            }
        }
    }

    async fn settle(
        &self,
        due: &Due,
        fetched: Result<&[IssuerKey], &&'static str>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (error, pause) = match fetched {
            Ok(published) => {
                self.keep(due, published, now).await?;
                (None, self.settings.refresh)
            }
            Err(word) => {
                let (organization, rule) = (due.organization_id, due.id);
                tracing::warn!(%organization, %rule, error = *word, "an issuer gave no keys");
                let pause = self.settings.retry.saturating_mul(1 << due.failures.min(10));
                (Some(*word), pause.min(self.settings.refresh))
            }
        };
        trust_rules::record(&self.store, due, error, now, after(now, pause)).await
    }

    /// Stores the keys where they changed: an audited change like any other, which the feed pushes.
    async fn keep(&self, due: &Due, published: &[IssuerKey], now: Timestamp) -> Result<(), StoreError> {
        let mut change = self.store.change(&ACTOR.acting_for(due.organization_id), now).await?;
        let stored = match trust_rules::get(&mut change, due.id).await {
            Ok(stored) => stored,
            // It was deleted meanwhile.
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        };
        let before = stored.value;
        if !before.discovered {
            return Ok(());
        }
        let keys = merge(&before.keys, published.to_vec(), now, after(now, self.settings.grace));
        if keys == before.keys {
            return Ok(());
        }
        let tightens = before.keys.iter().any(|key| !keys.contains(key));
        let rule = TrustRule { keys, ..before.clone() };
        trust_rules::update(&mut change, &rule, Some(stored.version), tightens).await?;
        let note = AuditNote {
            action: "trust_rule.keys",
            object: due.id.to_string(),
            before: Some(audited(&before)),
            after: Some(audited(&rule)),
        };
        change.commit(note).await.map(|_| ())
    }
}

/// The keys by name, and when those that were withdrawn end.
fn audited(rule: &TrustRule) -> Value {
    let key = |key: &IssuerKey| json!({"kid": key.kid, "until": key.until});
    json!({"keys": rule.keys.iter().map(key).collect::<Vec<_>>(), "jwks": jwks::write(&rule.keys)})
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}
