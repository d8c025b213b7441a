//! Waves: what of the shared catalogue is staged, who has it already, and the moves of a wave.
//!
//! `config_resources` always holds what was released last. A staged version is told to the members of the wave only, as an
//! ordinary change of the shard; each move gives new numbers, so that whoever is told takes it, also where he goes back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_types::resource::{ResourceKey, ResourceKind};
use tidegate_types::{NodeId, OrganizationId, Revision, Shard, Timestamp};
use uuid::Uuid;

use crate::change::Change;
use crate::connect::Store;
use crate::convert::{from_json, from_name, name_of, shard_index, time, timestamp, to_json, unsigned};
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

/// A node that was not heard of for so long gets no wave, and is no reason for one.
const LIVE_MS: i64 = 30_000;

/// How far a wave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// There is none, or it has not begun yet.
    None,
    /// One node has what is staged.
    One,
    /// A tenth of the nodes have it.
    Tenth,
    /// Nobody has it, until it is resumed or something else is written.
    Halted,
}

/// What a node had done when every member had applied the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Start of its process, microseconds since the unix epoch.
    pub boot: u64,
    /// Calls that it had answered, and how many of them with 5xx; `None`: its release does not tell.
    pub answers: Option<(u64, u64)>,
}

/// A version that is not released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedResource {
    /// The resource.
    pub key: ResourceKey,
    /// Under which number the members have it, or would get it.
    pub n: u64,
    /// When it was written.
    pub updated_at: Timestamp,
    /// Somebody wrote past the wave (a control plane of an earlier release): this version is dropped.
    pub outdated: bool,
    /// The members were told the released version since (the shard was renewed): they have gone back to it.
    pub overtaken: bool,
}

/// The wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave {
    /// How far it is.
    pub stage: Stage,
    /// Which one, counted up.
    pub number: u64,
    /// Who has, or had when it was halted, what is staged.
    pub members: Vec<NodeId>,
    /// Where the shard stood when the stage began.
    pub upto: u64,
    /// Since when it is in this stage.
    pub began_at: Option<Timestamp>,
    /// Since when every member has applied it.
    pub applied_at: Option<Timestamp>,
    /// The nodes' figures at that time, members' and others'.
    pub figures: BTreeMap<NodeId, Figures>,
    /// Why it was halted.
    pub reason: String,
    /// What is staged.
    pub staged: Vec<StagedResource>,
}

impl Wave {
    /// Whether something was staged after the stage began, or what was staged has to be told again.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.staged.iter().any(|staged| staged.n > self.upto || staged.overtaken)
    }
}

/// What a change does to the wave, when it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Begins a stage for these nodes with everything that is staged.
    Begin {
        /// [`Stage::One`] or [`Stage::Tenth`].
        stage: Stage,
        /// Who gets it.
        members: Vec<NodeId>,
        /// The nodes' figures at its beginning.
        figures: BTreeMap<NodeId, Figures>,
        /// Whether others may have some of it, who are sent back to what is released.
        back: bool,
    },
    /// Sends the members back to what is released, for this reason.
    Halt(String),
    /// Lets a halted wave begin again.
    Resume,
    /// Sends everything that is staged to all.
    Release,
    /// Ends a wave of which nothing is left.
    End,
}

/// Whether there is anything staged, or a wave that has not ended.
///
/// # Errors
/// When the database is away.
pub async fn is_open(store: &Store) -> Result<bool> {
    let (open,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM config_staged) OR EXISTS (SELECT FROM waves WHERE stage <> 'none')",
    )
    .fetch_one(store.feed())
    .await?;
    Ok(open)
}

/// Whether a wave is halted.
///
/// # Errors
/// When the database is away.
pub async fn is_halted(store: &Store) -> Result<bool> {
    let (halted,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT FROM waves WHERE stage = 'halted')")
        .fetch_one(store.feed())
        .await?;
    Ok(halted)
}

/// The wave as it is. For platform roles acting for the system organization.
///
/// # Errors
/// When the database is away.
pub async fn look(tx: &mut TenantTx) -> Result<Wave> {
    read(tx, false).await
}

/// The wave, and nobody else moves it or writes what is staged before the change ends.
///
/// # Errors
/// When the database is away.
pub async fn hold(change: &mut Change) -> Result<Wave> {
    read(change, true).await
}

type Row = (String, i64, Vec<Uuid>, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>, Value, String);

async fn read(tx: &mut TenantTx, held: bool) -> Result<Wave> {
    let columns = match held {
        true => {
            "SELECT stage, number, members, upto, began_at, applied_at, figures, reason FROM waves WHERE shard = $1 FOR UPDATE"
        }
        false => {
            "SELECT stage, number, members, upto, began_at, applied_at, figures, reason FROM waves WHERE shard = $1"
        }
    };
    let row: Option<Row> =
        sqlx::query_as(columns).bind(shard_index(Shard::SYSTEM)).fetch_optional(tx.connection()).await?;
    let (stage, number, members, upto, began_at, applied_at, figures, reason) =
        row.ok_or(StoreError::NotFound)?;
    Ok(Wave {
        stage: from_name(&stage)?,
        number: unsigned(number),
        members: members.into_iter().map(NodeId::from_uuid).collect(),
        upto: unsigned(upto),
        began_at: began_at.map(timestamp),
        applied_at: applied_at.map(timestamp),
        figures: from_json(figures, "figures")?,
        reason,
        staged: staged(tx, held).await?,
    })
}

type StagedRow = (String, String, i64, DateTime<Utc>, bool, bool);

async fn staged(tx: &mut TenantTx, held: bool) -> Result<Vec<StagedResource>> {
    // In one order, rows before counters, as every change locks them.
    let columns = match held {
        true => {
            "SELECT s.kind, s.id, s.n, s.updated_at, s.follows <> c.version, s.told AND c.n > s.n FROM config_staged s
             JOIN config_resources c USING (organization_id, kind, id) WHERE s.organization_id = $1
             ORDER BY s.kind, s.id FOR UPDATE OF c, s"
        }
        false => {
            "SELECT s.kind, s.id, s.n, s.updated_at, s.follows <> c.version, s.told AND c.n > s.n FROM config_staged s
             JOIN config_resources c USING (organization_id, kind, id) WHERE s.organization_id = $1
             ORDER BY s.kind, s.id"
        }
    };
    let rows: Vec<StagedRow> =
        sqlx::query_as(columns).bind(OrganizationId::SYSTEM.to_uuid()).fetch_all(tx.connection()).await?;
    let read = |(kind, id, n, updated_at, outdated, overtaken): StagedRow| {
        let kind = ResourceKind::parse(&kind).ok_or(StoreError::Unreadable("resource kind"))?;
        let key = ResourceKey { organization_id: OrganizationId::SYSTEM, kind, id };
        Ok(StagedResource { key, n: unsigned(n), updated_at: timestamp(updated_at), outdated, overtaken })
    };
    rows.into_iter().map(read).collect()
}

/// Notes that every member has applied the stage, and what the nodes had done by then.
///
/// # Errors
/// When the database is away.
pub async fn applied(mut change: Change, figures: &BTreeMap<NodeId, Figures>) -> Result<()> {
    let now = change.now();
    sqlx::query("UPDATE waves SET applied_at = $2, figures = $3 WHERE shard = $1")
        .bind(shard_index(Shard::SYSTEM))
        .bind(time(now))
        .bind(to_json(figures, "figures")?)
        .execute(change.connection())
        .await?;
    change.save().await
}

/// Which of these documents of the system are to be staged: (kind, id, model of an offering). What nodes have, and an
/// offering of a model that has others (the only one is set up at once, its first price included); nothing where there is at most one node.
pub(crate) async fn chosen(change: &mut Change, documents: &[(&str, &str, &str)]) -> Result<Vec<usize>> {
    let since = change.now().plus_millis(-LIVE_MS);
    let kinds: Vec<&str> = documents.iter().map(|(kind, ..)| *kind).collect();
    let ids: Vec<&str> = documents.iter().map(|(_, id, _)| *id).collect();
    let models: Vec<&str> = documents.iter().map(|(.., model)| *model).collect();
    let organization = change.organization();
    let rows: Vec<(i64,)> = sqlx::query_as(
        "SELECT d.place FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS d (kind, id, model, place)
         WHERE (SELECT count(*) FROM nodes WHERE state = 'enrolled' AND NOT draining AND last_seen >= $5) > 1
             AND (EXISTS (SELECT FROM config_written c WHERE c.organization_id = $1 AND c.kind = d.kind AND c.id = d.id
                              AND c.content IS NOT NULL
                              AND (d.kind <> 'offering' OR jsonb_array_length(c.content -> 'prices') > 0))
                  OR d.kind = 'offering'
                     AND EXISTS (SELECT FROM config_resources c WHERE c.organization_id = $1 AND c.kind = 'offering'
                                     AND c.id <> d.id AND c.content ->> 'model' = d.model))",
    )
    .bind(organization)
    .bind(&kinds)
    .bind(&ids)
    .bind(&models)
    .bind(time(since))
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().filter_map(|(place,)| usize::try_from(place - 1).ok()).collect())
}

/// Makes the move; where the shard stands then.
pub(crate) async fn make(change: &mut Change, step: Move) -> Result<Revision> {
    let organization = change.organization();
    sqlx::query(
        "DELETE FROM config_staged s USING config_resources c WHERE s.organization_id = $1 AND s.follows <> c.version
             AND c.organization_id = s.organization_id AND c.kind = s.kind AND c.id = s.id",
    )
    .bind(organization)
    .execute(change.connection())
    .await?;
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM config_staged WHERE organization_id = $1")
        .bind(organization)
        .fetch_one(change.connection())
        .await?;
    let n = match step {
        Move::Begin { stage, members, figures, back } => {
            if back {
                send_back(change, count).await?;
            }
            begin(change, count, stage, &members, &figures).await?
        }
        Move::Halt(reason) => halt(change, count, &reason).await?,
        Move::Release => release(change, count).await?,
        Move::Resume | Move::End => {
            let n = take(change, 0).await?;
            end(change, n, matches!(step, Move::Resume)).await?;
            n
        }
    };
    Ok(Revision { shard: Shard::SYSTEM, n: unsigned(n) })
}

/// Takes the next numbers of the shard; the last of them.
async fn take(change: &mut Change, count: i64) -> Result<i64> {
    let (n,): (i64,) = sqlx::query_as(
        "WITH now AS MATERIALIZED (SELECT feed_history() AS history)
         UPDATE feed_head f SET history = coalesce(now.history, f.history),
             n = f.n + CASE WHEN $2 = 0 THEN 0 ELSE feed_leap(f.history, now.history) + $2 END
         FROM now WHERE f.shard = $1 RETURNING f.n",
    )
    .bind(shard_index(Shard::SYSTEM))
    .bind(count)
    .fetch_one(change.connection())
    .await?;
    Ok(n)
}

/// Has the released versions of what is staged come anew.
async fn send_back(change: &mut Change, count: i64) -> Result<i64> {
    let last = take(change, count).await?;
    sqlx::query(
        "WITH s AS (SELECT kind, id, row_number() OVER (ORDER BY n, kind, id) AS place FROM config_staged
                    WHERE organization_id = $1)
         UPDATE config_resources c SET n = $2 + s.place FROM s
         WHERE c.organization_id = $1 AND c.kind = s.kind AND c.id = s.id",
    )
    .bind(change.organization())
    .bind(last - count)
    .execute(change.connection())
    .await?;
    Ok(last)
}

async fn begin(
    change: &mut Change,
    count: i64,
    stage: Stage,
    members: &[NodeId],
    figures: &BTreeMap<NodeId, Figures>,
) -> Result<i64> {
    let last = take(change, count).await?;
    let (organization, now) = (change.organization(), change.now());
    sqlx::query(
        "WITH s AS (SELECT kind, id, row_number() OVER (ORDER BY n, kind, id) AS place FROM config_staged
                    WHERE organization_id = $1)
         UPDATE config_staged t SET n = $2 + s.place, told = true FROM s
         WHERE t.organization_id = $1 AND t.kind = s.kind AND t.id = s.id",
    )
    .bind(organization)
    .bind(last - count)
    .execute(change.connection())
    .await?;
    let members: Vec<Uuid> = members.iter().map(|node| node.to_uuid()).collect();
    sqlx::query(
        "UPDATE waves SET stage = $2, number = number + CASE WHEN $2 = 'one' THEN 1 ELSE 0 END, members = $3, upto = $4,
             began_at = $5, applied_at = NULL, figures = $6, reason = '' WHERE shard = $1",
    )
    .bind(shard_index(Shard::SYSTEM))
    .bind(name_of(&stage)?)
    .bind(&members)
    .bind(last)
    .bind(time(now))
    .bind(to_json(figures, "figures")?)
    .execute(change.connection())
    .await?;
    Ok(last)
}

async fn halt(change: &mut Change, count: i64, reason: &str) -> Result<i64> {
    let last = send_back(change, count).await?;
    let (organization, now) = (change.organization(), change.now());
    sqlx::query("UPDATE config_staged SET told = false WHERE organization_id = $1")
        .bind(organization)
        .execute(change.connection())
        .await?;
    sqlx::query("UPDATE waves SET stage = 'halted', upto = $2, began_at = $3, reason = $4 WHERE shard = $1")
        .bind(shard_index(Shard::SYSTEM))
        .bind(last)
        .bind(time(now))
        .bind(reason)
        .execute(change.connection())
        .await?;
    Ok(last)
}

async fn release(change: &mut Change, count: i64) -> Result<i64> {
    let last = take(change, count).await?;
    let organization = change.organization();
    sqlx::query(
        "WITH s AS (DELETE FROM config_staged WHERE organization_id = $1 RETURNING *),
              placed AS (SELECT s.*, row_number() OVER (ORDER BY n, kind, id) AS place FROM s)
         UPDATE config_resources c SET n = $2 + s.place, tightens = false, version = s.version, uid = s.uid,
             updated_at = s.updated_at, content = s.content, content_hash = s.content_hash, requires = s.requires
         FROM placed s WHERE c.organization_id = $1 AND c.kind = s.kind AND c.id = s.id",
    )
    .bind(organization)
    .bind(last - count)
    .execute(change.connection())
    .await?;
    end(change, last, false).await?;
    Ok(last)
}

/// `remembered`: who was first shall be it again.
async fn end(change: &mut Change, upto: i64, remembered: bool) -> Result<()> {
    sqlx::query(
        "UPDATE waves SET stage = 'none', upto = $2, began_at = NULL, applied_at = NULL, figures = '{}', reason = '',
             members = CASE WHEN $3 THEN members ELSE '{}' END WHERE shard = $1",
    )
    .bind(shard_index(Shard::SYSTEM))
    .bind(upto)
    .bind(remembered)
    .execute(change.connection())
    .await?;
    Ok(())
}
