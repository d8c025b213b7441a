//! Policies.

use serde_json::json;
use tidegate_types::PolicyId;
use tidegate_types::resource::{Policy, PolicyScope, Resource, ResourceKind};
use uuid::Uuid;

use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Policy;

fn unwrap(resource: Resource) -> Option<Policy> {
    match resource {
        Resource::Policy(value) => Some(value),
        _ => None,
    }
}

/// The policy with this id.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: PolicyId) -> Result<Stored<Policy>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of policies after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<PolicyId>, limit: u32) -> Result<Page<Stored<Policy>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a policy.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, policy: &Policy) -> Result<()> {
    // A node that knows nothing of such demands must not go on as if there were none.
    let tightens = policy.privacy.confines();
    change.write(Some(policy.id.to_uuid()), &Resource::Policy(policy.clone()), tightens)?;
    sqlx::query(
        "INSERT INTO policies (organization_id, policy_id, name, team_id, key_id)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(policy.organization_id.to_uuid())
    .bind(policy.id.to_uuid())
    .bind(&policy.name)
    .bind(team_of(policy))
    .bind(key_of(policy))
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
    policy: &Policy,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, policy.id, expected).await?;
    // As for a new one: what is renamed only confines as before.
    let tightens = tightens || policy.privacy.confines();
    change.write(Some(policy.id.to_uuid()), &Resource::Policy(policy.clone()), tightens)?;
    sqlx::query(
        "UPDATE policies SET name = $3, team_id = $4, key_id = $5
         WHERE organization_id = $1 AND policy_id = $2",
    )
    .bind(policy.organization_id.to_uuid())
    .bind(policy.id.to_uuid())
    .bind(&policy.name)
    .bind(team_of(policy))
    .bind(key_of(policy))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a policy.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::InUse`].
pub async fn delete(change: &mut Change, id: PolicyId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM policies WHERE organization_id = $1 AND policy_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}

fn team_of(policy: &Policy) -> Option<Uuid> {
    match policy.scope {
        PolicyScope::Team { team_id } => Some(team_id.to_uuid()),
        PolicyScope::Organization | PolicyScope::Key { .. } => None,
    }
}

fn key_of(policy: &Policy) -> Option<Uuid> {
    match policy.scope {
        PolicyScope::Key { key_id } => Some(key_id.to_uuid()),
        PolicyScope::Organization | PolicyScope::Team { .. } => None,
    }
}
