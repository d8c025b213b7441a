//! What the books know of attempts whose process died: evidence for ending their holds.

use tidegate_types::usage::Outcome;
use tidegate_types::{CallId, NanoUsd, NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use crate::actor::SystemActor;
use crate::connect::Store;
use crate::convert::from_name;
use crate::{Result, StoreError, placement};

/// How the books have an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Not at all.
    Unknown,
    /// Begun, and not ended.
    Open,
    /// Charged so much.
    Spent(NanoUsd),
    /// Nothing is billed for it.
    Void,
    /// Nobody knows what is billed.
    Unresolved,
}

#[derive(sqlx::FromRow)]
struct Row {
    outcome: Option<String>,
    cost: Option<i64>,
    unsure: bool,
}

/// How the books have a node's attempts, in the order asked. It is to have shipped everything that
/// its earlier processes wrote: then one that is unknown was never journalled, and so never sent.
/// Of a node whose records were lost or refused nothing is known to be unknown: such are open.
///
/// # Errors
/// [`StoreError::NotFound`] for an organization that the pool does not serve;
/// [`StoreError::Unavailable`].
pub async fn review(
    store: &Store,
    (node, pool): (NodeId, &str),
    organization: OrganizationId,
    attempts: &[(CallId, u16)],
    now: Timestamp,
) -> Result<Vec<Known>> {
    let mut looking = store.change(&SystemActor::new("epochs").acting_for(organization), now).await?;
    if !placement::of(&mut looking).await?.iter().any(|serving| serving == pool) {
        return Err(StoreError::NotFound);
    }
    drop(looking);
    let calls: Vec<Uuid> = attempts.iter().map(|(call, _)| call.to_uuid()).collect();
    let numbers: Vec<i32> = attempts.iter().map(|(_, attempt)| i32::from(*attempt)).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT known.outcome, known.cost, EXISTS (SELECT FROM missing_records WHERE node_id = $4)
                 OR EXISTS (SELECT FROM refused_records WHERE node_id = $4) AS unsure
         FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS a (call_id, attempt, place)
         LEFT JOIN LATERAL (SELECT e.outcome, e.cost FROM billing_events e
             WHERE e.organization_id = $1 AND e.day = id_day(a.call_id) AND e.call_id = a.call_id
                 AND e.attempt = a.attempt
             ORDER BY array_position(ARRAY['correction', 'final', 'intent'], e.kind) LIMIT 1) known ON true
         ORDER BY a.place",
    )
    .bind(organization.to_uuid())
    .bind(&calls)
    .bind(&numbers)
    .bind(node.to_uuid())
    .fetch_all(store.feed())
    .await?;
    rows.into_iter().map(known).collect()
}

fn known(row: Row) -> Result<Known> {
    let Some(outcome) = row.outcome else {
        return Ok(if row.unsure { Known::Open } else { Known::Unknown });
    };
    Ok(match from_name::<Outcome>(&outcome)? {
        Outcome::Open => Known::Open,
        Outcome::Completed | Outcome::Interrupted => Known::Spent(NanoUsd::new(row.cost.unwrap_or(0))),
        Outcome::Refused | Outcome::NotSent => Known::Void,
        Outcome::Unresolved => Known::Unresolved,
    })
}
