//! The feed: what changed in a shard since a revision. Read across organizations.
//!
//! Only the newest version of each resource is kept, so a delta from 0 is a snapshot. What is staged comes beside the
//! released version, in the same statement: a position is reached with both or with neither.

use serde_json::Value;
use tidegate_types::resource::{ResourceKey, ResourceKind, Versioned, unknown_features};
use tidegate_types::{NodeId, OrganizationId, Position, Revision, Shard, Timestamp};
use uuid::Uuid;

use crate::connect::Store;
use crate::convert::{bytes32, from_json, shard, shard_index, signed, time, unsigned};
use crate::placement::Placement;
use crate::{Result, StoreError};

/// A version of a resource with the hash of its canonical content (`None`: deleted).
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The version.
    pub versioned: Versioned,
    /// SHA-256 of the canonical content without sealed bytes.
    pub content_hash: Option<[u8; 32]>,
    /// Where its organization was served when it was read.
    pub placement: Placement,
    /// Features that it requires and this release does not have: the resource is then not read.
    pub unknown: Vec<String>,
    /// It is staged, and told to the members of the wave only; `None`: it is released.
    pub members: Option<Vec<NodeId>>,
}

impl Item {
    /// Whether the stored content could not be read by this version: it has a hash, but no
    /// resource. One such row must not hold up the others.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        self.versioned.resource.is_none() && self.content_hash.is_some()
    }
}

/// The newest revision of every shard.
///
/// # Errors
/// When the database is away.
pub async fn heads(store: &Store) -> Result<Position> {
    let rows: Vec<(i16, i64)> =
        sqlx::query_as("SELECT shard, n FROM feed_head ORDER BY shard").fetch_all(store.feed()).await?;
    let mut position = Position::default();
    for (index, n) in rows {
        position.advance(Revision { shard: shard(index)?, n: unsigned(n) });
    }
    Ok(position)
}

/// Has everything in a shard come anew, under numbers beyond all that nodes may hold: for nodes which hold what the
/// database has not, or no longer. False: that was done less than an hour ago.
///
/// # Errors
/// When the database is away.
pub async fn renew(store: &Store, of: Shard, now: Timestamp) -> Result<bool> {
    let (renewed,): (bool,) = sqlx::query_as("SELECT feed_renew($1, $2)")
        .bind(shard_index(of))
        .bind(time(now))
        .fetch_one(store.feed())
        .await?;
    Ok(renewed)
}

type Row = (
    Uuid,
    String,
    String,
    i64,
    bool,
    Option<Value>,
    Option<Vec<u8>>,
    Option<Vec<String>>,
    Option<Vec<String>>,
    Option<Vec<String>>,
    Option<Vec<Uuid>>,
);

fn item(
    in_shard: Shard,
    (organization, kind, id, n, tightens, content, hash, requires, serving, former, members): Row,
) -> Result<Item> {
    let kind = ResourceKind::parse(&kind).ok_or(StoreError::Unreadable("resource kind"))?;
    let unknown: Vec<_> = requires.iter().flat_map(|all| unknown_features(all)).map(str::to_owned).collect();
    // What this release understands of it would be less than what was asked.
    let content = content.filter(|_| unknown.is_empty());
    let resource = content.and_then(|content| from_json(content, "resource").ok());
    Ok(Item {
        versioned: Versioned {
            key: ResourceKey { organization_id: OrganizationId::from_uuid(organization), kind, id },
            revision: Revision { shard: in_shard, n: unsigned(n) },
            tightens,
            resource,
        },
        content_hash: hash.map(|hash| bytes32(&hash, "content hash")).transpose()?,
        placement: Placement::new(serving, former),
        unknown,
        members: members.map(|members| members.into_iter().map(NodeId::from_uuid).collect()),
    })
}

/// A later release may have stored kinds that this one has no place for: its own control planes send them.
fn known_kinds() -> [&'static str; ResourceKind::ALL.len()] {
    ResourceKind::ALL.map(ResourceKind::as_str)
}

/// The next `limit` changes of a shard after `n`, deletions included, in order. The last one's
/// revision is where to go on; fewer than `limit`: there is no more at this moment.
///
/// # Errors
/// When the database is away.
pub async fn changes_since(store: &Store, of: Shard, n: u64, limit: u32) -> Result<Vec<Item>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT c.organization_id, kind, id, n, tightens, content, content_hash, requires, serving, former, members
         FROM config_told c,
             LATERAL (SELECT array_agg(pool) FILTER (WHERE rank IS NOT NULL) AS serving,
                             array_agg(pool) FILTER (WHERE rank IS NULL) AS former
                      FROM organization_pools p WHERE p.organization_id = c.organization_id) AS placed
         WHERE shard = $1 AND n > $2 AND kind = ANY($4) ORDER BY n LIMIT $3",
    )
    .bind(shard_index(of))
    .bind(signed(n))
    .bind(i64::from(limit))
    .bind(&known_kinds()[..])
    .fetch_all(store.feed())
    .await?;
    rows.into_iter().map(|row| item(of, row)).collect()
}

/// A page of the snapshot of a shard as of `upto`: resources with a revision after `n` and up to
/// `upto`, without deletions. What moved beyond `upto` meanwhile comes with
/// [`changes_since`]`(upto)`. Fewer than `limit`: this was the last page.
///
/// # Errors
/// When the database is away.
pub async fn snapshot_page(store: &Store, of: Shard, n: u64, upto: u64, limit: u32) -> Result<Vec<Item>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT c.organization_id, kind, id, n, tightens, content, content_hash, requires, serving, former, members
         FROM config_told c,
             LATERAL (SELECT array_agg(pool) FILTER (WHERE rank IS NOT NULL) AS serving,
                             array_agg(pool) FILTER (WHERE rank IS NULL) AS former
                      FROM organization_pools p WHERE p.organization_id = c.organization_id) AS placed
         WHERE shard = $1 AND n > $2 AND n <= $3 AND content IS NOT NULL AND kind = ANY($5)
         ORDER BY n LIMIT $4",
    )
    .bind(shard_index(of))
    .bind(signed(n))
    .bind(signed(upto))
    .bind(i64::from(limit))
    .bind(&known_kinds()[..])
    .fetch_all(store.feed())
    .await?;
    rows.into_iter().map(|row| item(of, row)).collect()
}
