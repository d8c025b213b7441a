//! Makes a database and its three logins on a server of our own (`tidegate dev`).
//!
//! An operator of a managed server does the same by hand; see the installation guide.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::Result;

/// Name and password of each login.
#[derive(Clone, Copy)]
pub struct Logins<'a> {
    /// Owns the schema; `migrate` only.
    pub owner: (&'a str, &'a str),
    /// The management API's.
    pub app: (&'a str, &'a str),
    /// The feed's.
    pub feed: (&'a str, &'a str),
}

/// Makes what is missing and sets the passwords; then the owner may migrate. Call
/// [`grant`] after the first migration.
///
/// # Errors
/// When the server refuses.
pub async fn provision(superuser_url: &str, database: &str, logins: &Logins<'_>) -> Result<()> {
    let mut connection = PgConnection::connect_with(&PgConnectOptions::from_str(superuser_url)?).await?;
    for ((name, password), powers) in [(logins.owner, "CREATEROLE"), (logins.app, ""), (logins.feed, "")] {
        let (known,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        let verb = if known { "ALTER" } else { "CREATE" };
        let statement =
            format!("{verb} ROLE {} LOGIN {powers} PASSWORD {}", identifier(name), literal(password));
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    let (known,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(&mut connection)
        .await?;
    if !known {
        let statement =
            format!("CREATE DATABASE {} OWNER {}", identifier(database), identifier(logins.owner.0));
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Makes the two logins members of the roles that the migrations made.
///
/// # Errors
/// When the server refuses.
pub async fn grant(superuser_url: &str, logins: &Logins<'_>) -> Result<()> {
    let mut connection = PgConnection::connect_with(&PgConnectOptions::from_str(superuser_url)?).await?;
    for (role, (login, _)) in [("tidegate_app", logins.app), ("tidegate_feed", logins.feed)] {
        let statement = format!("GRANT {} TO {}", identifier(role), identifier(login));
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
