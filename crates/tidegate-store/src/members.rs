//! Members: a person's role in an organization.

use chrono::{DateTime, Utc};
use tidegate_types::MemberId;
use uuid::Uuid;

use crate::actor::{PersonId, Role};
use crate::change::Change;
use crate::convert::{from_name, name_of, time, timestamp};
use crate::document::one_more;
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError, Stored};

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Identity.
    pub id: MemberId,
    /// The person.
    pub person_id: PersonId,
    /// The person's address.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// What the member may do.
    pub role: Role,
}

#[derive(sqlx::FromRow)]
struct Row {
    member_id: Uuid,
    person_id: Uuid,
    email: String,
    name: String,
    role: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn stored(row: Row) -> Result<Stored<Member>> {
    Ok(Stored {
        value: Member {
            id: MemberId::from_uuid(row.member_id),
            person_id: PersonId::from_uuid(row.person_id),
            email: row.email,
            name: row.name,
            role: from_name(&row.role)?,
        },
        version: row.version,
        created_at: timestamp(row.created_at),
        updated_at: timestamp(row.updated_at),
    })
}

/// The member with this id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(tx: &mut TenantTx, id: MemberId) -> Result<Stored<Member>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT member_id, person_id, email, name, role, version, m.created_at, m.updated_at
         FROM members m JOIN persons p USING (person_id) WHERE organization_id = $1 AND member_id = $2",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    stored(row.ok_or(StoreError::NotFound)?)
}

/// A page of members after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<MemberId>, limit: u32) -> Result<Page<Stored<Member>>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT member_id, person_id, email, name, role, version, m.created_at, m.updated_at
         FROM members m JOIN persons p USING (person_id)
         WHERE organization_id = $1 AND member_id > $2 ORDER BY member_id LIMIT $3",
    )
    .bind(tx.organization())
    .bind(after.map_or(Uuid::nil(), MemberId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let members: Result<Vec<_>> = rows.into_iter().map(stored).collect();
    Ok(Page::of(members?, limit))
}

/// Adds a person (see [`crate::persons::ensure`]) as member.
///
/// # Errors
/// [`StoreError::Taken`] when the person is a member already.
pub async fn insert(change: &mut Change, id: MemberId, person: PersonId, role: Role) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "INSERT INTO members (organization_id, member_id, person_id, role, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(person.to_uuid())
    .bind(name_of(&role)?)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Changes a member's role.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::VersionConflict`], [`StoreError::Immutable`] for the
/// organization's last owner.
pub async fn update_role(change: &mut Change, id: MemberId, role: Role, expected: Option<i64>) -> Result<()> {
    lock(change, id, expected).await?;
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "UPDATE members SET role = $3, version = version + 1, updated_at = $4
         WHERE organization_id = $1 AND member_id = $2",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(name_of(&role)?)
    .bind(now)
    .execute(change.connection())
    .await?;
    keep_an_owner(change).await
}

/// Removes a member; the person stays.
///
/// # Errors
/// As [`update_role`].
pub async fn delete(change: &mut Change, id: MemberId, expected: Option<i64>) -> Result<()> {
    lock(change, id, expected).await?;
    let organization = change.organization();
    sqlx::query("DELETE FROM members WHERE organization_id = $1 AND member_id = $2")
        .bind(organization)
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
    keep_an_owner(change).await
}

/// Locks all owners and the member: two changes cannot each remove the other's last owner.
async fn lock(change: &mut Change, id: MemberId, expected: Option<i64>) -> Result<()> {
    let organization = change.organization();
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT member_id, version FROM members
         WHERE organization_id = $1 AND (member_id = $2 OR role = 'owner') ORDER BY member_id FOR UPDATE",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .fetch_all(change.connection())
    .await?;
    let found = rows.into_iter().find(|(member, _)| *member == id.to_uuid());
    let (_, current) = found.ok_or(StoreError::NotFound)?;
    match expected {
        Some(version) if version != current => Err(StoreError::VersionConflict { current }),
        _ => Ok(()),
    }
}

async fn keep_an_owner(change: &mut Change) -> Result<()> {
    let organization = change.organization();
    let (left,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT FROM members WHERE organization_id = $1 AND role = 'owner')")
            .bind(organization)
            .fetch_one(change.connection())
            .await?;
    if left { Ok(()) } else { Err(StoreError::Immutable("the last owner")) }
}
