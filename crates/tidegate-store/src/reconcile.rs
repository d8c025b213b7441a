//! A provider's bill against our books: what nobody knew is resolved by it, what differs is told.
//!
//! A line names a call. What it bills at that provider is set against the attempts that the call
//! made there: those that our books know exactly keep their charge; the others get the rest, by a
//! correction event. An attempt is corrected once for ever, so that a bill may be brought again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use tidegate_types::{CallId, NanoUsd, OrganizationId, ProviderId, Timestamp};
use uuid::Uuid;

use crate::Result;
use crate::connect::Store;
use crate::convert::time;
use crate::intake::{AttemptKey, Books, Finding, correct, lock_node, write_books};

/// A span of time for which a bill is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// First instant.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
}

/// What a provider bills, as far as it says for which calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bill {
    /// Amount by call; several lines of one call are one sum.
    pub lines: BTreeMap<CallId, NanoUsd>,
    /// Attempts of calls begun then that are not on the bill, and of which we do not know better,
    /// were not billed.
    pub covered: Option<Covered>,
}

/// A call whose charge is not what its provider bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The call.
    pub call_id: CallId,
    /// Whose; `None`: no such call at this provider.
    pub organization_id: Option<OrganizationId>,
    /// In our books, before.
    pub ours: NanoUsd,
    /// On the bill.
    pub theirs: NanoUsd,
    /// Whether our books say what the bill says now.
    pub settled: bool,
}

/// What came of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Calls on the bill that our books agree with.
    pub agreeing: usize,
    /// Attempts that got the charge that the bill says.
    pub charged: usize,
    /// Attempts that turned out not to be billed.
    pub voided: usize,
    /// Attempts still running, of calls on the bill: bring it again later.
    pub running: usize,
    /// Calls whose charge differed.
    pub differences: Vec<Difference>,
    /// Organizations whose books changed.
    pub changed: BTreeSet<OrganizationId>,
}

#[derive(Debug, Clone, sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    day: NaiveDate,
    call_id: Uuid,
    attempt: i32,
    kind: String,
    node_id: Uuid,
    outcome: String,
    method: String,
    cost: i64,
    reaped: bool,
    corrected: bool,
}

impl Row {
    fn key(&self) -> AttemptKey {
        AttemptKey {
            organization_id: self.organization_id,
            day: self.day,
            call_id: self.call_id,
            attempt: self.attempt,
        }
    }

    fn charge(&self) -> i64 {
        if matches!(self.outcome.as_str(), "completed" | "interrupted") { self.cost } else { 0 }
    }

    fn is_running(&self) -> bool {
        self.kind == "intent" && !self.reaped
    }

    /// Whether the bill knows better than we do.
    fn is_open_to_evidence(&self) -> bool {
        let known = self.outcome == "completed" && self.method == "reported";
        !self.corrected && !known && !self.is_running()
    }

    fn is_unresolved(&self) -> bool {
        self.outcome == "unresolved" || (self.kind == "intent" && self.reaped)
    }
}

/// The latest finding about each attempt, with whether there is a correction.
const LATEST: &str = "SELECT DISTINCT ON (e.day, e.organization_id, e.call_id, e.attempt) e.organization_id, e.day, e.call_id,
         e.attempt, e.kind,
         (SELECT f.node_id FROM billing_events f WHERE f.organization_id = e.organization_id AND f.day = e.day
              AND f.call_id = e.call_id AND f.attempt = e.attempt AND f.kind <> 'correction' LIMIT 1) AS node_id,
         e.outcome, e.method, e.cost, e.kind = 'correction' AS corrected,
         EXISTS (SELECT FROM open_attempts o WHERE o.organization_id = e.organization_id AND o.call_id = e.call_id
              AND o.attempt = e.attempt AND o.reaped) AS reaped
     FROM billing_events e WHERE e.provider_id = $1 AND ";

/// Sets a bill against the books. `dry`: says what would be done.
///
/// # Errors
/// When the database is away; what was corrected until then stays, and is found so the next time.
pub async fn reconcile(
    store: &Store,
    provider: ProviderId,
    bill: &Bill,
    dry: bool,
    now: Timestamp,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut found: BTreeMap<CallId, Vec<Row>> = BTreeMap::new();
    for row in billed_rows(store, provider, bill).await? {
        found.entry(CallId::from_uuid(row.call_id)).or_default().push(row);
    }
    let mut corrections: Vec<(Row, Finding)> = Vec::new();
    for (call, theirs) in &bill.lines {
        let rows = found.get(call).map_or(&[][..], Vec::as_slice);
        compare(*call, *theirs, rows, &mut corrections, &mut outcome);
    }
    if let Some(covered) = bill.covered {
        let missing = |row: &Row| {
            let doubtful = row.is_unresolved() || row.charge() > 0;
            doubtful && row.is_open_to_evidence() && !bill.lines.contains_key(&CallId::from_uuid(row.call_id))
        };
        for row in covered_rows(store, provider, covered).await?.into_iter().filter(missing) {
            if row.charge() > 0 {
                outcome.differences.push(Difference {
                    call_id: CallId::from_uuid(row.call_id),
                    organization_id: Some(OrganizationId::from_uuid(row.organization_id)),
                    ours: NanoUsd::new(row.charge()),
                    theirs: NanoUsd::ZERO,
                    settled: true,
                });
            }
            corrections.push((row, Finding::Nothing));
        }
    }
    for (row, finding) in corrections {
        let done = dry || apply(store, &row, finding, now).await?;
        if done {
            outcome.changed.insert(OrganizationId::from_uuid(row.organization_id));
            match finding {
                Finding::Billed(_) => outcome.charged += 1,
                Finding::Nothing => outcome.voided += 1,
            }
        }
    }
    Ok(outcome)
}

async fn billed_rows(store: &Store, provider: ProviderId, bill: &Bill) -> Result<Vec<Row>> {
    let calls: Vec<Uuid> = bill.lines.keys().map(|call| call.to_uuid()).collect();
    let statement = format!(
        "{LATEST} e.call_id = ANY($2) AND e.day = ANY(SELECT DISTINCT id_day(c) FROM unnest($2) c)
         ORDER BY e.day, e.organization_id, e.call_id, e.attempt, e.kind"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(provider.to_uuid())
        .bind(&calls)
        .fetch_all(store.feed())
        .await?)
}

async fn covered_rows(store: &Store, provider: ProviderId, covered: Covered) -> Result<Vec<Row>> {
    let statement = format!(
        "{LATEST} e.day >= ($2 AT TIME ZONE 'UTC')::date AND e.day <= ($3 AT TIME ZONE 'UTC')::date
             AND ('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint >= $4
             AND ('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint < $5
         ORDER BY e.day, e.organization_id, e.call_id, e.attempt, e.kind"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(provider.to_uuid())
        .bind(time(covered.from))
        .bind(time(covered.to))
        .bind(covered.from.as_millis())
        .bind(covered.to.as_millis())
        .fetch_all(store.feed())
        .await?)
}

/// One line of the bill against the call's attempts at the provider.
fn compare(
    call_id: CallId,
    theirs: NanoUsd,
    rows: &[Row],
    corrections: &mut Vec<(Row, Finding)>,
    outcome: &mut Outcome,
) {
    outcome.running += rows.iter().filter(|row| row.is_running()).count();
    let ours: i64 = rows.iter().map(Row::charge).sum();
    let open: Vec<&Row> = rows.iter().filter(|row| row.is_open_to_evidence()).collect();
    let known: i64 = rows.iter().filter(|row| !row.is_open_to_evidence()).map(Row::charge).sum();
    let rest = theirs.get().saturating_sub(known);
    // The rest belongs to one of them; which, the bill does not say. Unresolved ones come first.
    let charged = || open.iter().position(|row| row.charge() > 0);
    let any = || (!open.is_empty()).then_some(0);
    let taker = open.iter().position(|row| row.is_unresolved()).or_else(charged).or_else(any);
    let settled = taker.is_some() && rest >= 0;
    if settled {
        for (place, row) in open.iter().enumerate() {
            let billed = if Some(place) == taker { rest } else { 0 };
            let finding = if billed > 0 { Finding::Billed(billed) } else { Finding::Nothing };
            // What is so in our books already needs no correction.
            if row.is_unresolved() || row.charge() != billed {
                corrections.push(((*row).clone(), finding));
            }
        }
    }
    if ours == theirs.get() {
        outcome.agreeing += 1;
        return;
    }
    outcome.differences.push(Difference {
        call_id,
        organization_id: rows.first().map(|row| OrganizationId::from_uuid(row.organization_id)),
        ours: NanoUsd::new(ours),
        theirs,
        settled,
    });
}

async fn apply(store: &Store, row: &Row, finding: Finding, now: Timestamp) -> Result<bool> {
    let mut tx = store.feed().begin().await?;
    // A final that is on its way comes before or after, not between.
    lock_node(&mut tx, row.node_id).await?;
    let mut books = Books::default();
    let added = correct(&mut tx, &row.key(), finding, now, &mut books).await?;
    if added {
        write_books(&mut tx, &books, tidegate_types::NodeId::from_u128(0), now).await?;
        tx.commit().await?;
    }
    Ok(added)
}

/// What our books say of a span of time at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    /// Charges over the operator's own credentials, adjustments included.
    pub charged: NanoUsd,
    /// Attempts over them whose outcome is not known.
    pub unresolved: u64,
}

/// What calls begun in a span were charged at a provider, over the operator's own credentials: what
/// the provider's own total of that time should be.
///
/// # Errors
/// When the database is away.
pub async fn booked(store: &Store, provider: ProviderId, span: Covered) -> Result<Booked> {
    let (charged, unresolved): (i64, i64) = sqlx::query_as(
        "WITH last AS (
             SELECT DISTINCT ON (e.organization_id, e.day, e.call_id, e.attempt) e.organization_id, e.day, e.call_id,
                 e.attempt, e.kind, e.outcome, e.cost FROM billing_events e
             WHERE e.provider_id = $1 AND e.credential_type = 'system'
                 AND e.day >= ($2 AT TIME ZONE 'UTC')::date AND e.day <= ($3 AT TIME ZONE 'UTC')::date
                 AND ('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint >= $4
                 AND ('x' || left(translate(e.call_id::text, '-', ''), 12))::bit(48)::bigint < $5
             ORDER BY e.organization_id, e.day, e.call_id, e.attempt, e.kind)
         SELECT coalesce(sum(CASE WHEN outcome IN ('completed', 'interrupted') THEN cost
                 + coalesce((SELECT sum(a.amount) FROM charge_adjustments a WHERE a.organization_id = last.organization_id
                     AND a.day = last.day AND a.call_id = last.call_id AND a.attempt = last.attempt), 0) ELSE 0 END), 0)::bigint,
             count(*) FILTER (WHERE outcome IN ('unresolved', 'open'))
         FROM last",
    )
    .bind(provider.to_uuid())
    .bind(time(span.from))
    .bind(time(span.to))
    .bind(span.from.as_millis())
    .bind(span.to.as_millis())
    .fetch_one(store.feed())
    .await?;
    Ok(Booked { charged: NanoUsd::new(charged), unresolved: crate::convert::unsigned(unresolved) })
}
