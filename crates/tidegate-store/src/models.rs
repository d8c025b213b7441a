//! Models of the catalogue: shared ones and an organization's own.

use serde_json::json;
use tidegate_types::resource::{Model, Resource, ResourceKind};
use tidegate_types::{ModelId, OrganizationId};

use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Model;

fn unwrap(resource: Resource) -> Option<Model> {
    match resource {
        Resource::Model(value) => Some(value),
        _ => None,
    }
}

/// The model with this id, of the bound organization or the shared catalogue.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, owner: OrganizationId, id: ModelId) -> Result<Stored<Model>> {
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of models after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    owner: OrganizationId,
    after: Option<ModelId>,
    limit: u32,
) -> Result<Page<Stored<Model>>> {
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a model.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, model: &Model) -> Result<()> {
    change.write(Some(model.id.to_uuid()), &Resource::Model(model.clone()), false)?;
    sqlx::query(
        "INSERT INTO models (organization_id, model_id, name)
         VALUES ($1, $2, $3)",
    )
    .bind(model.organization_id.to_uuid())
    .bind(model.id.to_uuid())
    .bind(model.name.as_str())
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version. `expected`: the version that the caller saw. `tightens`: it takes
/// something away, and a node that cannot apply it must fail closed.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], and as [`insert`].
pub async fn update(change: &mut Change, model: &Model, expected: Option<i64>, tightens: bool) -> Result<()> {
    document::lock(change, KIND, model.id, expected).await?;
    change.write(Some(model.id.to_uuid()), &Resource::Model(model.clone()), tightens)?;
    sqlx::query(
        "UPDATE models SET name = $3
         WHERE organization_id = $1 AND model_id = $2",
    )
    .bind(model.organization_id.to_uuid())
    .bind(model.id.to_uuid())
    .bind(model.name.as_str())
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a model.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::InUse`].
pub async fn delete(change: &mut Change, id: ModelId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM models WHERE organization_id = $1 AND model_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
