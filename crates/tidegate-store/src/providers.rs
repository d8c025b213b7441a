//! Providers of the catalogue: shared ones and an organization's own.

use serde_json::json;
use tidegate_types::resource::{Provider, Resource, ResourceKind};
use tidegate_types::{OrganizationId, ProviderId};

use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Provider;

fn unwrap(resource: Resource) -> Option<Provider> {
    match resource {
        Resource::Provider(value) => Some(value),
        _ => None,
    }
}

/// The provider with this id, of the bound organization or the shared catalogue.
///
/// # Errors
/// [`crate::StoreError::NotFound`], also for other organizations' ids.
pub async fn get(tx: &mut TenantTx, owner: OrganizationId, id: ProviderId) -> Result<Stored<Provider>> {
    document::get(tx, owner, KIND, id, unwrap).await
}

/// A page of providers after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    owner: OrganizationId,
    after: Option<ProviderId>,
    limit: u32,
) -> Result<Page<Stored<Provider>>> {
    document::list(tx, owner, KIND, json!({}), after, limit, unwrap).await
}

/// Adds a provider.
///
/// # Errors
/// [`crate::StoreError::Taken`] for a name in use, [`crate::StoreError::Dangling`] for what it refers to.
pub async fn insert(change: &mut Change, provider: &Provider) -> Result<()> {
    change.write(Some(provider.id.to_uuid()), &Resource::Provider(provider.clone()), false)?;
    sqlx::query(
        "INSERT INTO providers (organization_id, provider_id, slug)
         VALUES ($1, $2, $3)",
    )
    .bind(provider.organization_id.to_uuid())
    .bind(provider.id.to_uuid())
    .bind(provider.slug.as_str())
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
    provider: &Provider,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, provider.id, expected).await?;
    change.write(Some(provider.id.to_uuid()), &Resource::Provider(provider.clone()), tightens)?;
    sqlx::query(
        "UPDATE providers SET slug = $3
         WHERE organization_id = $1 AND provider_id = $2",
    )
    .bind(provider.organization_id.to_uuid())
    .bind(provider.id.to_uuid())
    .bind(provider.slug.as_str())
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes a provider.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::InUse`].
pub async fn delete(change: &mut Change, id: ProviderId, expected: Option<i64>) -> Result<()> {
    document::lock_to_end(change, KIND, id, expected).await?;
    document::remove(change, KIND, id);
    let organization = change.organization();
    sqlx::query("DELETE FROM providers WHERE organization_id = $1 AND provider_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    Ok(())
}
