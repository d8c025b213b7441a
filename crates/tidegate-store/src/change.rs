//! A change: rows, audit entry and revision in one transaction, or nothing.
//!
//! Resource functions note every document that they write; `commit` gives each the next
//! revision of its shard. The shard's counter is locked last, so that revisions become
//! visible in their order. A counter that finds itself in another history of the database (restored, or promoted without
//! its last transactions) leaps over everything that may have been given there: no number is ever given twice.

use std::ops::{Deref, DerefMut};

use serde_json::Value;
use tidegate_types::resource::{Resource, ResourceKey, ResourceKind, content_hash};
use tidegate_types::{Revision, Shard, Timestamp};
use uuid::Uuid;

use crate::convert::{shard_index, time, to_json, unsigned};
use crate::tenant::TenantTx;
use crate::{Result, StoreError, audit, waves};

/// What the audit says of a change. `before` and `after` must hold no secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditNote {
    /// Dotted verb, for example `key.revoke`.
    pub action: &'static str,
    /// Textual id of what was changed.
    pub object: String,
    /// As it was.
    pub before: Option<Value>,
    /// As it is.
    pub after: Option<Value>,
}

/// A committed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Revision of its last document; `None` when it changed nothing that nodes hold.
    pub revision: Option<Revision>,
    /// Place of its entry in the organization's audit.
    pub audit_n: u64,
    /// Some of it is staged: nodes get it wave by wave.
    pub staged: bool,
}

/// A transaction that changes one organization. There is no commit without an audit entry.
#[derive(Debug)]
pub struct Change {
    tx: TenantTx,
    now: Timestamp,
    written: Vec<Document>,
    renews: bool,
    /// Changes of the shared catalogue are staged.
    waves: bool,
    staged: bool,
    step: Option<waves::Move>,
}

#[derive(Debug)]
struct Document {
    key: ResourceKey,
    uid: Option<Uuid>,
    tightens: bool,
    content: Option<Value>,
    content_hash: Option<Vec<u8>>,
    requires: &'static [&'static str],
}

impl Document {
    fn may_wait(&self) -> bool {
        let kind =
            matches!(self.key.kind, ResourceKind::Provider | ResourceKind::Model | ResourceKind::Offering);
        kind && !self.tightens && self.content.is_some()
    }

    /// Kind, id, and which model it offers.
    fn name(&self) -> (&str, &str, &str) {
        let model = self.content.as_ref().and_then(|content| content.get("model")).and_then(Value::as_str);
        (self.key.kind.as_str(), &self.key.id, model.unwrap_or_default())
    }
}

/// Documents that are staged go beside the released ones; any other one takes the place of both.
const PUBLISH: &str = "WITH now AS MATERIALIZED (SELECT feed_history() AS history),
    head AS (UPDATE feed_head f SET history = coalesce(now.history, f.history),
                 n = f.n + feed_leap(f.history, now.history) + $3
             FROM now WHERE f.shard = $2 RETURNING f.n),
    d AS (SELECT d.kind, d.id, d.uid, d.tightens, d.content, d.hash, d.staged, head.n - $3 + d.place AS n,
              nullif(ARRAY(SELECT jsonb_array_elements_text(d.requires)), '{}') AS requires, s.version AS before
          FROM head, unnest($5::text[], $6::text[], $7::uuid[], $8::boolean[], $9::jsonb[], $10::bytea[], $11::jsonb[],
                            $12::boolean[])
              WITH ORDINALITY AS d (kind, id, uid, tightens, content, hash, requires, staged, place)
          LEFT JOIN config_staged s ON s.organization_id = $1 AND s.kind = d.kind AND s.id = d.id),
    stored AS (
        INSERT INTO config_resources AS c (organization_id, kind, id, uid, shard, n, tightens, version,
                                           created_at, updated_at, content, content_hash, requires)
        SELECT $1, kind, id, uid, $2, n, tightens, coalesce(before, 0) + 1, $4, $4, content, hash, requires
        FROM d WHERE NOT staged
        ON CONFLICT (organization_id, kind, id) DO UPDATE SET
            n = excluded.n, tightens = excluded.tightens, version = greatest(c.version + 1, excluded.version),
            updated_at = excluded.updated_at, content = excluded.content, content_hash = excluded.content_hash,
            requires = excluded.requires),
    passed AS (DELETE FROM config_staged s USING d
               WHERE NOT d.staged AND s.organization_id = $1 AND s.kind = d.kind AND s.id = d.id),
    empty AS (
        INSERT INTO config_resources (organization_id, kind, id, uid, shard, n, tightens, version, created_at, updated_at)
        SELECT $1, kind, id, uid, $2, n, false, 0, $4, $4 FROM d WHERE staged
        ON CONFLICT (organization_id, kind, id) DO NOTHING),
    waiting AS (
        INSERT INTO config_staged AS s (organization_id, kind, id, uid, shard, n, version, follows, created_at, updated_at,
                                        content, content_hash, requires)
        SELECT $1, d.kind, d.id, d.uid, $2, d.n, greatest(coalesce(c.version, 0), coalesce(d.before, 0)) + 1,
            coalesce(c.version, 0), $4, $4, d.content, d.hash, d.requires
        FROM d LEFT JOIN config_resources c ON c.organization_id = $1 AND c.kind = d.kind AND c.id = d.id WHERE d.staged
        ON CONFLICT (organization_id, kind, id) DO UPDATE SET
            uid = excluded.uid, n = excluded.n, version = excluded.version, follows = excluded.follows,
            updated_at = excluded.updated_at, content = excluded.content, content_hash = excluded.content_hash,
            requires = excluded.requires, told = false)
    SELECT n FROM head";

impl Change {
    pub(crate) const fn new(tx: TenantTx, now: Timestamp, waves: bool) -> Self {
        Self { tx, now, written: Vec::new(), renews: false, waves, staged: false, step: None }
    }

    /// Has the wave make a move. For changes of the system organization that write nothing else.
    pub fn step(&mut self, step: waves::Move) {
        self.step = Some(step);
    }

    /// The time written on the change's rows.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Notes a new version of a resource.
    pub(crate) fn write(&mut self, uid: Option<Uuid>, resource: &Resource, tightens: bool) -> Result<()> {
        let key = resource.key();
        if key.organization_id != self.tx.organization_id() {
            return Err(StoreError::NotFound);
        }
        let content = Some(to_json(resource, "resource")?);
        let content_hash = Some(content_hash(resource).to_vec());
        let requires = resource.requires();
        self.note(Document { key, uid, tightens, content, content_hash, requires });
        Ok(())
    }

    /// Notes a deletion; a deletion always takes something away.
    pub(crate) fn remove(&mut self, uid: Option<Uuid>, key: ResourceKey) {
        self.note(Document { key, uid, tightens: true, content: None, content_hash: None, requires: &[] });
    }

    /// Has every resource of the organization come with the next delta, whether or not it changed.
    pub(crate) const fn renew_all(&mut self) {
        self.renews = true;
    }

    fn note(&mut self, document: Document) {
        self.written.retain(|earlier| earlier.key != document.key);
        self.written.push(document);
    }

    /// Writes the audit entry and the revisions, and commits.
    ///
    /// # Errors
    /// Constraint violations that only show at commit; [`StoreError::Unavailable`].
    pub async fn commit(mut self, note: AuditNote) -> Result<Committed> {
        let now = self.now;
        let audit_n = audit::append(&mut self.tx, now, &note).await?;
        let mut revision = self.publish().await?;
        if let Some(step) = self.step.take() {
            revision = Some(waves::make(&mut self, step).await?);
        }
        self.tx.commit().await?;
        Ok(Committed { revision, audit_n, staged: self.staged })
    }

    /// Commits rows that are no part of anybody's configuration and tell nothing by themselves:
    /// notes on upkeep. Refused once a document was written.
    pub(crate) async fn save(self) -> Result<()> {
        if !self.written.is_empty() {
            return Err(StoreError::Unreadable("a change without an audit entry"));
        }
        self.tx.commit().await
    }

    /// Gives what there is new revisions, in the order that it had.
    async fn renew(&mut self) -> Result<()> {
        sqlx::query(
            "WITH present AS (SELECT kind, id, row_number() OVER (ORDER BY n) AS place FROM config_resources
                              WHERE organization_id = $1 AND content IS NOT NULL),
                  now AS MATERIALIZED (SELECT feed_history() AS history),
                  head AS (UPDATE feed_head f SET history = coalesce(now.history, f.history),
                               n = f.n + feed_leap(f.history, now.history) + (SELECT count(*) FROM present)
                           FROM now WHERE f.shard = $2 RETURNING f.n - (SELECT count(*) FROM present) AS before)
             UPDATE config_resources c SET n = head.before + present.place FROM present, head
             WHERE c.organization_id = $1 AND c.kind = present.kind AND c.id = present.id",
        )
        .bind(self.tx.organization())
        .bind(shard_index(Shard::of(self.tx.organization_id())))
        .execute(self.tx.connection())
        .await?;
        Ok(())
    }

    /// Which of the documents wait for their wave: new versions in the shared catalogue that take nothing away.
    async fn stages(&mut self, shard: Shard, written: &[Document]) -> Result<Vec<bool>> {
        let mut staged = vec![false; written.len()];
        if !self.waves || shard != Shard::SYSTEM {
            return Ok(staged);
        }
        let candidates: Vec<usize> = written
            .iter()
            .enumerate()
            .filter(|(_, document)| document.may_wait())
            .map(|(at, _)| at)
            .collect();
        let of = |at: &usize| written.get(*at);
        let named: Vec<(&str, &str, &str)> = candidates.iter().filter_map(of).map(Document::name).collect();
        if named.is_empty() {
            return Ok(staged);
        }
        for chosen in waves::chosen(self, &named).await? {
            let place = candidates.get(chosen).and_then(|at| staged.get_mut(*at));
            place.into_iter().for_each(|staged| *staged = true);
        }
        Ok(staged)
    }

    /// Takes the next revisions of the shard and writes the documents under them: one statement,
    /// so that the counter is locked as briefly as possible.
    async fn publish(&mut self) -> Result<Option<Revision>> {
        if self.renews {
            self.renew().await?;
        }
        if self.written.is_empty() {
            return Ok(None);
        }
        let shard = Shard::of(self.tx.organization_id());
        let written = std::mem::take(&mut self.written);
        let staged = self.stages(shard, &written).await?;
        self.staged = staged.contains(&true);
        let count = i64::try_from(written.len()).unwrap_or(i64::MAX);
        let kinds: Vec<&str> = written.iter().map(|d| d.key.kind.as_str()).collect();
        let ids: Vec<&str> = written.iter().map(|d| d.key.id.as_str()).collect();
        let uids: Vec<Option<Uuid>> = written.iter().map(|d| d.uid).collect();
        let tightens: Vec<bool> = written.iter().map(|d| d.tightens).collect();
        let contents: Vec<Option<&Value>> = written.iter().map(|d| d.content.as_ref()).collect();
        let hashes: Vec<Option<&[u8]>> = written.iter().map(|d| d.content_hash.as_deref()).collect();
        // Arrays of arrays are no type of Postgres.
        let requires: Vec<Value> = written.iter().map(|d| d.requires.into()).collect();
        let (n,): (i64,) = sqlx::query_as(PUBLISH)
            .bind(self.tx.organization())
            .bind(shard_index(shard))
            .bind(count)
            .bind(time(self.now))
            .bind(&kinds)
            .bind(&ids)
            .bind(&uids)
            .bind(&tightens)
            .bind(&contents)
            .bind(&hashes)
            .bind(&requires)
            .bind(&staged)
            .fetch_one(self.tx.connection())
            .await?;
        Ok(Some(Revision { shard, n: unsigned(n) }))
    }
}

impl Deref for Change {
    type Target = TenantTx;
    fn deref(&self) -> &TenantTx {
        &self.tx
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut TenantTx {
        &mut self.tx
    }
}
