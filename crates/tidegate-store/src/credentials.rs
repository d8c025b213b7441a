//! Credentials: the secret stays encrypted here and goes to nodes sealed, once per pool.

use std::collections::VecDeque;
use std::fmt;

use serde_json::json;
use tidegate_types::CredentialId;
use tidegate_types::resource::{Credential, CredentialScope, Resource, ResourceKind, SealedSecret};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::signed32;
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError, Stored, document, failures};

const KIND: ResourceKind = ResourceKind::Credential;

fn unwrap(resource: Resource) -> Option<Credential> {
    match resource {
        Resource::Credential(value) => Some(value),
        _ => None,
    }
}

/// The credential with this id.
///
/// # Errors
/// [`StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: CredentialId) -> Result<Stored<Credential>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// The credential as it stands now, which nobody else can change until this change ends.
///
/// # Errors
/// As [`get`]; [`StoreError::Later`] when a later release wrote something there that a new version would lose.
pub async fn lock(change: &mut Change, id: CredentialId) -> Result<Stored<Credential>> {
    document::lock(change, KIND, id, None).await?;
    get(change, id).await
}

/// A page of credentials after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    after: Option<CredentialId>,
    limit: u32,
) -> Result<Page<Stored<Credential>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// The secret as the control plane keeps it: encrypted under the organization's data key.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Counts the secrets that this credential has had (part of the associated data).
    pub secret_version: u32,
    /// Version of the data key that encrypted it.
    pub data_key_version: u32,
    /// Nonce, ciphertext and tag.
    pub ciphertext: Vec<u8>,
    /// Last characters of the secret, for people.
    pub hint: String,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("secret_version", &self.secret_version).finish_non_exhaustive()
    }
}

/// The credential's encrypted secret (to seal it for a new pool key).
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn envelope(tx: &mut TenantTx, id: CredentialId) -> Result<Envelope> {
    let row: Option<(i32, i32, Vec<u8>, String)> = sqlx::query_as(
        "SELECT secret_version, data_key_version, ciphertext, hint FROM credentials
         WHERE organization_id = $1 AND credential_id = $2",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    let (secret_version, data_key_version, ciphertext, hint) = row.ok_or(StoreError::NotFound)?;
    Ok(Envelope {
        secret_version: secret_version.unsigned_abs(),
        data_key_version: data_key_version.unsigned_abs(),
        ciphertext,
        hint,
    })
}

/// Adds a credential with its encrypted secret.
///
/// # Errors
/// [`StoreError::Taken`] for a name in use, [`StoreError::Dangling`] for an unknown team.
pub async fn insert(change: &mut Change, credential: &Credential, envelope: &Envelope) -> Result<()> {
    change.write(Some(credential.id.to_uuid()), &Resource::Credential(credential.clone()), false)?;
    sqlx::query(
        "INSERT INTO credentials (organization_id, credential_id, name, team_id, provider, secret_version,
             data_key_version, ciphertext, hint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(credential.organization_id.to_uuid())
    .bind(credential.id.to_uuid())
    .bind(&credential.name)
    .bind(team_of(credential))
    .bind(credential.provider.as_str())
    .bind(signed32(envelope.secret_version))
    .bind(signed32(envelope.data_key_version))
    .bind(&envelope.ciphertext)
    .bind(&envelope.hint)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version; with `envelope`, also a new (or newly encrypted) secret.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::VersionConflict`], and as [`insert`].
pub async fn update(
    change: &mut Change,
    credential: &Credential,
    envelope: Option<&Envelope>,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, credential.id, expected).await?;
    change.write(Some(credential.id.to_uuid()), &Resource::Credential(credential.clone()), tightens)?;
    sqlx::query(
        "UPDATE credentials SET name = $3, team_id = $4, provider = $5, secret_version = coalesce($6, secret_version),
             data_key_version = coalesce($7, data_key_version), ciphertext = coalesce($8, ciphertext),
             hint = coalesce($9, hint)
         WHERE organization_id = $1 AND credential_id = $2",
    )
    .bind(credential.organization_id.to_uuid())
    .bind(credential.id.to_uuid())
    .bind(&credential.name)
    .bind(team_of(credential))
    .bind(credential.provider.as_str())
    .bind(envelope.map(|e| signed32(e.secret_version)))
    .bind(envelope.map(|e| signed32(e.data_key_version)))
    .bind(envelope.map(|e| e.ciphertext.as_slice()))
    .bind(envelope.map(|e| e.hint.as_str()))
    .execute(change.connection())
    .await?;
    if envelope.is_some() {
        failures::forget(change, credential.id).await?;
    }
    Ok(())
}

/// Credentials read at once.
const PAGE: u32 = 200;

/// The bound organization's credentials that lack a seal, one after the other, each locked: what somebody changed since
/// it was listed stays changed.
#[derive(Debug)]
pub struct Lacking<F> {
    lacks: F,
    after: Option<CredentialId>,
    listed: VecDeque<CredentialId>,
    has_more: bool,
}

impl<F: Fn(&Credential) -> bool> Lacking<F> {
    /// Those of which `lacks` says so.
    pub const fn new(lacks: F) -> Self {
        Self { lacks, after: None, listed: VecDeque::new(), has_more: true }
    }

    /// The next one as it stands now, which nobody else can change until this change ends.
    ///
    /// # Errors
    /// As [`lock`].
    pub async fn next(&mut self, change: &mut Change) -> Result<Option<Credential>> {
        loop {
            while let Some(id) = self.listed.pop_front() {
                match lock(change, id).await {
                    Err(StoreError::NotFound) => {}
                    locked => return locked.map(|stored| Some(stored.value)),
                }
            }
            if !self.has_more {
                return Ok(None);
            }
            let page = list(change, self.after, PAGE).await?;
            self.after = page.data.last().map(|listed| listed.value.id);
            self.has_more = page.has_more;
            let lacking = page.data.iter().filter(|listed| (self.lacks)(&listed.value));
            self.listed.extend(lacking.map(|listed| listed.value.id));
        }
    }
}

/// Stores these seals in place of those for the same pools.
///
/// # Errors
/// As [`update`].
pub async fn put_seals(
    change: &mut Change,
    mut credential: Credential,
    seals: Vec<SealedSecret>,
) -> Result<()> {
    credential.sealed.retain(|kept| seals.iter().all(|fresh| fresh.pool != kept.pool));
    credential.sealed.extend(seals);
    update(change, &credential, None, None, false).await
}

fn team_of(credential: &Credential) -> Option<Uuid> {
    match credential.scope {
        CredentialScope::Team { team_id } => Some(team_id.to_uuid()),
        CredentialScope::System | CredentialScope::Organization => None,
    }
}

/// Deletes a credential.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::VersionConflict`], [`StoreError::InUse`].
pub async fn delete(change: &mut Change, id: CredentialId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM credentials WHERE organization_id = $1 AND credential_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
