//! Postgres: each login by itself, then what is the server's.

use tidegate_store::survey::{self, PATIENCE, Part, Survey};
use tidegate_telemetry::SystemClock;
use tokio::time::timeout;

use super::clock;
use super::finding::Findings;
use super::outside::is_here;
use crate::config::Database;

/// What is tested; older ones may do.
const TESTED: i32 = 150_000;
/// A control plane takes up to 25 connections.
const CONNECTIONS: i64 = 30;

/// Looks at every login; whether those of a running control plane may be used.
pub(super) async fn look(database: &Database, findings: &mut Findings) -> bool {
    let logins = [
        ("database.url", &database.url, Part::Api),
        ("database.feed_url", &database.feed_url, Part::Feed),
        ("database.migrate_url", &database.migrate_url, Part::Owner),
    ];
    let (mut usable, mut told) = (true, false);
    for (key, url, part) in logins {
        let Some(url) = url else {
            usable &= part == Part::Owner;
            continue;
        };
        let before = findings.failures();
        match timeout(PATIENCE, survey::survey(url, part, &SystemClock)).await {
            Ok(Ok(seen)) => {
                login(key, part, &seen, findings);
                if !told {
                    server(&seen, findings);
                    told = true;
                }
                usable &= part == Part::Owner || seen.schema.is_some();
            }
            Ok(Err(error)) => unreached(key, &survey::reason(&error), findings),
            Err(_) => unreached(key, "no answer in time", findings),
        }
        usable &= part == Part::Owner || findings.failures() == before;
    }
    usable
}

fn unreached(key: &str, why: &str, findings: &mut Findings) {
    let advice = if why.contains("authentication failed") {
        "the name or the password is wrong; it is percent-encoded in a URL"
    } else if why.contains("does not exist") {
        "make the database and its logins as docs/kubernetes.md says"
    } else if why.contains("ertificate") || why.contains("TLS") || why.contains("SSL") {
        "look at sslmode and sslrootcert of the URL, and at the server's certificate"
    } else if why.contains("no pg_hba.conf entry") {
        "let this machine in at the server's pg_hba.conf"
    } else {
        "look at host and port, whether the server runs, and at network policies between here and there"
    };
    findings.failed(format!("{key} reachable"), why, advice);
}

/// What is of a login or of its way to the server.
fn login(key: &str, part: Part, seen: &Survey, findings: &mut Findings) {
    let major = seen.version / 10_000;
    findings.ok(format!("{key} reachable"), format!("as {} at PostgreSQL {major}", seen.login));
    tls(key, seen, findings);
    pooler(key, part, seen, findings);
    let check = format!("{key} rights");
    match (part, &seen.fault) {
        (Part::Owner, _) if seen.may_migrate => findings.ok(check, "it may make the schema and its roles"),
        (Part::Owner, _) => findings.failed(
            check,
            "it may not make tables in the schema public, or lacks CREATEROLE while the group roles are not there",
            "make it the database's owner with CREATEROLE, or make tidegate_app and tidegate_feed beforehand",
        ),
        (_, Some(fault)) => findings.failed(check, fault, "docs/kubernetes.md has the three logins"),
        (_, None) if seen.schema.is_none() => {
            findings.ok(check, "not looked at before there is a schema");
        }
        (_, None) => findings.ok(check, "it owns nothing, is bound by row-level security, and has its role only"),
    }
}

fn tls(key: &str, seen: &Survey, findings: &mut Findings) {
    let check = format!("{key} tls");
    let here = seen.host.as_deref().is_none_or(is_here);
    match (&seen.tls, seen.verified, here) {
        (Some(version), true, _) => {
            findings.ok(check, format!("{version}, certificate and name are checked"))
        }
        (None, _, true) => findings.ok(check, "none, and none needed: the server is on this machine"),
        (Some(version), false, _) => findings.warning(
            check,
            format!("{version}, but whoever answers is believed"),
            "?sslmode=verify-full&sslrootcert=FILE in the URL",
        ),
        (None, _, false) => findings.warning(
            check,
            "not encrypted",
            "?sslmode=verify-full&sslrootcert=FILE in the URL, unless something else encrypts the way",
        ),
    }
}

fn pooler(key: &str, part: Part, seen: &Survey, findings: &mut Findings) {
    let check = format!("{key} pooler");
    if seen.pools_transactions {
        findings.failed(
            check,
            "a pooler in front (PgBouncer?) pools transactions or statements: prepared statements, the session's lock by which one \
             control plane does its duties, and time limits of sessions do not hold",
            "pool_mode = session for this database, or connect to Postgres directly",
        );
    } else if seen.refused_parameters {
        findings.failed(
            check,
            "a pooler in front (PgBouncer?) refuses start-up parameters",
            "ignore_startup_parameters = extra_float_digits,options there",
        );
    } else if part != Part::Owner {
        findings.ok(check, "sessions are sessions");
    }
}

/// What is the same for every login.
fn server(seen: &Survey, findings: &mut Findings) {
    let (major, minor) = (seen.version / 10_000, seen.version % 10_000);
    let saw = format!("PostgreSQL {major}.{minor}; no extension is needed");
    if seen.version < TESTED {
        findings.warning("postgres version", saw, "15 and later are tested");
    } else {
        findings.ok("postgres version", saw);
    }
    if seen.standby {
        findings.failed("postgres role", "a standby, which takes no writes", "lead the URLs to the primary");
    } else {
        findings.ok("postgres role", "the primary");
    }
    match (seen.schema, seen.schema_needed) {
        (None, needed) => findings.warning(
            "postgres schema",
            format!("none yet; this program brings {needed}"),
            "`tidegate migrate` makes it (the chart does so at its start)",
        ),
        (Some(has), needed) if has < needed => findings.failed(
            "postgres schema",
            format!("at {has}, this program needs {needed}"),
            "`tidegate migrate`, as the schema's owner",
        ),
        (Some(has), needed) if has > needed => {
            findings
                .ok("postgres schema", format!("at {has}, of a later release than this program ({needed})"));
        }
        (Some(has), _) => findings.ok("postgres schema", format!("at {has}, as this program needs it")),
    }
    let free = seen.free_connections;
    let saw = format!("{free} are free; a control plane takes up to 25");
    if free < CONNECTIONS {
        findings.warning("postgres connections", saw, "raise max_connections, or end what is idle");
    } else {
        findings.ok("postgres connections", saw);
    }
    clock::note("postgres clock".to_owned(), seen.clock_ahead, seen.clock_error, findings);
}
