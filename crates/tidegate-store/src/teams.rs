//! Teams.

use serde_json::json;
use tidegate_types::TeamId;
use tidegate_types::resource::{Resource, ResourceKind, Team};

use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Team;

fn unwrap(resource: Resource) -> Option<Team> {
    match resource {
        Resource::Team(value) => Some(value),
        _ => None,
    }
}

/// The team with this id.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: TeamId) -> Result<Stored<Team>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of teams after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<TeamId>, limit: u32) -> Result<Page<Stored<Team>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a team.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, team: &Team) -> Result<()> {
    change.write(Some(team.id.to_uuid()), &Resource::Team(team.clone()), false)?;
    sqlx::query(
        "INSERT INTO teams (organization_id, team_id, name)
         VALUES ($1, $2, $3)",
    )
    .bind(team.organization_id.to_uuid())
    .bind(team.id.to_uuid())
    .bind(&team.name)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version. `expected`: the version that the caller saw. `tightens`: it takes
/// something away, and a node that cannot apply it must fail closed.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], and as [`insert`].
pub async fn update(change: &mut Change, team: &Team, expected: Option<i64>, tightens: bool) -> Result<()> {
    document::lock(change, KIND, team.id, expected).await?;
    change.write(Some(team.id.to_uuid()), &Resource::Team(team.clone()), tightens)?;
    sqlx::query(
        "UPDATE teams SET name = $3
         WHERE organization_id = $1 AND team_id = $2",
    )
    .bind(team.organization_id.to_uuid())
    .bind(team.id.to_uuid())
    .bind(&team.name)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a team.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::InUse`].
pub async fn delete(change: &mut Change, id: TeamId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM teams WHERE organization_id = $1 AND team_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
