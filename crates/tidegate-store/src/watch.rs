//! What the push plane looks at again and again: heads of the feed, hashes of a shard, nodes that
//! are out.

use sqlx::{Connection as _, PgConnection};
use tidegate_types::{NodeId, OrganizationId, Position, Revision, Shard};
use uuid::Uuid;

use crate::Result;
use crate::connect::Store;
use crate::convert::{bytes32, shard, shard_index, unsigned};

/// Reads the heads of the feed over a connection of its own, so that a busy pool delays no
/// revocation. Reconnects by itself.
#[derive(Debug)]
pub struct HeadWatch {
    store: Store,
    connection: Option<PgConnection>,
}

impl HeadWatch {
    /// Connects at the first look.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store, connection: None }
    }

    /// The newest revision of every shard.
    ///
    /// # Errors
    /// When the database is away; the next look connects anew.
    pub async fn look(&mut self) -> Result<Position> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => PgConnection::connect_with(&self.store.feed().connect_options()).await?,
        };
        let rows: Vec<(i16, i64)> =
            sqlx::query_as("SELECT shard, n FROM feed_head").fetch_all(&mut connection).await?;
        // Kept only after a success: a failed connection is not used again.
        self.connection = Some(connection);
        let mut position = Position::default();
        for (index, n) in rows {
            position.advance(Revision { shard: shard(index)?, n: unsigned(n) });
        }
        Ok(position)
    }
}

/// One resource of a shard, for its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// Its text in digests: `{organization_id}/{kind}/{id}`.
    pub key: String,
    /// The kind's name.
    pub kind: String,
    /// Its id within the kind.
    pub id: String,
    /// The change that made its newest version.
    pub n: u64,
    /// SHA-256 of its canonical content.
    pub content_hash: [u8; 32],
}

/// A shard as of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    /// Its newest revision.
    pub n: u64,
    /// Every released resource in it that nodes of the pool get.
    pub resources: Vec<Hashed>,
    /// Nodes that have something else of it, which is staged.
    pub members: Vec<NodeId>,
}

/// What nodes of `pool` hold of a shard that have everything, the members of a wave apart.
///
/// # Errors
/// When the database is away.
pub async fn hashes(store: &Store, of: Shard, pool: &str) -> Result<Hashes> {
    type Row =
        (i64, Option<Uuid>, Option<String>, Option<String>, Option<i64>, Option<Vec<u8>>, Option<Vec<Uuid>>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT h.n, c.organization_id, c.kind, c.id, c.n, c.content_hash,
             (SELECT w.members FROM waves w WHERE w.shard = h.shard AND w.stage IN ('one', 'tenth')) FROM feed_head h
         LEFT JOIN config_resources c ON c.shard = h.shard AND c.content_hash IS NOT NULL
             AND served_in(c.organization_id, $2) WHERE h.shard = $1",
    )
    .bind(shard_index(of))
    .bind(pool)
    .fetch_all(store.feed())
    .await?;
    let head = rows.first().map_or(0, |row| unsigned(row.0));
    let members = rows.first().and_then(|row| row.6.clone()).unwrap_or_default();
    let mut hashed = Vec::with_capacity(rows.len());
    for row in rows {
        let (_, Some(organization), Some(kind), Some(id), Some(n), Some(hash), _) = row else { continue };
        let organization = OrganizationId::from_uuid(organization);
        let key = format!("{organization}/{kind}/{id}");
        hashed.push(Hashed { key, kind, id, n: unsigned(n), content_hash: bytes32(&hash, "content hash")? });
    }
    let members = members.into_iter().map(NodeId::from_uuid).collect();
    Ok(Hashes { n: head, resources: hashed, members })
}

/// Which of these nodes are revoked or drained by now.
///
/// # Errors
/// When the database is away.
pub async fn retired(store: &Store, nodes: &[NodeId]) -> Result<Vec<NodeId>> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let nodes: Vec<Uuid> = nodes.iter().map(|node| node.to_uuid()).collect();
    let rows: Vec<(Uuid,)> =
        sqlx::query_as("SELECT node_id FROM nodes WHERE node_id = ANY($1) AND state <> 'enrolled'")
            .bind(&nodes)
            .fetch_all(store.feed())
            .await?;
    Ok(rows.into_iter().map(|(node,)| NodeId::from_uuid(node)).collect())
}
