//! Exporters: where an organization wants the traces of its calls. Their headers are kept encrypted.

mod queue;

use chrono::{DateTime, Utc};
use tidegate_types::Timestamp;
use tidegate_types::id::{Id, IdKind};
use uuid::Uuid;

use crate::change::Change;
use crate::convert::{signed32, time, timestamp, unsigned};
use crate::document::{one_more, seen};
use crate::tenant::TenantTx;
use crate::{Page, Result, StoreError};

pub use queue::{Came, Due, claim, depth, record};
pub(crate) use queue::{MOST_WAITING, enqueue};

/// Marker of exporter ids.
#[derive(Debug, Clone, Copy)]
pub struct ExporterMarker;

impl IdKind for ExporterMarker {
    const PREFIX: &'static str = "exp";
}

/// An exporter's id, `exp_…`.
pub type ExporterId = Id<ExporterMarker>;

/// An exporter's headers as they are kept: this crate cannot open them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedHeaders {
    /// Names of the headers, in lower case.
    pub names: Vec<String>,
    /// Counts the exporter's sets of headers from 1.
    pub secret_version: u32,
    /// The organization's data key under which they are encrypted.
    pub data_key_version: u32,
    /// The encrypted bytes: a JSON object.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for SealedHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedHeaders").field("names", &self.names).finish_non_exhaustive()
    }
}

/// What may be said about an exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    /// Identity.
    pub id: ExporterId,
    /// Name for people, unique in the organization.
    pub name: String,
    /// Where traces are posted (OTLP/HTTP), with its path.
    pub url: String,
    /// Whether traces go there.
    pub enabled: bool,
}

/// What came of an exporter's work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Calls that the collector took.
    pub sent: u64,
    /// Calls that were given up.
    pub dropped: u64,
    /// When it took some last.
    pub last_sent_at: Option<Timestamp>,
    /// When an attempt failed last.
    pub last_failed_at: Option<Timestamp>,
    /// HTTP status of the last answer that was a failure.
    pub last_status: Option<u16>,
    /// Why the last attempt failed, one word of a closed list; none after a success.
    pub last_error: Option<String>,
}

/// A stored exporter, without the values of its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredExporter {
    /// The exporter.
    pub exporter: Exporter,
    /// Names of the headers that are sent.
    pub header_names: Vec<String>,
    /// Counts the sets of headers from 1.
    pub secret_version: u32,
    /// What came of it.
    pub progress: Progress,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its versions (ETag).
    pub version: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    exporter_id: Uuid,
    name: String,
    url: String,
    enabled: bool,
    header_names: Vec<String>,
    secret_version: i32,
    sent: i64,
    dropped: i64,
    last_sent_at: Option<DateTime<Utc>>,
    last_failed_at: Option<DateTime<Utc>>,
    last_status: Option<i32>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    version: i64,
}

fn stored(row: Row) -> StoredExporter {
    StoredExporter {
        exporter: Exporter {
            id: ExporterId::from_uuid(row.exporter_id),
            name: row.name,
            url: row.url,
            enabled: row.enabled,
        },
        header_names: row.header_names,
        secret_version: row.secret_version.unsigned_abs(),
        progress: Progress {
            sent: unsigned(row.sent),
            dropped: unsigned(row.dropped),
            last_sent_at: row.last_sent_at.map(timestamp),
            last_failed_at: row.last_failed_at.map(timestamp),
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
            last_error: row.last_error,
        },
        created_at: timestamp(row.created_at),
        version: row.version,
    }
}

/// The exporter with this id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(tx: &mut TenantTx, id: ExporterId) -> Result<StoredExporter> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT exporter_id, name, url, enabled, header_names, secret_version, sent, dropped, last_sent_at,
             last_failed_at, last_status, last_error, created_at, version
         FROM exporters WHERE organization_id = $1 AND exporter_id = $2",
    )
    .bind(tx.organization())
    .bind(id.to_uuid())
    .fetch_optional(tx.connection())
    .await?;
    Ok(stored(row.ok_or(StoreError::NotFound)?))
}

/// A page of exporters after `after`.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx, after: Option<ExporterId>, limit: u32) -> Result<Page<StoredExporter>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT exporter_id, name, url, enabled, header_names, secret_version, sent, dropped, last_sent_at,
             last_failed_at, last_status, last_error, created_at, version
         FROM exporters WHERE organization_id = $1 AND exporter_id > $2 ORDER BY exporter_id LIMIT $3",
    )
    .bind(tx.organization())
    .bind(after.map_or(Uuid::nil(), ExporterId::to_uuid))
    .bind(one_more(limit))
    .fetch_all(tx.connection())
    .await?;
    Ok(Page::of(rows.into_iter().map(stored).collect(), limit))
}

/// Adds an exporter. It is given the calls that are stored from now on.
///
/// # Errors
/// [`StoreError::Taken`] for a name in use.
pub async fn insert(change: &mut Change, exporter: &Exporter, headers: &SealedHeaders) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    sqlx::query(
        "INSERT INTO exporters (organization_id, exporter_id, name, url, enabled, header_names, secret, secret_version,
             data_key_version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
    )
    .bind(organization)
    .bind(exporter.id.to_uuid())
    .bind(&exporter.name)
    .bind(&exporter.url)
    .bind(exporter.enabled)
    .bind(&headers.names)
    .bind(&headers.bytes)
    .bind(signed32(headers.secret_version))
    .bind(signed32(headers.data_key_version))
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Stores a new version, and new headers where there are any.
///
/// # Errors
/// [`StoreError::VersionConflict`], [`StoreError::Taken`].
pub async fn update(
    change: &mut Change,
    exporter: &Exporter,
    headers: Option<&SealedHeaders>,
    version: i64,
) -> Result<()> {
    let (organization, now) = (change.organization(), time(change.now()));
    let updated = sqlx::query(
        "UPDATE exporters SET name = $4, url = $5, enabled = $6, header_names = coalesce($7, header_names),
             secret = coalesce($8, secret), secret_version = coalesce($9, secret_version),
             data_key_version = coalesce($10, data_key_version), updated_at = $11, version = version + 1
         WHERE organization_id = $1 AND exporter_id = $2 AND version = $3",
    )
    .bind(organization)
    .bind(exporter.id.to_uuid())
    .bind(version)
    .bind(&exporter.name)
    .bind(&exporter.url)
    .bind(exporter.enabled)
    .bind(headers.map(|headers| &headers.names))
    .bind(headers.map(|headers| &headers.bytes))
    .bind(headers.map(|headers| signed32(headers.secret_version)))
    .bind(headers.map(|headers| signed32(headers.data_key_version)))
    .bind(now)
    .execute(change.connection())
    .await?;
    seen(updated.rows_affected(), version)
}

/// Removes an exporter; what was on its way there is dropped.
///
/// # Errors
/// [`StoreError::VersionConflict`].
pub async fn delete(change: &mut Change, id: ExporterId, version: i64) -> Result<()> {
    let organization = change.organization();
    let deleted =
        sqlx::query("DELETE FROM exporters WHERE organization_id = $1 AND exporter_id = $2 AND version = $3")
            .bind(organization)
            .bind(id.to_uuid())
            .bind(version)
            .execute(change.connection())
            .await?;
    seen(deleted.rows_affected(), version)
}
