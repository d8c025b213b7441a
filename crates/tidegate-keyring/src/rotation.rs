//! Rotations: one at a time is worked on by whoever holds its lease, step by step, until it is done.

use std::time::Duration;

use tidegate_store::key_rotations::{self, PutOff, Rotation};
use tidegate_store::root_keys;
use tidegate_store::{AuditNote, StoreError};
use tidegate_types::OrganizationId;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Left;
use crate::ring::Keyring;
use crate::{KeyringError, data_keys, pools, roots};

/// What can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The root key, and with it whoever keeps it: everything is wrapped anew.
    Kek,
    /// Every organization's data key: every stored secret is encrypted anew.
    DataKey,
    /// The key under which credentials travel to a pool's nodes.
    PoolKey,
    /// The pepper of virtual keys: new keys use the new one.
    Pepper,
}

impl Kind {
    /// Its name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kek => "kek",
            Self::DataKey => "data_key",
            Self::PoolKey => "pool_key",
            Self::Pepper => "pepper",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Kek, Self::DataKey, Self::PoolKey, Self::Pepper].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Between two looks for something to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Whoever says nothing of a rotation for so long has ended: somebody else goes on with it.
const LEASE_MS: i64 = 10_000;
/// Between two words that it is still worked on, whatever a step takes.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// After a step that everybody must see: each control plane looks every second.
pub(crate) const SEEN: Duration = Duration::from_secs(4);

/// What does not go on is tried again so much later.
const AGAIN_MS: i64 = 5_000;
/// What only somebody else can bring on is tried ever more rarely, at last so rarely.
const AT_LAST_MS: i64 = 300_000;
/// Organizations that are remembered as left. With more, the rest shows when none of these is left.
const REMEMBERED: usize = 1_000;

/// Works on rotations until `stop`.
pub async fn run(ring: Keyring, stop: CancellationToken) {
    let mut tried = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let worked = tokio::select! {
            () = stop.cancelled() => return,
            worked = look(&ring, &mut tried) => worked,
        };
        if let Err(error) = worked {
            tracing::debug!(%error, "no rotation was looked for");
        }
    }
}

/// `tried`: what this process has put off since it started.
async fn look(ring: &Keyring, tried: &mut Vec<Uuid>) -> Result<(), KeyringError> {
    for version in root_keys::retire_peppers(&ring.store, ring.clock.now()).await? {
        tracing::info!(version, "no key uses this pepper any more: retired");
    }
    let Some(work) = Work::lease(ring, tried).await? else { return Ok(()) };
    let Some(kind) = Kind::parse(&work.rotation.kind) else { return Ok(()) };
    // Who cannot keep it any more stops, for somebody else may have taken it.
    let done = tokio::select! {
        done = work.go_on(kind) => done,
        error = work.keep() => Err(error),
    };
    match done {
        Ok(()) => work.finish().await,
        Err(KeyringError::Left(left)) => {
            if !tried.contains(&work.rotation.id) {
                tried.push(work.rotation.id);
            }
            work.put_off(&left).await
        }
        Err(error) => {
            tracing::error!(kind = work.rotation.kind, %error, "a rotation does not go on; it is tried again");
            work.note(0, 0, Some(&error.to_string())).await
        }
    }
}

/// A rotation that this process works on.
pub(crate) struct Work<'r> {
    pub(crate) ring: &'r Keyring,
    pub(crate) rotation: Rotation,
}

impl<'r> Work<'r> {
    async fn lease(ring: &'r Keyring, tried: &[Uuid]) -> Result<Option<Self>, KeyringError> {
        let change = ring.change(OrganizationId::SYSTEM).await?;
        let until = change.now().plus_millis(LEASE_MS);
        let rotation = key_rotations::lease(change, until, tried).await?;
        Ok(rotation.map(|rotation| Self { ring, rotation }))
    }

    async fn go_on(&self, kind: Kind) -> Result<(), KeyringError> {
        match kind {
            Kind::Kek => roots::rotate(self).await,
            Kind::DataKey => data_keys::rotate(self).await,
            Kind::PoolKey => pools::rotate_key(self).await,
            Kind::Pepper => pools::rotate_pepper(self).await,
        }
    }

    /// Keeps the lease until that fails for as long as it lasts.
    async fn keep(&self) -> KeyringError {
        let mut failed = 0;
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            match self.kept().await {
                Ok(()) => failed = 0,
                Err(error) if failed >= 2 => return error,
                Err(_) => failed += 1,
            }
        }
    }

    async fn kept(&self) -> Result<(), KeyringError> {
        let change = self.ring.change(OrganizationId::SYSTEM).await?;
        let until = change.now().plus_millis(LEASE_MS);
        Ok(key_rotations::keep(change, self.rotation.id, until).await?)
    }

    /// Says how far it is, and keeps the lease.
    pub(crate) async fn note(
        &self,
        done: u64,
        total: u64,
        problem: Option<&str>,
    ) -> Result<(), KeyringError> {
        let change = self.ring.change(OrganizationId::SYSTEM).await?;
        let until = change.now().plus_millis(if problem.is_some() { AGAIN_MS } else { LEASE_MS });
        Ok(key_rotations::progress(change, self.rotation.id, done, total, problem, until).await?)
    }

    /// Says which organizations are left. The fewer they become, the sooner the rest is tried again.
    async fn put_off(&self, left: &Left) -> Result<(), KeyringError> {
        let before = &self.rotation;
        let organizations = left.organizations.iter().take(REMEMBERED).copied().collect::<Vec<_>>();
        let tried = if organizations == before.left { before.tried.saturating_add(1) } else { 1 };
        let wait = (AGAIN_MS << tried.saturating_sub(1).min(16)).min(AT_LAST_MS);
        tracing::warn!(kind = before.kind, %left, "a rotation is not done");
        let change = self.ring.change(OrganizationId::SYSTEM).await?;
        let until = change.now().plus_millis(wait);
        let again = PutOff { tried, left: organizations, problem: left.to_string(), until };
        Ok(key_rotations::put_off(change, before.id, &again).await?)
    }

    async fn finish(&self) -> Result<(), KeyringError> {
        let mut change = self.ring.change(OrganizationId::SYSTEM).await?;
        key_rotations::finish(&mut change, self.rotation.id).await?;
        let after = Some(serde_json::json!({"kind": self.rotation.kind, "pool": self.rotation.pool}));
        let note = AuditNote { action: "keys.rotated", object: object(&self.rotation), before: None, after };
        change.commit(note).await?;
        tracing::info!(kind = self.rotation.kind, "rotated");
        Ok(())
    }
}

fn object(rotation: &Rotation) -> String {
    format!("{} {}", rotation.kind, rotation.id)
}

impl Keyring {
    /// Asks for a rotation, in a change that somebody else commits; the one that runs already, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Dangling`] for an unknown pool.
    pub async fn ask(
        change: &mut tidegate_store::Change,
        id: u128,
        kind: Kind,
        pool: Option<&str>,
    ) -> Result<(Rotation, bool), StoreError> {
        key_rotations::begin(change, Uuid::from_u128(id), kind.as_str(), pool).await
    }
}
