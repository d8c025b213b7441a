//! Organizations. The platform lists them all; an organization sees itself.

use tidegate_types::OrganizationId;
use tidegate_types::resource::{Organization, Resource, ResourceKind};
use uuid::Uuid;

use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Page, Result, Stored, document};

const KIND: ResourceKind = ResourceKind::Organization;

fn unwrap(resource: Resource) -> Option<Organization> {
    match resource {
        Resource::Organization(value) => Some(value),
        _ => None,
    }
}

/// The bound organization.
///
/// # Errors
/// [`crate::StoreError::NotFound`] when it does not exist.
pub async fn get(tx: &mut TenantTx) -> Result<Stored<Organization>> {
    let id = tx.organization_id();
    document::get(tx, id, KIND, id, unwrap).await
}

/// Identity and name of an organization, as the platform sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Identity.
    pub id: OrganizationId,
    /// Unique name in the installation.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Paused: every key of it is refused.
    pub paused: bool,
}

type Row = (Uuid, String, String, bool);

fn summary((id, slug, name, paused): Row) -> Summary {
    Summary { id: OrganizationId::from_uuid(id), slug, name, paused }
}

/// A page of the organizations that the actor may see: all for platform roles, else its own.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<OrganizationId>, limit: u32) -> Result<Page<Summary>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT organization_id, slug, name, paused FROM organizations
         WHERE organization_id > $1 ORDER BY organization_id LIMIT $2",
    )
    // The system's own row has the lowest id and is never listed.
    .bind(after.unwrap_or(OrganizationId::SYSTEM).to_uuid())
    .bind(document::one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    Ok(Page::of(rows.into_iter().map(summary).collect(), limit))
}

/// The organization with this slug, if the actor may see it.
///
/// # Errors
/// When the database is away.
pub async fn find_by_slug(tx: &mut TenantTx, slug: &str) -> Result<Option<Summary>> {
    let row: Option<Row> =
        sqlx::query_as("SELECT organization_id, slug, name, paused FROM organizations WHERE slug = $1")
            .bind(slug)
            .fetch_optional(tx.connection())
            .await?;
    Ok(row.map(summary))
}

/// Adds the organization to which the change is bound (see [`crate::Actor::entering`]).
///
/// # Errors
/// [`crate::StoreError::Taken`] for a slug in use.
pub async fn insert(change: &mut Change, organization: &Organization) -> Result<()> {
    change.write(Some(organization.id.to_uuid()), &Resource::Organization(organization.clone()), false)?;
    sqlx::query("INSERT INTO organizations (organization_id, slug, name, paused) VALUES ($1, $2, $3, $4)")
        .bind(organization.id.to_uuid())
        .bind(&organization.slug)
        .bind(&organization.name)
        .bind(organization.paused)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Stores a new version of the bound organization. `expected`, `tightens`: as for teams.
///
/// # Errors
/// [`crate::StoreError::NotFound`], [`crate::StoreError::VersionConflict`], [`crate::StoreError::Taken`].
pub async fn update(
    change: &mut Change,
    organization: &Organization,
    expected: Option<i64>,
    tightens: bool,
) -> Result<()> {
    document::lock(change, KIND, organization.id, expected).await?;
    change.write(Some(organization.id.to_uuid()), &Resource::Organization(organization.clone()), tightens)?;
    sqlx::query("UPDATE organizations SET slug = $2, name = $3, paused = $4 WHERE organization_id = $1")
        .bind(organization.id.to_uuid())
        .bind(&organization.slug)
        .bind(&organization.name)
        .bind(organization.paused)
        .execute(change.connection())
        .await?;
    Ok(())
}
