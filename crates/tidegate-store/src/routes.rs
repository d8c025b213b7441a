//! Routes: an organization's own model names.

use serde_json::json;
use tidegate_types::RouteId;
use tidegate_types::resource::{Resource, ResourceKind, Route};

use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Route;

fn unwrap(resource: Resource) -> Option<Route> {
    match resource {
        Resource::Route(value) => Some(value),
        _ => None,
    }
}

/// The route with this id.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, id: RouteId) -> Result<Stored<Route>> {
    let owner = tx.organization_id();
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of routes after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<RouteId>, limit: u32) -> Result<Page<Stored<Route>>> {
    let owner = tx.organization_id();
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a route.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, route: &Route) -> Result<()> {
    change.write(Some(route.id.to_uuid()), &Resource::Route(route.clone()), false)?;
    sqlx::query(
        "INSERT INTO routes (organization_id, route_id, name)
         VALUES ($1, $2, $3)",
    )
    .bind(route.organization_id.to_uuid())
    .bind(route.id.to_uuid())
    .bind(&route.name)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version. `expected`: the version that the caller saw. `tightens`: it takes
/// something away, and a node that cannot apply it must fail closed.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], and as [`insert`].
pub async fn update(change: &mut Change, route: &Route, expected: Option<i64>, tightens: bool) -> Result<()> {
    document::lock(change, KIND, route.id, expected).await?;
    change.write(Some(route.id.to_uuid()), &Resource::Route(route.clone()), tightens)?;
    sqlx::query(
        "UPDATE routes SET name = $3
         WHERE organization_id = $1 AND route_id = $2",
    )
    .bind(route.organization_id.to_uuid())
    .bind(route.id.to_uuid())
    .bind(&route.name)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a route.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::InUse`].
pub async fn delete(change: &mut Change, id: RouteId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM routes WHERE organization_id = $1 AND route_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
