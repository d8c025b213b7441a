//! Connections: two logins that may do exactly what they should, checked before anything else.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tidegate_types::Timestamp;

use crate::actor::Actor;
use crate::change::Change;
use crate::tenant::TenantTx;
use crate::{Result, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The control plane's database, reached through its two logins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    app: PgPool,
    feed: PgPool,
    waves: bool,
}

/// Brings the schema up to date, as the owner's login. Safe to run from several places at once.
///
/// # Errors
/// [`StoreError::Database`] when a migration fails.
pub async fn migrate(owner_url: &str) -> Result<()> {
    let mut connection = sqlx::PgConnection::connect_with(&options(owner_url)?).await?;
    // A newer program may have been here: after a step back the older one runs on what it left.
    let mut migrations = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrations
        .set_ignore_missing(true)
        .run(&mut connection)
        .await
        .map_err(|error| StoreError::Database(error.into()))?;
    // Days of which nodes ship first; the control plane makes the following ones.
    sqlx::query("SELECT ensure_partitions((now() AT TIME ZONE 'UTC')::date - 1, 10)")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

impl Store {
    /// Connects both logins and checks them.
    ///
    /// # Errors
    /// [`StoreError::UnsafeLogin`] when a login is superuser, owns tables, bypasses row-level
    /// security, lacks its role or has the other one's, or when the schema is not migrated;
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub async fn connect(app_url: &str, feed_url: &str) -> Result<Self> {
        let store = Self { app: pool(app_url, 16).await?, feed: pool(feed_url, 8).await?, waves: false };
        check_login(&store.app, "tidegate_app", "tidegate_feed").await?;
        check_login(&store.feed, "tidegate_feed", "tidegate_app").await?;
        check_schema(&store.app).await?;
        Ok(store)
    }

    /// The same, and changes of the shared catalogue go to nodes in waves.
    #[must_use]
    pub const fn with_waves(mut self, waves: bool) -> Self {
        self.waves = waves;
        self
    }

    /// A read-only transaction bound to the actor's organization.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin(&self, actor: &Actor) -> Result<TenantTx> {
        TenantTx::begin(&self.app, actor, "BEGIN READ ONLY").await
    }

    /// A read-only transaction whose statements all see the same moment.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin_snapshot(&self, actor: &Actor) -> Result<TenantTx> {
        TenantTx::begin(&self.app, actor, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await
    }

    /// A transaction that changes the actor's organization. `now` is written on every row.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn change(&self, actor: &Actor, now: Timestamp) -> Result<Change> {
        Ok(Change::new(TenantTx::begin(&self.app, actor, "BEGIN").await?, now, self.waves))
    }

    /// Whether the database answers at this moment.
    pub async fn is_alive(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.app).await.is_ok()
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.app.close().await;
        self.feed.close().await;
    }

    pub(crate) const fn app(&self) -> &PgPool {
        &self.app
    }

    pub(crate) const fn feed(&self) -> &PgPool {
        &self.feed
    }
}

pub(crate) fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(options.application_name("tidegate"))
}

/// What every connection of the control plane asks for at its start.
pub(crate) fn with_limits(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s")])
}

async fn pool(url: &str, size: u32) -> Result<PgPool> {
    let options = with_limits(options(url)?);
    let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(Duration::from_secs(3));
    Ok(pool.connect_with(options).await?)
}

async fn check_login(pool: &PgPool, needed: &'static str, foreign: &'static str) -> Result<()> {
    match login_fault(&mut *pool.acquire().await?, needed, foreign).await? {
        Some(fault) => Err(StoreError::UnsafeLogin(fault)),
        None => Ok(()),
    }
}

/// What a login may too much or too little.
pub(crate) async fn login_fault(
    connection: &mut PgConnection,
    needed: &'static str,
    foreign: &'static str,
) -> Result<Option<String>> {
    // Names of ours, and no prepared statement: a pooler may stand in front.
    let row = sqlx::raw_sql(AssertSqlSafe(format!(
        "SELECT EXISTS (SELECT FROM pg_roles r WHERE (r.rolsuper OR r.rolbypassrls) AND pg_has_role(r.oid, 'MEMBER')),
                EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
                            AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'MEMBER')),
                EXISTS (SELECT FROM pg_roles WHERE rolname = '{needed}' AND pg_has_role(oid, 'USAGE')),
                EXISTS (SELECT FROM pg_roles WHERE rolname = '{foreign}' AND pg_has_role(oid, 'MEMBER'))"
    )))
    .fetch_one(connection)
    .await?;
    let is = |column: usize| row.try_get::<bool, _>(column);
    let fault = match (is(0)?, is(1)?, is(2)?, is(3)?) {
        (true, ..) => {
            "it is, or may become, a superuser or a role that bypasses row-level security".to_owned()
        }
        (_, true, ..) => "it owns tables; give the owner to `tidegate migrate` only".to_owned(),
        (_, _, false, _) => {
            format!("it is not a member of {needed} (run `tidegate migrate`, then GRANT {needed})")
        }
        (_, _, _, true) => format!("it is a member of {foreign} as well; use two logins"),
        _ => return Ok(None),
    };
    Ok(Some(fault))
}

/// The newest migration that this program knows.
pub(crate) fn schema_needed() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn check_schema(pool: &PgPool) -> Result<()> {
    let needed = schema_needed();
    let (present,): (Option<i64>,) =
        sqlx::query_as("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(pool).await?;
    if present.unwrap_or(0) < needed {
        return Err(StoreError::UnsafeLogin(
            "the schema is older than this program; run `tidegate migrate`".to_owned(),
        ));
    }
    Ok(())
}

/// Changes whenever a migration does.
#[cfg(feature = "testing")]
pub(crate) fn migration_checksums() -> impl Iterator<Item = &'static [u8]> {
    MIGRATIONS.iter().map(|migration| &*migration.checksum)
}
