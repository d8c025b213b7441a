//! Reading resources: whole, from the document that their last change wrote.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_types::id::{Id, IdKind};
use tidegate_types::resource::{Resource, ResourceKey, ResourceKind};
use tidegate_types::{OrganizationId, Timestamp};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::timestamp;
use crate::tenant::TenantTx;
use crate::{Result, StoreError, later};

/// A stored value with what the store knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// Counts its versions from 1 (ETag).
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One page, in the order of ids (which is the order of creation).
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The page's items.
    pub data: Vec<T>,
    /// Whether more follow; then the last item's id is the cursor.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// A page of `limit` from a look-up of one more than that.
    pub(crate) fn of(mut data: Vec<T>, limit: u32) -> Self {
        let limit = limit as usize;
        let has_more = data.len() > limit;
        data.truncate(limit);
        Self { data, has_more }
    }
}

/// Rows to ask for so that a page of `limit` knows whether more follow.
pub(crate) fn one_more(limit: u32) -> i64 {
    i64::from(limit) + 1
}

/// Of a write to the version that was seen: whether it met a row.
pub(crate) const fn seen(rows: u64, version: i64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(StoreError::VersionConflict { current: version + 1 }) }
}

type Row = (Value, i64, DateTime<Utc>, DateTime<Utc>);

/// Unwraps the variant that a kind's documents hold.
pub(crate) type Unwrap<T> = fn(Resource) -> Option<T>;

fn read<T>(row: Row, unwrap: Unwrap<T>) -> Result<Stored<T>> {
    let (content, version, created_at, updated_at) = row;
    let value = unwrap(later::read(content)?).ok_or(StoreError::Unreadable("resource"))?;
    Ok(Stored { value, version, created_at: timestamp(created_at), updated_at: timestamp(updated_at) })
}

/// The owner's resource with this id; owners other than the bound organization have none,
/// but for the shared catalogue.
pub(crate) async fn get<T, K: IdKind>(
    tx: &mut TenantTx,
    owner: OrganizationId,
    kind: ResourceKind,
    id: Id<K>,
    unwrap: Unwrap<T>,
) -> Result<Stored<T>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT content, version, created_at, updated_at FROM config_written
         WHERE organization_id = $1 AND kind = $2 AND uid = $3 AND content IS NOT NULL",
    )
    .bind(owner.to_uuid())
    .bind(kind.as_str())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    read(row.ok_or(StoreError::NotFound)?, unwrap)
}

/// The owner's resources after `after` whose document contains `part` (`{}`: all).
pub(crate) async fn list<T, K: IdKind>(
    tx: &mut TenantTx,
    owner: OrganizationId,
    kind: ResourceKind,
    part: Value,
    after: Option<Id<K>>,
    limit: u32,
    unwrap: Unwrap<T>,
) -> Result<Page<Stored<T>>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT content, version, created_at, updated_at FROM config_written
         WHERE organization_id = $1 AND kind = $2 AND uid > $3 AND content @> $4 ORDER BY uid LIMIT $5",
    )
    .bind(owner.to_uuid())
    .bind(kind.as_str())
    .bind(after.map_or(Uuid::nil(), Id::to_uuid))
    .bind(part)
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let data: Result<Vec<_>> = rows.into_iter().map(|row| read(row, unwrap)).collect();
    Ok(Page::of(data?, limit))
}

/// Locks the document for a new version of it until the change ends. Refuses when the caller saw another version, and
/// when a later release wrote something there that the new version would lose.
pub(crate) async fn lock<K: IdKind>(
    change: &mut Change,
    kind: ResourceKind,
    id: Id<K>,
    expected: Option<i64>,
) -> Result<i64> {
    let version = lock_to_end(change, kind, id, expected).await?;
    let organization = change.organization();
    let (content, requires): (Value, Option<Vec<String>>) = sqlx::query_as(
        "SELECT content, requires FROM config_written WHERE organization_id = $1 AND kind = $2 AND uid = $3",
    )
    .bind(organization)
    .bind(kind.as_str())
    .bind(id.to_uuid())
    .fetch_one(change.connection())
    .await?;
    later::refuse(&content, requires.as_deref())?;
    Ok(version)
}

/// Locks the document as [`lock`] does, but to end it: nobody needs to know all of what he takes away.
pub(crate) async fn lock_to_end<K: IdKind>(
    change: &mut Change,
    kind: ResourceKind,
    id: Id<K>,
    expected: Option<i64>,
) -> Result<i64> {
    let organization = change.organization();
    let mut statement = "SELECT version FROM config_resources
         WHERE organization_id = $1 AND kind = $2 AND uid = $3 AND content IS NOT NULL FOR UPDATE";
    if change.organization_id() == OrganizationId::SYSTEM {
        // What is staged in its place is read once the released version is locked: only then does it stand still.
        sqlx::query(
            "SELECT FROM config_resources WHERE organization_id = $1 AND kind = $2 AND uid = $3 FOR UPDATE",
        )
        .bind(organization)
        .bind(kind.as_str())
        .bind(id.to_uuid())
        .execute(change.connection())
        .await?;
        statement = "SELECT version FROM config_written
             WHERE organization_id = $1 AND kind = $2 AND uid = $3 AND content IS NOT NULL";
    }
    let row: Option<(i64,)> = sqlx::query_as(statement)
        .bind(organization)
        .bind(kind.as_str())
        .bind(id.to_uuid())
        .fetch_optional(change.connection())
        .await?;
    let (current,) = row.ok_or(StoreError::NotFound)?;
    match expected {
        Some(version) if version != current => Err(StoreError::VersionConflict { current }),
        _ => Ok(current),
    }
}

/// Notes the deletion of a locked document.
pub(crate) fn remove<K: IdKind>(change: &mut Change, kind: ResourceKind, id: Id<K>) {
    let organization_id = change.organization_id();
    change.remove(Some(id.to_uuid()), ResourceKey { organization_id, kind, id: id.to_string() });
}

/// Every resource of the bound organization, and of the shared catalogue: what a new version is
/// checked against before it is stored. Parents come before children. What of the catalogue only a later release can
/// read is left out, as this release's nodes do: it is in no organization's way.
///
/// # Errors
/// When the database is away; [`StoreError::Later`] for what is the organization's own.
pub async fn resources(tx: &mut TenantTx, kinds: &[ResourceKind]) -> Result<Vec<Resource>> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let own = tx.organization();
    let rows: Vec<(Uuid, Value)> = sqlx::query_as(
        "SELECT organization_id, content FROM config_written
         WHERE organization_id IN ($1, '00000000-0000-0000-0000-000000000000') AND kind = ANY($2) AND content IS NOT NULL
         ORDER BY array_position($2, kind), id",
    )
    .bind(own)
    .bind(&kinds)
    .fetch_all(tx.connection())
    .await?;
    let read = rows.into_iter().map(|(owner, content)| (owner == own, later::read(content)));
    read.filter(|(is_own, read)| *is_own || read.is_ok()).map(|(_, read)| read).collect()
}
