//! Service tokens of the management API. Only the hash of a token is kept.

use chrono::{DateTime, Utc};
use tidegate_types::{ServiceTokenId, Timestamp};
use uuid::Uuid;

use crate::actor::{PlatformRole, Role};
use crate::change::Change;
use crate::convert::{from_name, name_of, time, timestamp};
use crate::document::{one_more, seen};
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError};

/// A service token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// Identity.
    pub id: ServiceTokenId,
    /// Name for people, unique in the organization.
    pub name: String,
    /// What it may do in its organization.
    pub role: Role,
    /// What it may do above organizations.
    pub platform_role: Option<PlatformRole>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Refused from this time on.
    pub expires_at: Option<Timestamp>,
    /// Refused since.
    pub revoked_at: Option<Timestamp>,
    /// Counts its versions (ETag).
    pub version: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    token_id: Uuid,
    name: String,
    role: String,
    platform_role: Option<String>,
    created_by: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    version: i64,
}

fn token(row: Row) -> Result<ServiceToken> {
    Ok(ServiceToken {
        id: ServiceTokenId::from_uuid(row.token_id),
        name: row.name,
        role: from_name(&row.role)?,
        platform_role: row.platform_role.as_deref().map(from_name).transpose()?,
        created_by: row.created_by,
        created_at: timestamp(row.created_at),
        expires_at: row.expires_at.map(timestamp),
        revoked_at: row.revoked_at.map(timestamp),
        version: row.version,
    })
}

/// The token with this id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(tx: &mut TenantTx, id: ServiceTokenId) -> Result<ServiceToken> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT token_id, name, role, platform_role, created_by, created_at, expires_at, revoked_at, version
         FROM service_tokens WHERE organization_id = $1 AND token_id = $2",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    token(row.ok_or(StoreError::NotFound)?)
}

/// A page of tokens after `after`, revoked ones included.
///
/// # Errors
/// When the database is away.
pub async fn list(
    tx: &mut TenantTx,
    after: Option<ServiceTokenId>,
    limit: u32,
) -> Result<Page<ServiceToken>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT token_id, name, role, platform_role, created_by, created_at, expires_at, revoked_at, version
         FROM service_tokens WHERE organization_id = $1 AND token_id > $2 ORDER BY token_id LIMIT $3",
    )
    .bind(tx.organization())
    .bind(after.map_or(Uuid::nil(), ServiceTokenId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    let tokens: Result<Vec<_>> = rows.into_iter().map(token).collect();
    Ok(Page::of(tokens?, limit))
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServiceToken<'a> {
    /// Identity, part of the token's text.
    pub id: ServiceTokenId,
    /// Name for people, unique in the organization.
    pub name: &'a str,
    /// What it may do in its organization.
    pub role: Role,
    /// What it may do above organizations; only platform administrators give this.
    pub platform_role: Option<PlatformRole>,
    /// SHA-256 of the token's text.
    pub token_hash: [u8; 32],
    /// Refused from this time on.
    pub expires_at: Option<Timestamp>,
}

/// Adds a token.
///
/// # Errors
/// [`StoreError::Taken`] for a name in use; [`StoreError::NotFound`] for a platform role that the
/// actor cannot give.
pub async fn insert(change: &mut Change, token: &NewServiceToken<'_>) -> Result<()> {
    if token.platform_role.is_some() && change.actor().platform() != Some(PlatformRole::PlatformAdmin) {
        return Err(StoreError::NotFound);
    }
    let (organization, now, who) = (change.organization(), time(change.now()), change.who().to_string());
    sqlx::query(
        "INSERT INTO service_tokens (organization_id, token_id, name, role, platform_role, token_hash, created_by,
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(organization)
    .bind(token.id.to_uuid())
    .bind(token.name)
    .bind(name_of(&token.role)?)
    .bind(token.platform_role.map(|role| name_of(&role)).transpose()?)
    .bind(token.token_hash.as_slice())
    .bind(who)
    .bind(now)
    .bind(token.expires_at.map(time))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Revokes a token for ever. Its name becomes free.
///
/// # Errors
/// [`StoreError::NotFound`], also for a revoked one; [`StoreError::VersionConflict`].
pub async fn revoke(change: &mut Change, id: ServiceTokenId, expected: Option<i64>) -> Result<()> {
    let current = get(change, id).await?;
    if current.revoked_at.is_some() {
        return Err(StoreError::NotFound);
    }
    if expected.is_some_and(|version| version != current.version) {
        return Err(StoreError::VersionConflict { current: current.version });
    }
    let (organization, now) = (change.organization(), time(change.now()));
    let revoked = sqlx::query(
        "UPDATE service_tokens SET revoked_at = $3, version = version + 1
         WHERE organization_id = $1 AND token_id = $2 AND revoked_at IS NULL AND version = $4",
    )
    .bind(organization)
    .bind(id.to_uuid())
    .bind(now)
    .bind(current.version)
    .execute(change.connection())
    .await?;
    seen(revoked.rows_affected(), current.version)
}
