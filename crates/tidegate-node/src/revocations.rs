//! Keys that were revoked, told over Redis by the nodes that hear the feed to those that do not, and that would go on
//! serving them by what they have.
//!
//! Nobody signs it, for it only ever tightens: who may write there could also say that every limit is used up.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_limits::{Heard, LimitError, Limiter};
use tidegate_policy::{Body, Config, Incoming};
use tidegate_types::resource::{KeyStatus, Resource};
use tidegate_types::{KeyId, OrganizationId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between two trips.
const EVERY: Duration = Duration::from_secs(1);
/// Told in one trip, at most.
const AT_ONCE: usize = 500;
/// Remembered while Redis is away, at most.
const MOST: usize = 20_000;

/// A key that was revoked, and by which change of its organization's shard. Fields are only ever added, optional.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Revocation {
    organization: OrganizationId,
    key: KeyId,
    n: u64,
}

/// What these changes revoke.
pub(crate) fn revoked(changes: &[Incoming]) -> Vec<Revocation> {
    let revocation = |change: &Incoming| match &change.body {
        Body::Present(resource) => match &**resource {
            Resource::Key(key) if key.status == KeyStatus::Revoked => {
                Some(Revocation { organization: change.key.organization_id, key: key.id, n: change.n })
            }
            _ => None,
        },
        _ => None,
    };
    changes.iter().filter_map(revocation).collect()
}

/// Tells and hears until `stop`.
pub(crate) async fn share(
    config: Arc<Config>,
    limiter: Limiter,
    mut told: UnboundedReceiver<Revocation>,
    stop: CancellationToken,
) {
    let mut shared = Shared { config, limiter, heard: Heard::default(), owed: Vec::new() };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        while let Ok(one) = told.try_recv() {
            shared.owed.push(one);
        }
        let surplus = shared.owed.len().saturating_sub(MOST);
        shared.owed.drain(..surplus);
        // What is left is tried with the next trip.
        let _away = shared.exchange().await;
    }
}

struct Shared {
    config: Arc<Config>,
    limiter: Limiter,
    heard: Heard,
    /// To be told.
    owed: Vec<Revocation>,
}

impl Shared {
    async fn exchange(&mut self) -> Result<(), LimitError> {
        // What somebody has told meanwhile need not be told once more.
        while self.trip(0).await? > 0 {}
        while !self.owed.is_empty() {
            self.trip(AT_ONCE).await?;
        }
        Ok(())
    }

    /// Tells so many, and hears. How many notes were heard.
    async fn trip(&mut self, most: usize) -> Result<usize, LimitError> {
        let telling = self.owed.len().min(most);
        let texts: Vec<Vec<u8>> =
            self.owed.iter().take(telling).filter_map(|one| serde_json::to_vec(one).ok()).collect();
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let notes = self.limiter.tell_revocations(&texts, &mut self.heard).await?;
        self.owed.drain(..telling);
        for note in notes.iter().filter_map(|note| serde_json::from_slice::<Revocation>(note).ok()) {
            self.owed.retain(|one| one.key != note.key || one.n > note.n);
            if self.config.revoke(note.organization, note.key, note.n) {
                tracing::info!("a key is revoked by another node's word, before the control plane's");
            }
        }
        Ok(notes.len())
    }
}
