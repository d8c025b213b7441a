//! Organizations. The platform lists them all; an organization sees itself.

use tidegate_types::OrganizationId;
use tidegate_types::resource::{BoundIssuer, Organization, Resource, ResourceKind};
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

/// An organization other than the bound one to which tokens of this issuer, for one of its audiences, are bound
/// already. Platform roles only: nobody else is told of any. Holds the issuer's place until the change ends.
///
/// # Errors
/// When the database is away.
pub async fn holder_of(change: &mut Change, issuer: &BoundIssuer) -> Result<Option<OrganizationId>> {
    let organization = change.organization();
    let (holder,): (Option<Uuid>,) = sqlx::query_as("SELECT bound_issuer_holder($1, $2, $3)")
        .bind(organization)
        .bind(&issuer.issuer)
        .bind(&issuer.audiences)
        .fetch_one(change.connection())
        .await?;
    Ok(holder.map(OrganizationId::from_uuid))
}

/// Keeps every issuer's place in the installation: one organization for one issuer and audience.
async fn bind_issuers(change: &mut Change, bound: &[BoundIssuer]) -> Result<()> {
    let pairs = bound.iter().flat_map(|one| {
        let every = one.audiences.is_empty().then_some("");
        let audiences = one.audiences.iter().map(String::as_str).chain(every);
        audiences.map(|audience| (one.issuer.as_str(), audience))
    });
    let (issuers, audiences): (Vec<&str>, Vec<&str>) = pairs.unzip();
    let organization = change.organization();
    sqlx::query(
        "DELETE FROM bound_issuers WHERE organization_id = $1
             AND (issuer, audience) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))",
    )
    .bind(organization)
    .bind(&issuers)
    .bind(&audiences)
    .execute(change.connection())
    .await?;
    sqlx::query(
        "INSERT INTO bound_issuers (organization_id, issuer, audience)
         SELECT DISTINCT $1::uuid, asked.* FROM unnest($2::text[], $3::text[]) AS asked (issuer, audience)
         WHERE NOT EXISTS (SELECT FROM bound_issuers held WHERE held.organization_id = $1
                               AND (held.issuer, held.audience) = (asked.issuer, asked.audience))",
    )
    .bind(organization)
    .bind(&issuers)
    .bind(&audiences)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version of the bound organization; issuers that become bound to it, or cease to be, only for
/// platform roles. `expected`, `tightens`: as for teams.
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
    bind_issuers(change, &organization.bound_issuers).await?;
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
