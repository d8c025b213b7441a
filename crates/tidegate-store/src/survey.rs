//! What a login meets at its server: facts for `tidegate doctor`, without a judgement. Writes nothing.
//!
//! Asks in the simple protocol only, so that it gets answers through a pooler that knows no prepared statements.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection as _, Row as _};
use tidegate_types::Clock;

use crate::connect::{login_fault, options, schema_needed, with_limits};
use crate::{Result, StoreError};

/// How often two connections are compared to find that they share a server's process.
const COMPARED: usize = 5;

/// The part that a login plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `database.url`.
    Api,
    /// `database.feed_url`.
    Feed,
    /// `database.migrate_url`.
    Owner,
}

/// What a login met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Name of the login.
    pub login: String,
    /// `server_version_num`, for example 150018.
    pub version: i32,
    /// The server's host; `None`: a Unix socket.
    pub host: Option<String>,
    /// TLS version of the connection; `None`: it is not encrypted.
    pub tls: Option<String>,
    /// Whether the certificate and its name are checked (`sslmode=verify-full`).
    pub verified: bool,
    /// Start-up parameters that a pooler in front refuses.
    pub refused_parameters: bool,
    /// Whether transactions of one connection may run in different processes of the server.
    pub pools_transactions: bool,
    /// What the login may too much or too little; `None`: nothing. Not looked at without a schema.
    pub fault: Option<String>,
    /// Newest migration that the schema has; `None`: there is no schema yet.
    pub schema: Option<i64>,
    /// Newest migration that this program knows.
    pub schema_needed: i64,
    /// Whether the server is a standby, which writes nothing.
    pub standby: bool,
    /// Server's clock minus this machine's, microseconds.
    pub clock_ahead: i64,
    /// How far that may be off, microseconds.
    pub clock_error: i64,
    /// Connections that are not taken.
    pub free_connections: i64,
    /// For the owner: whether it may make tables, and the group roles or finds them.
    pub may_migrate: bool,
}

/// Looks at the server as this login.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Database`] when the login gets no answer.
pub async fn survey(url: &str, part: Part, clock: &dyn Clock) -> Result<Survey> {
    let plain = options(url)?;
    let (mut first, plain, refused_parameters) = connect(plain).await?;
    let mut second = PgConnection::connect_with(&plain).await?;
    let pools_transactions = share_a_process(&mut first, &mut second).await?;
    second.close().await?;
    let facts = read(&mut first, clock).await?;
    let schema = schema(&mut first).await?;
    let fault = match (part, schema) {
        (Part::Owner, _) | (_, None) => None,
        (Part::Api, _) => login_fault(&mut first, "tidegate_app", "tidegate_feed").await?,
        (Part::Feed, _) => login_fault(&mut first, "tidegate_feed", "tidegate_app").await?,
    };
    let may_migrate = part == Part::Owner && may_migrate(&mut first).await?;
    first.close().await?;
    Ok(Survey {
        host: plain.get_socket().is_none().then(|| plain.get_host().to_owned()),
        verified: matches!(plain.get_ssl_mode(), PgSslMode::VerifyFull),
        refused_parameters,
        pools_transactions,
        fault,
        schema,
        schema_needed: schema_needed(),
        may_migrate,
        ..facts
    })
}

/// What went wrong, down to its cause; holds no secret.
#[must_use]
pub fn reason(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

/// A connection as the control plane makes them, or, where a pooler does not take its parameters, a plain one;
/// how to make more of them.
async fn connect(plain: PgConnectOptions) -> Result<(PgConnection, PgConnectOptions, bool)> {
    match PgConnection::connect_with(&with_limits(plain.clone())).await {
        Ok(connection) => Ok((connection, plain, false)),
        Err(error) if error.to_string().contains("startup parameter") => {
            let bare = plain.extra_float_digits(None);
            Ok((PgConnection::connect_with(&bare).await?, bare, true))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a transaction of one connection runs in the process that the other connection had just before: it
/// would have kept that process, if it had one of its own.
async fn share_a_process(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool> {
    for _ in 0..COMPARED {
        let before = process(first).await?;
        // A pooler of single statements refuses transactions.
        if sqlx::raw_sql("BEGIN").execute(&mut *second).await.is_err() {
            return Ok(true);
        }
        let beside = process(second).await?;
        sqlx::raw_sql("ROLLBACK").execute(&mut *second).await?;
        if before == beside || process(first).await? != before {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn process(connection: &mut PgConnection) -> Result<i32> {
    Ok(sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)?)
}

/// What every login may read.
async fn read(connection: &mut PgConnection, clock: &dyn Clock) -> Result<Survey> {
    let before = clock.now().as_micros();
    let row = sqlx::raw_sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        .fetch_one(&mut *connection)
        .await?;
    let trip = clock.now().as_micros() - before;
    let server: i64 = row.try_get(0)?;
    // What pg_stat_activity says of other roles' connections only a monitoring role may read.
    let row = sqlx::raw_sql(
        "SELECT current_user::text, current_setting('server_version_num')::int, pg_is_in_recovery(),
                (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl),
                current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                    - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database WHERE datid <> 0)::bigint",
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(Survey {
        login: row.try_get(0)?,
        version: row.try_get(1)?,
        host: None,
        tls: row.try_get(3)?,
        verified: false,
        refused_parameters: false,
        pools_transactions: false,
        fault: None,
        schema: None,
        schema_needed: 0,
        standby: row.try_get(2)?,
        clock_ahead: server - before - trip / 2,
        clock_error: trip / 2,
        free_connections: row.try_get(4)?,
        may_migrate: false,
    })
}

/// The newest migration, 0 where the login may not read which there are.
async fn schema(connection: &mut PgConnection) -> Result<Option<i64>> {
    let row = sqlx::raw_sql("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !row.try_get::<bool, _>(0)? {
        return Ok(None);
    }
    let newest = sqlx::raw_sql("SELECT max(version) FROM public._sqlx_migrations WHERE success");
    match newest.fetch_one(connection).await {
        Ok(row) => Ok(row.try_get::<Option<i64>, _>(0)?),
        Err(error) if is_denied(&error) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

fn is_denied(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42501")
}

async fn may_migrate(connection: &mut PgConnection) -> Result<bool> {
    let row = sqlx::raw_sql(
        "SELECT has_schema_privilege('public', 'CREATE') AND has_database_privilege(current_database(), 'CONNECT')
            AND ((SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user)
                 OR (SELECT count(*) = 2 FROM pg_roles WHERE rolname IN ('tidegate_app', 'tidegate_feed')))",
    )
    .fetch_one(connection)
    .await?;
    Ok(row.try_get(0)?)
}

/// For the whole of a survey.
pub const PATIENCE: Duration = Duration::from_secs(15);
