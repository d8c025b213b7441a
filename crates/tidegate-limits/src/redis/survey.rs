//! What a Redis is, and what the user may do there: facts for `tidegate doctor`, without a judgement. Leaves
//! nothing behind.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, Value};
use tidegate_types::Clock;
use tokio::time::timeout;

use super::finder::Finder;
use super::link::{info, server_time};
use crate::settings::RedisSettings;

const SCRIPT: &str = include_str!("scripts/survey.lua");
/// For connecting, and for all questions.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// `7.0.15`.
    pub version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
    /// `master` or `slave`.
    pub role: String,
    /// `maxmemory-policy`.
    pub eviction: String,
    /// `maxmemory` in bytes; 0: unbounded.
    pub most_memory: u64,
    /// Bytes in use.
    pub used_memory: u64,
    /// Whether changes are appended to a file.
    pub appends: bool,
    /// Whether the last copy and the last append reached the disk; a server that fails there refuses writes.
    pub writes_to_disk: bool,
    /// Commands that are refused to this user, or not known.
    pub refused: BTreeSet<String>,
    /// Server's clock minus this machine's, microseconds.
    pub clock_ahead: i64,
    /// How far that may be off, microseconds.
    pub clock_error: i64,
}

/// Looks at the server.
///
/// # Errors
/// Why it cannot be looked at; holds no secret.
pub async fn survey(settings: &RedisSettings, clock: &dyn Clock) -> Result<Survey, String> {
    let finder = Finder::new(settings).map_err(|error| error.to_string())?;
    let looked = async {
        let connection = connect(&finder).await?;
        look(connection, "doctor", settings.seed, clock).await
    };
    timeout(2 * PATIENCE, looked).await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()))
}

/// What each Sentinel says: its address, and where it sees the primary; `Err`: why it says nothing.
///
/// # Errors
/// Why they cannot be asked at all.
pub async fn survey_sentinels(
    settings: &RedisSettings,
) -> Result<Vec<(String, Result<String, &'static str>)>, String> {
    let finder = Finder::new(settings).map_err(|error| error.to_string())?;
    let told = finder.ask_all().await.into_iter();
    Ok(told
        .map(|(address, told)| (address, told.map(|primary| format!("{}:{}", primary.host, primary.port))))
        .collect())
}

/// Connects to the server.
pub(super) async fn connect(finder: &Finder) -> Result<MultiplexedConnection, String> {
    let client = finder.find().await.map_err(|_| "no sentinel names a primary".to_owned())?;
    let config =
        AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| why(&error))
}

/// Looks at one server, with keys `tg:{tag}:…` of its own.
pub(super) async fn look(
    mut connection: MultiplexedConnection,
    tag: &str,
    seed: u64,
    clock: &dyn Clock,
) -> Result<Survey, String> {
    let mut refused = BTreeSet::new();
    let mut told = Vec::new();
    for section in ["server", "memory", "replication", "persistence"] {
        let reply = ask(&mut connection, redis::cmd("INFO").arg(section)).await?;
        told.push(reply.unwrap_or_else(|_| {
            refused.insert("INFO".to_owned());
            Value::Nil
        }));
    }
    let said = |section: usize, field: &str| {
        told.get(section).and_then(|reply| info(reply, field)).unwrap_or_default().to_owned()
    };
    let (clock_ahead, clock_error) = match time(&mut connection, clock).await? {
        Some(read) => read,
        None => {
            refused.insert("TIME".to_owned());
            (0, 0)
        }
    };
    let mode = said(0, "redis_mode:");
    if mode != "sentinel" {
        refused.extend(commands(&mut connection, tag, seed).await?);
    }
    Ok(Survey {
        version: said(0, "redis_version:"),
        mode,
        role: said(2, "role:"),
        eviction: said(1, "maxmemory_policy:"),
        most_memory: said(1, "maxmemory:").parse().unwrap_or(0),
        used_memory: said(1, "used_memory:").parse().unwrap_or(0),
        appends: said(3, "aof_enabled:") == "1",
        writes_to_disk: said(3, "rdb_last_bgsave_status:") != "err"
            && said(3, "aof_last_write_status:") != "err",
        refused,
        clock_ahead,
        clock_error,
    })
}

/// Commands that are refused, tried with keys that no organization has.
async fn commands(
    connection: &mut MultiplexedConnection,
    tag: &str,
    seed: u64,
) -> Result<Vec<String>, String> {
    let loaded = ask(connection, redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT)).await?;
    let Ok(Value::BulkString(sha)) = loaded else { return Ok(vec!["SCRIPT LOAD".to_owned()]) };
    let mut call = redis::cmd("EVALSHA");
    call.arg(sha).arg(4);
    for kind in ["s", "h", "z", "x"] {
        call.arg(format!("tg:{{{tag}}}:{seed:x}:{kind}"));
    }
    match ask(connection, &call).await? {
        Ok(Value::Array(names)) => Ok(names
            .into_iter()
            .filter_map(|name| match name {
                Value::BulkString(name) => Some(String::from_utf8_lossy(&name).into_owned()),
                _ => None,
            })
            .collect()),
        // Also where the user may not touch keys that begin with `tg:`.
        Ok(_) | Err(_) => Ok(vec!["EVALSHA on keys tg:*".to_owned()]),
    }
}

/// The server's clock against ours, and how far that may be off; `None`: it does not say.
async fn time(
    connection: &mut MultiplexedConnection,
    clock: &dyn Clock,
) -> Result<Option<(i64, i64)>, String> {
    let before = clock.now().as_micros();
    let reply = ask(connection, &redis::cmd("TIME")).await?;
    let half = (clock.now().as_micros() - before) / 2;
    let server = reply.ok().as_ref().and_then(server_time);
    Ok(server.map(|server| (server.as_micros() - before - half, half)))
}

/// The answer, or that the server refuses the question; `Err`: there is no answer.
async fn ask(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Result<Value, ()>, String> {
    match connection.send_packed_command(command).await {
        Ok(Value::ServerError(_)) => Ok(Err(())),
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.code() == Some("NOAUTH") => Err("it asks for a password".to_owned()),
        Err(error) => Err(why(&error)),
    }
}

/// The kind of failure and its cause; the URL is in neither.
fn why(error: &redis::RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "it refuses the user or the password".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::SCRIPT;

    /// Words between `before` and a quote.
    fn named(text: &str, before: &str) -> BTreeSet<String> {
        let after = text.split(before).skip(1);
        after.filter_map(|rest| Some(rest.split('\'').next()?.to_owned())).collect()
    }

    #[test]
    fn every_command_of_every_script_is_tried() {
        let tried = named(SCRIPT, "try('");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/redis/scripts");
        let mut used = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            used.extend(named(&text, "call('"));
        }
        assert!(used.contains("HINCRBY") && used.len() > 15, "the scripts were read: {used:?}");
        let missing: Vec<_> = used.difference(&tried).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
