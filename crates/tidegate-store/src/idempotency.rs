//! Idempotency keys: claimed and answered in the transaction of the change that they guard.
//!
//! A second request with the same key waits for the first one's commit, then replays its
//! answer. When the first one rolls back, the key is free again.

use tidegate_types::Timestamp;

use crate::change::Change;
use crate::convert::time;
use crate::{Result, StoreError};

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The key is new: go on, and [`answer`] before the commit.
    Fresh,
    /// The same request was answered before.
    Replay {
        /// Its HTTP status.
        status: u16,
        /// Its body, as handed to [`answer`].
        body: Vec<u8>,
    },
    /// The key was used for another request.
    Mismatch,
}

/// Claims a key for the bound organization. `fingerprint`: SHA-256 of who asks for what.
///
/// # Errors
/// When the database is away.
pub async fn claim(
    change: &mut Change,
    key: &str,
    fingerprint: &[u8; 32],
    expires_at: Timestamp,
) -> Result<Claim> {
    let (organization, now) = (change.organization(), time(change.now()));
    let claimed = sqlx::query(
        "INSERT INTO idempotency_keys AS k (organization_id, key, fingerprint, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organization_id, key) DO UPDATE
             SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, status = NULL, body = NULL
             WHERE k.expires_at <= $5",
    )
    .bind(organization)
    .bind(key)
    .bind(fingerprint.as_slice())
    .bind(time(expires_at))
    .bind(now)
    .execute(change.connection())
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claim::Fresh);
    }
    let (earlier, status, body): (Vec<u8>, Option<i16>, Option<Vec<u8>>) = sqlx::query_as(
        "SELECT fingerprint, status, body FROM idempotency_keys WHERE organization_id = $1 AND key = $2",
    )
    .bind(organization)
    .bind(key)
    .fetch_one(change.connection())
    .await?;
    match (status, body) {
        (Some(status), Some(body)) if earlier == fingerprint => {
            Ok(Claim::Replay { status: status.unsigned_abs(), body })
        }
        _ => Ok(Claim::Mismatch),
    }
}

/// Keeps the answer to replay. Give an encrypted or redacted body where it held a secret.
///
/// # Errors
/// [`StoreError::NotFound`] when the key was not claimed.
pub async fn answer(change: &mut Change, key: &str, status: u16, body: &[u8]) -> Result<()> {
    let organization = change.organization();
    let kept = sqlx::query(
        "UPDATE idempotency_keys SET status = $3, body = $4 WHERE organization_id = $1 AND key = $2",
    )
    .bind(organization)
    .bind(key)
    .bind(i16::try_from(status).unwrap_or(i16::MAX))
    .bind(body)
    .execute(change.connection())
    .await?;
    if kept.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound) }
}
