//! Readable forms of keyed hashes. Filled only where the organization's policy lets labels be kept.

use std::collections::HashMap;

use tidegate_types::LabelHash;

use crate::Result;
use crate::change::Change;
use crate::tenant::TenantTx;

/// Notes the readable form of a hash; a hash that is known keeps its first form.
///
/// # Errors
/// When the database is away.
pub async fn put(change: &mut Change, hash: LabelHash, kind: &str, text: &str) -> Result<()> {
    let organization = change.organization();
    sqlx::query("INSERT INTO labels (organization_id, hash, kind, text) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
        .bind(organization)
        .bind(hash.as_bytes().as_slice())
        .bind(kind)
        .bind(text)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Readable forms of the hashes that have one.
///
/// # Errors
/// When the database is away.
pub async fn texts(tx: &mut TenantTx, hashes: &[LabelHash]) -> Result<HashMap<LabelHash, String>> {
    let wanted: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
    let rows: Vec<(Vec<u8>, String)> =
        sqlx::query_as("SELECT hash, text FROM labels WHERE organization_id = $1 AND hash = ANY($2)")
            .bind(tx.organization())
            .bind(&wanted)
            .fetch_all(tx.connection())
            .await?;
    let texts = rows
        .into_iter()
        .filter_map(|(hash, text)| Some((LabelHash::from_bytes(hash.try_into().ok()?), text)));
    Ok(texts.collect())
}
