//! Databases and time for tests: databases are made from a migrated template and reached through the real logins.

mod clock;

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tidegate_testkit::postgres::{Address, Server};

pub use self::clock::{HandClock, START, new_id};
use crate::{Store, migrate};

/// Errors of the test environment.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A migrated database of a test's own, in the run's shared cluster.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Login that owns the schema, is not superuser, and migrates.
    pub owner_url: String,
    /// Login with the role `tidegate_app`.
    pub app_url: String,
    /// Login with the role `tidegate_feed`.
    pub feed_url: String,
    /// The cluster's superuser on this database: for tests that it is refused.
    pub superuser_url: String,
}

impl TestDatabase {
    /// Makes a database (about 50 ms; the first of a run also starts the cluster and migrates).
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not start.
    pub async fn create() -> Result<Self, Error> {
        Self::create_in(&Server::shared()?).await
    }

    /// Makes a database in a cluster of the test's own, which it may stop and start.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn create_in(cluster: &Address) -> Result<Self, Error> {
        let template = template(cluster).await?;
        let name = format!("test_{}", random()?);
        let mut admin = PgConnection::connect(&cluster.superuser_url("postgres")).await?;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} OWNER owner STRATEGY file_copy");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await?;
        admin.close().await?;
        Ok(Self::at(cluster, &name))
    }

    fn at(cluster: &Address, name: &str) -> Self {
        let url = |login: &str| cluster.url(login, &cluster.password, name);
        Self {
            owner_url: url("owner"),
            app_url: url("app"),
            feed_url: url("feed"),
            superuser_url: cluster.superuser_url(name),
        }
    }

    /// Connects the store through the real logins.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn store(&self) -> crate::Result<Store> {
        Store::connect(&self.app_url, &self.feed_url).await
    }
}

/// The template database of these migrations, made by whoever comes first.
async fn template(cluster: &Address) -> Result<String, Error> {
    let mut hash = DefaultHasher::new();
    crate::connect::migration_checksums().for_each(|checksum| checksum.hash(&mut hash));
    let name = format!("template_{:016x}", hash.finish());
    let mut admin = PgConnection::connect(&cluster.superuser_url("postgres")).await?;
    sqlx::query("SELECT pg_advisory_lock(20261121)").execute(&mut admin).await?;
    let (ready,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await?;
    if !ready {
        make_template(cluster, &mut admin, &name).await?;
    }
    admin.close().await?;
    Ok(name)
}

async fn make_template(cluster: &Address, admin: &mut PgConnection, name: &str) -> Result<(), Error> {
    let password = &cluster.password;
    let (has_logins,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'owner')")
            .fetch_one(&mut *admin)
            .await?;
    if !has_logins {
        let logins = format!(
            "CREATE ROLE owner LOGIN CREATEROLE PASSWORD '{password}';
             CREATE ROLE app LOGIN PASSWORD '{password}'; CREATE ROLE feed LOGIN PASSWORD '{password}'"
        );
        sqlx::raw_sql(AssertSqlSafe(logins)).execute(&mut *admin).await?;
    }
    // Under another name until it is complete: a killed test leaves no half-made template.
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS making_{name}")))
        .execute(&mut *admin)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE making_{name} OWNER owner")))
        .execute(&mut *admin)
        .await?;
    migrate(&cluster.url("owner", password, &format!("making_{name}"))).await?;
    sqlx::raw_sql("GRANT tidegate_app TO app; GRANT tidegate_feed TO feed").execute(&mut *admin).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("ALTER DATABASE making_{name} RENAME TO {name}")))
        .execute(&mut *admin)
        .await?;
    Ok(())
}

fn random() -> Result<String, Error> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(text.trim().replace('-', ""))
}
