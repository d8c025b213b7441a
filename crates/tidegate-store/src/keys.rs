//! Virtual keys. A key is never deleted: it is revoked, and its id stays taken.

use serde_json::json;
use tidegate_types::resource::{KeyStatus, Resource, ResourceKind, VirtualKey};
use tidegate_types::{KeyId, TeamId};

use crate::change::Change;
use crate::convert::{name_of, time};
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Key;

fn unwrap(resource: Resource) -> Option<VirtualKey> {
    match resource {
        Resource::Key(value) => Some(value),
        _ => None,
    }
}

/// The key with this id.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: KeyId) -> Result<Stored<VirtualKey>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of keys after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<KeyId>, limit: u32) -> Result<Page<Stored<VirtualKey>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a key.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, key: &VirtualKey) -> Result<()> {
    change.write(Some(key.id.to_uuid()), &Resource::Key(key.clone()), false)?;
    sqlx::query(
        "INSERT INTO virtual_keys (organization_id, key_id, team_id, name, status, pepper_versions, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(key.organization_id.to_uuid())
    .bind(key.id.to_uuid())
    .bind(key.team_id.to_uuid())
    .bind(&key.name)
    .bind(name_of(&key.status)?)
    .bind(pepper_versions(key))
    .bind(key.expires_at.map(time))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version. `expected`: the version that the caller saw. `tightens`: it takes
/// something away, and a node that cannot apply it must fail closed.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], and as [`insert`].
pub async fn update(
    change: &mut Change,
    key: &VirtualKey,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    // A revocation must never fail because of something else that is with the key.
    match key.status {
        KeyStatus::Revoked => document::lock_to_end(change, KIND, key.id, expected).await?,
        _ => document::lock(change, KIND, key.id, expected).await?,
    };
    change.write(Some(key.id.to_uuid()), &Resource::Key(key.clone()), tightens)?;
    sqlx::query(
        "UPDATE virtual_keys SET team_id = $3, name = $4, status = $5, pepper_versions = $6, expires_at = $7
         WHERE organization_id = $1 AND key_id = $2",
    )
    .bind(key.organization_id.to_uuid())
    .bind(key.id.to_uuid())
    .bind(key.team_id.to_uuid())
    .bind(&key.name)
    .bind(name_of(&key.status)?)
    .bind(pepper_versions(key))
    .bind(key.expires_at.map(time))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// A page of a team's keys after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list_of_team(
    tx: &mut TenantTx,
    team: TeamId,
    after: Option<KeyId>,
    limit: u32,
) -> Result<Page<Stored<VirtualKey>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({ "team_id": team }), after, limit, unwrap).await
}

fn pepper_versions(key: &VirtualKey) -> Vec<i32> {
    key.secrets.iter().map(|secret| i32::try_from(secret.pepper_version).unwrap_or(i32::MAX)).collect()
}
