//! Root keys: which there are, and what they wrap. This crate stores bytes that it cannot open.

use tidegate_types::{OrganizationId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::change::Change;
use crate::connect::Store;
use crate::convert::{signed32, time};
use crate::tenant::TenantTx;

/// A root key as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct RootRow {
    /// Version, from 1.
    pub version: u32,
    /// Who wrapped it.
    pub wrapper: String,
    /// The wrapped bytes.
    pub wrapped: Vec<u8>,
    /// `pending`, `active` or `retiring`.
    pub state: String,
}

impl std::fmt::Debug for RootRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { version, wrapper, state, .. } = self;
        f.debug_struct("RootRow")
            .field("version", version)
            .field("wrapper", wrapper)
            .field("state", state)
            .finish()
    }
}

/// The root keys, the active one first, then the newest.
///
/// # Errors
/// When the database is away.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<RootRow>> {
    let rows: Vec<(i32, String, Vec<u8>, String)> = sqlx::query_as(
        "SELECT version, wrapper, wrapped, state FROM root_keys ORDER BY state <> 'active', version DESC",
    )
    .fetch_all(tx.connection())
    .await?;
    let row = |(version, wrapper, wrapped, state): (i32, _, _, _)| RootRow {
        version: version.unsigned_abs(),
        wrapper,
        wrapped,
        state,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Adds a root key. False when that version exists already.
///
/// # Errors
/// When the database is away.
pub async fn insert(change: &mut Change, row: &RootRow) -> Result<bool> {
    let now = time(change.now());
    let inserted = sqlx::query(
        "INSERT INTO root_keys (version, wrapper, wrapped, state, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING",
    )
    .bind(signed32(row.version))
    .bind(&row.wrapper)
    .bind(&row.wrapped)
    .bind(&row.state)
    .bind(now)
    .execute(change.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The pending root key wraps from now on, all others retire.
///
/// # Errors
/// When the database is away.
pub async fn activate(change: &mut Change, version: u32) -> Result<()> {
    sqlx::query("UPDATE root_keys SET state = 'retiring' WHERE version <> $1")
        .bind(signed32(version))
        .execute(change.connection())
        .await?;
    sqlx::query("UPDATE root_keys SET state = 'active' WHERE version = $1")
        .bind(signed32(version))
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Forgets root keys that wrap nothing any more.
///
/// # Errors
/// When the database is away.
pub async fn forget_retiring(change: &mut Change) -> Result<()> {
    sqlx::query("DELETE FROM root_keys WHERE state = 'retiring'").execute(change.connection()).await?;
    Ok(())
}

/// A secret of the installation, wrapped; it is written first when there is none.
///
/// # Errors
/// When the database is away.
pub async fn installation_secret(change: &mut Change, name: &str, fresh: &[u8]) -> Result<Vec<u8>> {
    let now = time(change.now());
    sqlx::query(
        "INSERT INTO installation_secrets (name, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(fresh)
    .bind(now)
    .execute(change.connection())
    .await?;
    let (wrapped,) = sqlx::query_as("SELECT wrapped FROM installation_secrets WHERE name = $1")
        .bind(name)
        .fetch_one(change.connection())
        .await?;
    Ok(wrapped)
}

/// What a root key wraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The key of a pool.
    PoolKey(String, u32),
    /// A pepper.
    Pepper(u32),
    /// The authority's private key.
    Authority(u32),
    /// A data key of the bound organization.
    DataKey(u32),
    /// A secret of the installation.
    Installation(String),
}

/// Everything above organizations that a root key wraps.
///
/// # Errors
/// When the database is away.
pub async fn wrapped_above(tx: &mut TenantTx) -> Result<Vec<(Place, Vec<u8>)>> {
    let mut all = Vec::new();
    let rows: Vec<(String, i32, Vec<u8>)> =
        sqlx::query_as("SELECT pool, version, wrapped FROM pool_keys").fetch_all(tx.connection()).await?;
    all.extend(rows.into_iter().map(|(pool, n, bytes)| (Place::PoolKey(pool, n.unsigned_abs()), bytes)));
    let rows: Vec<(i32, Vec<u8>)> =
        sqlx::query_as("SELECT version, wrapped FROM peppers").fetch_all(tx.connection()).await?;
    all.extend(rows.into_iter().map(|(n, bytes)| (Place::Pepper(n.unsigned_abs()), bytes)));
    let rows: Vec<(i32, Vec<u8>)> =
        sqlx::query_as("SELECT version, wrapped_key FROM certificate_authorities")
            .fetch_all(tx.connection())
            .await?;
    all.extend(rows.into_iter().map(|(n, bytes)| (Place::Authority(n.unsigned_abs()), bytes)));
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT name, wrapped FROM installation_secrets").fetch_all(tx.connection()).await?;
    all.extend(rows.into_iter().map(|(name, bytes)| (Place::Installation(name), bytes)));
    Ok(all)
}

/// Puts newly wrapped bytes in the place of the old ones, unless somebody else was there first.
///
/// # Errors
/// When the database is away.
pub async fn rewrap(change: &mut Change, place: &Place, old: &[u8], new: &[u8]) -> Result<()> {
    let organization = change.organization();
    let query = match place {
        Place::PoolKey(pool, version) => {
            sqlx::query("UPDATE pool_keys SET wrapped = $2 WHERE wrapped = $1 AND pool = $3 AND version = $4")
                .bind(old)
                .bind(new)
                .bind(pool)
                .bind(signed32(*version))
        }
        Place::Pepper(version) => {
            sqlx::query("UPDATE peppers SET wrapped = $2 WHERE wrapped = $1 AND version = $3")
                .bind(old)
                .bind(new)
                .bind(signed32(*version))
        }
        Place::Authority(version) => sqlx::query(
            "UPDATE certificate_authorities SET wrapped_key = $2 WHERE wrapped_key = $1 AND version = $3",
        )
        .bind(old)
        .bind(new)
        .bind(signed32(*version)),
        Place::DataKey(version) => sqlx::query(
            "UPDATE data_keys SET wrapped = $2 WHERE wrapped = $1 AND organization_id = $3 AND version = $4",
        )
        .bind(old)
        .bind(new)
        .bind(organization)
        .bind(signed32(*version)),
        Place::Installation(name) => {
            sqlx::query("UPDATE installation_secrets SET wrapped = $2 WHERE wrapped = $1 AND name = $3")
                .bind(old)
                .bind(new)
                .bind(name)
        }
    };
    query.execute(change.connection()).await?;
    Ok(())
}

/// Every organization, the system's own first.
///
/// # Errors
/// When the database is away.
pub async fn organizations(store: &Store) -> Result<Vec<OrganizationId>> {
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("SELECT organization_id FROM organizations ORDER BY organization_id")
            .fetch_all(store.feed())
            .await?;
    let named = rows.into_iter().map(|(id,)| OrganizationId::from_uuid(id));
    Ok(std::iter::once(OrganizationId::SYSTEM)
        .chain(named.filter(|id| *id != OrganizationId::SYSTEM))
        .collect())
}

/// A secret under an organization's data key.
#[derive(Clone, PartialEq, Eq)]
pub struct Enveloped {
    /// A credential's, or a webhook's (its present one, or the one before).
    pub kind: EnvelopedKind,
    /// Its id.
    pub id: Uuid,
    /// Version of the secret.
    pub secret_version: u32,
    /// Version of the data key.
    pub data_key_version: u32,
    /// The bytes.
    pub ciphertext: Vec<u8>,
}

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopedKind {
    /// A credential's.
    Credential,
    /// A webhook's.
    Webhook,
    /// A webhook's, the one before.
    OldWebhook,
    /// The headers of an exporter of traces.
    Exporter,
}

/// The bound organization's secrets under another data key than `version`.
///
/// # Errors
/// When the database is away.
pub async fn enveloped(tx: &mut TenantTx, version: u32) -> Result<Vec<Enveloped>> {
    let rows: Vec<(String, Uuid, i32, i32, Vec<u8>)> = sqlx::query_as(
        "SELECT 'credential', credential_id, secret_version, data_key_version, ciphertext FROM credentials
             WHERE organization_id = $1 AND data_key_version <> $2
         UNION ALL SELECT 'webhook', webhook_id, secret_version, data_key_version, secret FROM webhooks
             WHERE organization_id = $1 AND data_key_version <> $2
         UNION ALL SELECT 'old', webhook_id, secret_version - 1, old_data_key_version, old_secret FROM webhooks
             WHERE organization_id = $1 AND old_data_key_version <> $2 AND old_secret IS NOT NULL
         UNION ALL SELECT 'exporter', exporter_id, secret_version, data_key_version, secret FROM exporters
             WHERE organization_id = $1 AND data_key_version <> $2",
    )
    .bind(tx.organization())
    .bind(signed32(version))
    .fetch_all(tx.connection())
    .await?;
    let row = |(kind, id, secret, data_key, ciphertext): (String, _, i32, i32, _)| Enveloped {
        kind: match kind.as_str() {
            "credential" => EnvelopedKind::Credential,
            "webhook" => EnvelopedKind::Webhook,
            "exporter" => EnvelopedKind::Exporter,
            _ => EnvelopedKind::OldWebhook,
        },
        id,
        secret_version: secret.unsigned_abs(),
        data_key_version: data_key.unsigned_abs(),
        ciphertext,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Puts a newly encrypted secret in the place of the old one, unless that was changed meanwhile.
///
/// # Errors
/// When the database is away.
pub async fn reenvelop(change: &mut Change, old: &Enveloped, version: u32, ciphertext: &[u8]) -> Result<()> {
    let statement = match old.kind {
        EnvelopedKind::Credential => {
            "UPDATE credentials SET ciphertext = $4, data_key_version = $5
             WHERE organization_id = $1 AND credential_id = $2 AND ciphertext = $3"
        }
        EnvelopedKind::Webhook => {
            "UPDATE webhooks SET secret = $4, data_key_version = $5
             WHERE organization_id = $1 AND webhook_id = $2 AND secret = $3"
        }
        EnvelopedKind::OldWebhook => {
            "UPDATE webhooks SET old_secret = $4, old_data_key_version = $5
             WHERE organization_id = $1 AND webhook_id = $2 AND old_secret = $3"
        }
        EnvelopedKind::Exporter => {
            "UPDATE exporters SET secret = $4, data_key_version = $5
             WHERE organization_id = $1 AND exporter_id = $2 AND secret = $3"
        }
    };
    let organization = change.organization();
    sqlx::query(statement)
        .bind(organization)
        .bind(old.id)
        .bind(&old.ciphertext)
        .bind(ciphertext)
        .bind(signed32(version))
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Forgets the bound organization's data keys before this version.
///
/// # Errors
/// When the database is away.
pub async fn forget_data_keys(change: &mut Change, before: u32) -> Result<()> {
    let organization = change.organization();
    sqlx::query("DELETE FROM data_keys WHERE organization_id = $1 AND version < $2")
        .bind(organization)
        .bind(signed32(before))
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Forgets a pool's keys before this version.
///
/// # Errors
/// When the database is away.
pub async fn forget_pool_keys(change: &mut Change, pool: &str, before: u32) -> Result<()> {
    sqlx::query("DELETE FROM pool_keys WHERE pool = $1 AND version < $2")
        .bind(pool)
        .bind(signed32(before))
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Retires peppers other than the newest that no key uses which may still sign in.
///
/// # Errors
/// When the database is away.
pub async fn retire_peppers(store: &Store, now: Timestamp) -> Result<Vec<u32>> {
    let rows: Vec<(i32,)> =
        sqlx::query_as("SELECT * FROM retire_peppers($1)").bind(time(now)).fetch_all(store.feed()).await?;
    Ok(rows.into_iter().map(|(version,)| version.unsigned_abs()).collect())
}
