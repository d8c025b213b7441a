//! Corrections: a later finding about an attempt, added to its events, once for ever.

use std::collections::HashSet;

use serde_json::json;
use sqlx::postgres::PgConnection;
use tidegate_types::Timestamp;

use super::books::Books;
use super::rows::AttemptKey;
use super::write;
use crate::convert::{time, to_json};
use crate::{Result, StoreError};

/// What was found out about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Its provider billed so much (nano-USD).
    Billed(i64),
    /// Its provider billed nothing.
    Nothing,
}

/// Adds a correction and what follows from it to the books. False: there is one already. The
/// caller has locked the attempt's node ([`super::lock_node`]).
pub(crate) async fn correct(
    connection: &mut PgConnection,
    key: &AttemptKey,
    finding: Finding,
    now: Timestamp,
    books: &mut Books,
) -> Result<bool> {
    let keys = HashSet::from([key.clone()]);
    crate::rerate::take_back(connection, key, now).await?;
    let before = write::attempts(connection, &keys).await?.remove(key).ok_or(StoreError::NotFound)?;
    let (outcome, method, cost) = match finding {
        Finding::Billed(cost) => ("completed", "reported", cost),
        Finding::Nothing => ("refused", "nothing", 0),
    };
    let patch = json!({
        "kind": "correction", "at": to_json(&time(now), "time")?, "outcome": outcome, "method": method,
        "cost": cost, "node_cost": cost, "node_id": uuid::Uuid::nil(), "boot": 0, "lane": 0, "sequence": 0,
    });
    let added = sqlx::query(
        "INSERT INTO billing_events SELECT (jsonb_populate_record(NULL::billing_events, to_jsonb(e) || $5)).*
         FROM (SELECT * FROM billing_events WHERE organization_id = $1 AND day = $2 AND call_id = $3 AND attempt = $4
               ORDER BY kind LIMIT 1) e
         ON CONFLICT DO NOTHING",
    )
    .bind(key.organization_id)
    .bind(key.day)
    .bind(key.call_id)
    .bind(key.attempt)
    .bind(patch)
    .execute(&mut *connection)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    let after = write::attempts(connection, &keys).await?.remove(key).ok_or(StoreError::NotFound)?;
    books.apply(key, &before.events.iter().collect::<Vec<_>>(), before.reaped.as_deref(), -1)?;
    books.apply(key, &after.events.iter().collect::<Vec<_>>(), after.reaped.as_deref(), 1)?;
    write::closed(connection, &[key]).await?;
    Ok(true)
}
