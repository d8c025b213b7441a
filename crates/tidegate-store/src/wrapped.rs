//! Key material, wrapped by the key-encryption key: pool keys, data keys, peppers, the authority.
//!
//! This crate stores bytes that it cannot open. All of it is reached by the control plane's own
//! parts ([`crate::SystemActor`]), data keys also by the organization's actors.

use chrono::{DateTime, Utc};
use tidegate_types::Timestamp;

use crate::Result;
use crate::change::Change;
use crate::convert::{signed32, time, timestamp};
use crate::tenant::TenantTx;

/// A wrapped key.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Version, from 1.
    pub version: u32,
    /// The wrapped bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wrapped").field("version", &self.version).finish_non_exhaustive()
    }
}

fn wrapped((version, bytes): (i32, Vec<u8>)) -> Wrapped {
    Wrapped { version: version.unsigned_abs(), bytes }
}

/// Names of the pools.
///
/// # Errors
/// When the database is away.
pub async fn pools(tx: &mut TenantTx) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT pool FROM pools ORDER BY pool").fetch_all(tx.connection()).await?;
    Ok(rows.into_iter().map(|(pool,)| pool).collect())
}

/// The pool's keys, newest first.
///
/// # Errors
/// When the database is away.
pub async fn pool_keys(tx: &mut TenantTx, pool: &str) -> Result<Vec<Wrapped>> {
    let rows = sqlx::query_as("SELECT version, wrapped FROM pool_keys WHERE pool = $1 ORDER BY version DESC")
        .bind(pool)
        .fetch_all(tx.connection())
        .await?;
    Ok(rows.into_iter().map(wrapped).collect())
}

/// Adds a pool key. False when that version exists already (somebody else was first: read again).
///
/// # Errors
/// [`crate::StoreError::Dangling`] for an unknown pool.
pub async fn insert_pool_key(change: &mut Change, pool: &str, key: &Wrapped) -> Result<bool> {
    let now = time(change.now());
    let inserted = sqlx::query(
        "INSERT INTO pool_keys (pool, version, wrapped, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(pool)
    .bind(signed32(key.version))
    .bind(&key.bytes)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The bound organization's data keys, newest first.
///
/// # Errors
/// When the database is away.
pub async fn data_keys(tx: &mut TenantTx) -> Result<Vec<Wrapped>> {
    let rows = sqlx::query_as(
        "SELECT version, wrapped FROM data_keys WHERE organization_id = $1 ORDER BY version DESC",
    )
    .bind(tx.organization())
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(wrapped).collect())
}

/// Adds a data key for the bound organization. False when that version exists already.
///
/// # Errors
/// When the database is away.
pub async fn insert_data_key(change: &mut Change, key: &Wrapped) -> Result<bool> {
    let (organization, now) = (change.organization(), time(change.now()));
    let inserted = sqlx::query(
        "INSERT INTO data_keys (organization_id, version, wrapped, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(organization)
    .bind(signed32(key.version))
    .bind(&key.bytes)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The peppers that are not retired, newest first.
///
/// # Errors
/// When the database is away.
pub async fn peppers(tx: &mut TenantTx) -> Result<Vec<Wrapped>> {
    let rows =
        sqlx::query_as("SELECT version, wrapped FROM peppers WHERE retired_at IS NULL ORDER BY version DESC")
            .fetch_all(tx.connection())
            .await?;
    Ok(rows.into_iter().map(wrapped).collect())
}

/// Adds a pepper. False when that version exists already.
///
/// # Errors
/// When the database is away.
pub async fn insert_pepper(change: &mut Change, pepper: &Wrapped) -> Result<bool> {
    let now = time(change.now());
    let inserted = sqlx::query(
        "INSERT INTO peppers (version, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(signed32(pepper.version))
    .bind(&pepper.bytes)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The certificate authority.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// Version, from 1.
    pub version: u32,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("version", &self.version).finish_non_exhaustive()
    }
}

type AuthorityRow = (i32, Vec<u8>, Vec<u8>, DateTime<Utc>);

/// The authorities, newest first: the newest signs, all are trusted.
///
/// # Errors
/// When the database is away.
pub async fn authorities(tx: &mut TenantTx) -> Result<Vec<Authority>> {
    let rows: Vec<AuthorityRow> = sqlx::query_as(
        "SELECT version, certificate, wrapped_key, created_at FROM certificate_authorities ORDER BY version DESC",
    )
    .fetch_all(tx.connection())
    .await?;
    let authorities = rows.into_iter().map(|(version, certificate, wrapped_key, created_at)| Authority {
        version: version.unsigned_abs(),
        certificate,
        wrapped_key,
        created_at: timestamp(created_at),
    });
    Ok(authorities.collect())
}

/// Adds an authority. False when that version exists already.
///
/// # Errors
/// When the database is away.
pub async fn insert_authority(change: &mut Change, authority: &Authority) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO certificate_authorities (version, certificate, wrapped_key, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(signed32(authority.version))
    .bind(&authority.certificate)
    .bind(&authority.wrapped_key)
    .bind(time(authority.created_at))
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// When a data key of the bound organization was made.
///
/// # Errors
/// [`crate::StoreError::NotFound`].
pub async fn data_key_made_at(tx: &mut TenantTx, version: u32) -> Result<Timestamp> {
    let (at,): (DateTime<Utc>,) =
        sqlx::query_as("SELECT created_at FROM data_keys WHERE organization_id = $1 AND version = $2")
            .bind(tx.organization())
            .bind(signed32(version))
            .fetch_one(tx.connection())
            .await?;
    Ok(timestamp(at))
}

/// When a pool's key was made.
///
/// # Errors
/// [`crate::StoreError::NotFound`].
pub async fn pool_key_made_at(tx: &mut TenantTx, pool: &str, version: u32) -> Result<Timestamp> {
    let (at,): (DateTime<Utc>,) =
        sqlx::query_as("SELECT created_at FROM pool_keys WHERE pool = $1 AND version = $2")
            .bind(pool)
            .bind(signed32(version))
            .fetch_one(tx.connection())
            .await?;
    Ok(timestamp(at))
}

/// When a pepper was made.
///
/// # Errors
/// [`crate::StoreError::NotFound`].
pub async fn pepper_made_at(tx: &mut TenantTx, version: u32) -> Result<Timestamp> {
    let (at,): (DateTime<Utc>,) = sqlx::query_as("SELECT created_at FROM peppers WHERE version = $1")
        .bind(signed32(version))
        .fetch_one(tx.connection())
        .await?;
    Ok(timestamp(at))
}

/// Whether the newest pepper is so young that some nodes may not have it.
///
/// # Errors
/// When the database is away.
pub async fn newest_pepper_is_young(tx: &mut TenantTx) -> Result<bool> {
    let (young,): (bool,) = sqlx::query_as(
        "SELECT coalesce(max(created_at) > now() - interval '4 seconds', false) FROM peppers WHERE retired_at IS NULL",
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(young)
}
