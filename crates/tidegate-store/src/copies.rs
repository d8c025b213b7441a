//! Copies of the configuration that were published, one at a time for each pool.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, Transaction};
use tidegate_types::Timestamp;

use crate::Result;
use crate::connect::Store;
use crate::convert::{time, timestamp};

/// The right to write a pool's copy; given up when dropped. Holds a connection.
#[derive(Debug)]
pub struct Turn {
    tx: Transaction<'static, Postgres>,
    pool: String,
    before: Timestamp,
}

/// So long a turn may take, in seconds: the database ends it then.
pub const TURN_SECONDS: u64 = 600;

/// Begins a pool's next copy; `None` while another control plane writes one.
///
/// # Errors
/// When the database is away; [`crate::StoreError::Dangling`] for an unknown pool.
pub async fn begin(store: &Store, pool: &str) -> Result<Option<Turn>> {
    sqlx::query("INSERT INTO copies (pool, issued_at) VALUES ($1, to_timestamp(0)) ON CONFLICT DO NOTHING")
        .bind(pool)
        .execute(store.feed())
        .await?;
    let mut tx = store.feed().begin().await?;
    // A large copy takes longer than a transaction may be idle otherwise.
    sqlx::query("SELECT set_config('idle_in_transaction_session_timeout', $1, true)")
        .bind(format!("{TURN_SECONDS}s"))
        .execute(&mut *tx)
        .await?;
    let row: Option<(DateTime<Utc>,)> =
        sqlx::query_as("SELECT issued_at FROM copies WHERE pool = $1 FOR UPDATE SKIP LOCKED")
            .bind(pool)
            .fetch_optional(&mut *tx)
            .await?;
    Ok(row.map(|(before,)| Turn { tx, pool: pool.to_owned(), before: timestamp(before) }))
}

impl Turn {
    /// When the newest copy was made; the beginning of time when there is none.
    #[must_use]
    pub const fn before(&self) -> Timestamp {
        self.before
    }

    /// Notes a copy before it takes its place. It counts with [`Turn::end`].
    ///
    /// # Errors
    /// When the database is away, or the turn is over: somebody else may have it.
    pub async fn note(&mut self, issued_at: Timestamp) -> Result<()> {
        sqlx::query("UPDATE copies SET issued_at = $2 WHERE pool = $1")
            .bind(&self.pool)
            .bind(time(issued_at))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The noted copy is there, where nodes find it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }
}

/// When the newest copy of each pool was made; the beginning of time where none could be made yet.
///
/// # Errors
/// When the database is away.
pub async fn issued(store: &Store) -> Result<Vec<(String, Timestamp)>> {
    let rows: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as("SELECT pool, issued_at FROM copies").fetch_all(store.feed()).await?;
    Ok(rows.into_iter().map(|(pool, at)| (pool, timestamp(at))).collect())
}

/// Every pool there is.
///
/// # Errors
/// When the database is away.
pub async fn pools(store: &Store) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT pool FROM pools ORDER BY pool").fetch_all(store.feed()).await?;
    Ok(rows.into_iter().map(|(pool,)| pool).collect())
}
