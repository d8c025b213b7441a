//! Intake: what nodes ship, stored once, with everything that follows from it, in one transaction.
//!
//! Roll-ups, budget spend and ledger change only by what was really inserted: any order and any
//! repetition of the same records leaves the same books.

mod books;
mod check;
mod correct;
mod foreign;
mod insert;
mod lanes;
mod rows;
mod write;

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::postgres::PgConnection;
use tidegate_types::usage::{BillingEvent, CallOutcome, CallRecord, RecordKey, RefusalCause};
use tidegate_types::{NanoUsd, NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use crate::connect::Store;
use crate::decisions::{self, SealedBatch};
use crate::{Result, StoreError, exporters, failures, notices, uses};

pub use lanes::marks;

pub(crate) use books::{Books, Side};
pub(crate) use correct::{Finding, correct};
pub(crate) use rows::{AttemptKey, HoldRow};
pub(crate) use write::add_to_budgets;
pub(crate) use write::add_to_usage;
pub(crate) use write::books as write_books;

/// A journal record with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Shipped {
    /// Its place in the node's journal.
    pub key: RecordKey,
    /// The record.
    pub record: Record,
}

/// What a journal record holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A billing event and its cost, recomputed by the control plane.
    Event {
        /// The event as the node wrote it.
        event: BillingEvent,
        /// What counts.
        cost: NanoUsd,
    },
    /// A call record.
    Call(CallRecord),
}

/// How far a lane is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneMark {
    /// Start of the node's process.
    pub boot: u64,
    /// The lane.
    pub lane: u16,
    /// Every record up to this one is stored.
    pub sequence: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    /// Every lane of the batch, with its position after it.
    pub marks: Vec<LaneMark>,
    /// Records that were new.
    pub inserted: usize,
    /// Records that can never be stored (kept in `refused_records`).
    pub refused: usize,
    /// Calls whose way to a collector of traces is full.
    pub untraced: u64,
    /// New events whose cost the node computed differently: to be alarmed on.
    pub cost_differences: usize,
}

/// Stores a batch of a node's records. Repeating it is harmless.
///
/// # Errors
/// [`StoreError::NotFound`] when a record names another node; [`StoreError::Dangling`] for a
/// node that is not enrolled; [`StoreError::Unavailable`]: nothing was stored, ship again.
pub async fn ingest(store: &Store, node: NodeId, batch: &[Shipped], now: Timestamp) -> Result<Ingested> {
    ingest_sealed(store, node, batch, None, now).await
}

/// The same with the node's seal over the decisions of the batch's calls.
///
/// # Errors
/// As [`ingest`]; [`StoreError::VersionConflict`] when the seal is not the next one of its boot.
pub async fn ingest_sealed(
    store: &Store,
    node: NodeId,
    batch: &[Shipped],
    seal: Option<&SealedBatch>,
    now: Timestamp,
) -> Result<Ingested> {
    if batch.iter().any(|shipped| shipped.key.node_id != node) {
        return Err(StoreError::NotFound);
    }
    let mut tx = store.feed().begin().await?;
    lock_node(&mut tx, node.to_uuid()).await?;
    let known = known_organizations(&mut tx, node, batch).await?;
    let foreign = foreign::Foreign::of(&mut tx, node, batch, now).await?;
    let (accepted, refused): (Vec<_>, Vec<_>) = batch
        .iter()
        .map(|shipped| (shipped, check::fault(shipped, &known).or_else(|| foreign.fault(shipped))))
        .partition(|(_, fault)| fault.is_none());
    let accepted: Vec<&Shipped> = accepted.into_iter().map(|(shipped, _)| shipped).collect();
    write::refused(&mut tx, &refused).await?;

    let mut books = Books::default();
    let new_events = store_events(&mut tx, &accepted, &mut books).await?;
    let new_calls = store_calls(&mut tx, &accepted, &mut books, now).await?;
    write::books(&mut tx, &books, node, now).await?;
    if let Some(seal) = seal {
        let links = seal.links.iter().filter(|link| known.contains(&link.organization_id)).cloned().collect();
        decisions::write(&mut tx, node, &SealedBatch { links, ..seal.clone() }, now).await?;
    }
    let untraced = exporters::enqueue(&mut tx, &new_calls, now, exporters::MOST_WAITING).await?;
    let marks = lanes::advance(&mut tx, node, batch).await?;
    tx.commit().await?;
    Ok(Ingested {
        marks,
        untraced,
        inserted: new_events.len() + new_calls.len(),
        refused: refused.len(),
        cost_differences: cost_differences(&accepted, &new_events),
    })
}

/// Intent and final of an attempt come from one node: its batches are stored one after the other.
pub(crate) async fn lock_node(connection: &mut PgConnection, node: Uuid) -> Result<()> {
    let (_, low) = node.as_u64_pair();
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(low.cast_signed()).execute(connection).await?;
    Ok(())
}

/// Those that there are and that the node's pool serves, or served once.
async fn known_organizations(
    connection: &mut PgConnection,
    node: NodeId,
    batch: &[Shipped],
) -> Result<HashSet<OrganizationId>> {
    let named: HashSet<Uuid> =
        batch.iter().map(|shipped| organization_of(&shipped.record).to_uuid()).collect();
    let named: Vec<Uuid> = named.into_iter().collect();
    let rows: Vec<(Uuid,)> =
        sqlx::query_as(
            "SELECT organization_id FROM organizations o, nodes n
             WHERE o.organization_id = ANY($1) AND n.node_id = $2 AND ever_served_in(o.organization_id, n.pool)",
        )
        .bind(&named)
        .bind(node.to_uuid())
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|(id,)| OrganizationId::from_uuid(id)).collect())
}

const fn organization_of(record: &Record) -> OrganizationId {
    match record {
        Record::Event { event, .. } => event.organization_id,
        Record::Call(call) => call.organization_id,
    }
}

type EventKey = (Uuid, Uuid, i32, String);

async fn store_events(
    connection: &mut PgConnection,
    accepted: &[&Shipped],
    books: &mut Books,
) -> Result<HashSet<EventKey>> {
    let mut rows = Vec::new();
    let mut steps: BTreeMap<rows::AttemptKey, &BillingEvent> = BTreeMap::new();
    for shipped in accepted {
        let Record::Event { event, cost } = &shipped.record else { continue };
        let row = rows::EventRow::new(&shipped.key, event, *cost)?;
        if event.step == 0 {
            rows.push(row);
            continue;
        }
        let newest = steps.entry(row.attempt_key()).or_insert(event);
        if event.step > newest.step {
            *newest = event;
        }
    }
    if rows.is_empty() {
        write::stepped(connection, &steps, books).await?;
        return Ok(HashSet::new());
    }
    let inserted = insert::events(connection, &rows).await?;
    let touched: HashSet<rows::AttemptKey> =
        rows.iter().filter(|row| inserted.contains(&row.key())).map(rows::EventRow::attempt_key).collect();
    let attempts = write::attempts(connection, &touched).await?;
    let mut closed = Vec::new();
    let mut opened = Vec::new();
    for (key, attempt) in &attempts {
        let is_new = |event: &books::Known| {
            inserted.contains(&(key.organization_id, key.call_id, key.attempt, event.kind.clone()))
        };
        let before: Vec<&books::Known> = attempt.events.iter().filter(|event| !is_new(event)).collect();
        let after: Vec<&books::Known> = attempt.events.iter().collect();
        books.apply(key, &before, attempt.reaped.as_deref(), -1)?;
        books.apply(key, &after, attempt.reaped.as_deref(), 1)?;
        match books::open_intent(&after) {
            Some(intent) if is_new(intent) => opened.push((key, intent)),
            Some(_) => {}
            None => closed.push(key),
        }
    }
    write::opened(connection, &opened).await?;
    write::closed(connection, &closed).await?;
    write::stepped(connection, &steps, books).await?;
    Ok(inserted)
}

async fn store_calls(
    connection: &mut PgConnection,
    accepted: &[&Shipped],
    books: &mut Books,
    now: Timestamp,
) -> Result<Vec<(Uuid, Uuid)>> {
    let mut calls = HashMap::new();
    let mut rows = Vec::new();
    for shipped in accepted {
        if let Record::Call(call) = &shipped.record {
            rows.push(rows::CallRow::new(&shipped.key, call)?);
            calls.entry((call.organization_id.to_uuid(), call.call_id.to_uuid())).or_insert(call);
        }
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let inserted = insert::calls(connection, &rows).await?;
    let mut refusals = BTreeMap::new();
    for call in inserted.iter().filter_map(|key| calls.get(key)) {
        books.count_call(call);
        if let CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: Some(budget) } = call.outcome {
            let first = refusals.entry((call.organization_id, budget)).or_insert(call.at);
            *first = call.at.min(*first);
        }
    }
    let refusals: Vec<_> = refusals.into_iter().map(|((owner, budget), at)| (owner, budget, at)).collect();
    notices::exhausted(connection, &refusals, now).await?;
    let new = || inserted.iter().filter_map(|key| calls.get(key)).copied();
    failures::note(connection, new(), now).await?;
    uses::note(connection, new(), now).await?;
    Ok(inserted)
}

fn cost_differences(accepted: &[&Shipped], inserted: &HashSet<EventKey>) -> usize {
    let differs = |shipped: &&&Shipped| match &shipped.record {
        Record::Event { event, cost } if event.cost != *cost => {
            let kind = crate::convert::name_of(&event.kind).unwrap_or_default();
            let key =
                (event.organization_id.to_uuid(), event.call_id.to_uuid(), i32::from(event.attempt), kind);
            inserted.contains(&key)
        }
        _ => false,
    };
    accepted.iter().filter(differs).count()
}
