//! What can go wrong with the store, and how database errors are read.

use sqlx::postgres::PgDatabaseError;

/// Why the store did not do what it was asked. Holds no values of rows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing with this id in the actor's organization.
    #[error("not found")]
    NotFound,
    /// The row has another version than the caller saw.
    #[error("version is {current} by now")]
    VersionConflict {
        /// The present version.
        current: i64,
    },
    /// A unique value is taken; names the constraint, for example `teams_name`.
    #[error("already taken ({0})")]
    Taken(String),
    /// A reference to something that does not exist; names the constraint, for example `virtual_keys_team`.
    #[error("refers to something that does not exist ({0})")]
    Dangling(String),
    /// Something else still refers to it; names the constraint.
    #[error("still in use ({0})")]
    InUse(String),
    /// What is written once and for ever would change.
    #[error("cannot be changed: {0}")]
    Immutable(&'static str),
    /// A later release wrote something there that this one would lose; names it.
    #[error("a later release wrote {0}, which this one does not know")]
    Later(String),
    /// The login may do more, or less, than the control plane's logins should.
    #[error("refusing to use this database login: {0}")]
    UnsafeLogin(String),
    /// A stored value that this version cannot read.
    #[error("stored {0} is not readable")]
    Unreadable(&'static str),
    /// The database cannot be reached or is shutting down; worth a retry.
    #[error("database unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// Any other database error.
    #[error("database error")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether it concerns what was worked on and says nothing of anything else: work on one organization after the
    /// other goes on with the next.
    #[must_use]
    pub const fn is_of_one(&self) -> bool {
        matches!(self, Self::NotFound | Self::Later(_) | Self::Unreadable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>())
        else {
            return match error {
                sqlx::Error::RowNotFound => Self::NotFound,
                // What answers for a database that is away, a balancer for example, speaks no protocol.
                sqlx::Error::Io(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Tls(_) => Self::Unavailable(error),
                _ => Self::Database(error),
            };
        };
        let constraint = database.constraint().unwrap_or("unnamed").to_owned();
        match database.code() {
            "23505" => Self::Taken(constraint),
            // On a parent, Postgres says "is still referenced"; on a child, "is not present".
            "23503" if database.message().starts_with("update or delete") => Self::InUse(constraint),
            "23503" => Self::Dangling(constraint),
            "23001" => Self::Immutable("row"),
            // Shutting down, starting up, timed out, deadlocked, too many connections, connection failures.
            code if code.starts_with("57")
                || code.starts_with("40")
                || code.starts_with("53")
                || code.starts_with("08") =>
            {
                Self::Unavailable(error)
            }
            _ => Self::Database(error),
        }
    }
}
