//! Redis: reachable, fit, and every command allowed.

use std::net::IpAddr;

use tidegate_limits::Survey;
use tidegate_telemetry::SystemClock;

use super::clock;
use super::finding::Findings;
use crate::config::Redis;
use crate::run::node;

/// Only other nodes' news of providers are lost without these.
const LESS: [&str; 2] = ["XADD", "XRANGE"];

/// A Sentinel's address, and where it sees the primary.
type Told = (String, Result<String, &'static str>);

/// Looks at the pool's counters.
pub(super) async fn look(redis: &Redis, findings: &mut Findings) {
    let settings = match node::redis_settings(redis) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            let saw = "none: counters in the node's memory";
            return findings.warning(
                "redis.url",
                saw,
                "fine for one node only; give a pool of several a Redis",
            );
        }
        // Said of the configuration already.
        Err(_) => return,
    };
    if settings.sentinel.is_some() {
        sentinels(tidegate_limits::survey_sentinels(&settings).await, findings);
    }
    match tidegate_limits::survey(&settings, &SystemClock).await {
        Ok(seen) => fit(redis, &seen, findings),
        Err(why) => findings.failed(
            "redis.url reachable",
            why,
            "look at host, port, user and password, at redis.ca_file, and whether the server runs",
        ),
    }
}

fn fit(redis: &Redis, seen: &Survey, findings: &mut Findings) {
    findings.ok("redis.url reachable", format!("Redis {}, {}", seen.version, seen.mode));
    let encrypted = redis.url.as_deref().is_some_and(|url| url.starts_with("rediss://"));
    // Sentinels name the server, whatever host the URL has.
    let local = redis.sentinel.is_none() && redis.url.as_deref().is_some_and(is_local);
    match (encrypted, local) {
        (true, _) => findings.ok("redis.url tls", "certificate and name are checked"),
        (false, true) => findings.ok("redis.url tls", "none, and none needed: the server is on this machine"),
        (false, false) => findings.warning(
            "redis.url tls",
            "not encrypted",
            "rediss://… and redis.ca_file, unless something else encrypts the way",
        ),
    }
    let version: Vec<u32> = seen.version.split('.').filter_map(|part| part.parse().ok()).collect();
    if version < vec![6, 2] {
        findings.failed("redis version", &seen.version, "6.2 or later is needed");
    } else {
        findings.ok("redis version", &seen.version);
    }
    match (seen.mode.as_str(), seen.role.as_str()) {
        (mode @ ("cluster" | "sentinel"), _) => findings.failed(
            "redis role",
            format!("it runs in {mode} mode"),
            "one endpoint that leads to the primary",
        ),
        (_, "master") => findings.ok("redis role", "the primary"),
        (_, role) => findings.failed("redis role", format!("it is a {role}"), "lead the URL to the primary"),
    }
    match seen.eviction.as_str() {
        "noeviction" => findings.ok("redis maxmemory-policy", "noeviction"),
        other => findings.failed(
            "redis maxmemory-policy",
            other,
            "CONFIG SET maxmemory-policy noeviction: a counter that is evicted would be spent twice",
        ),
    }
    memory(seen, findings);
    disk(seen, findings);
    commands(seen, findings);
    clock::note("redis clock".to_owned(), seen.clock_ahead, seen.clock_error, findings);
}

/// They answer, and agree.
fn sentinels(told: Result<Vec<Told>, String>, findings: &mut Findings) {
    let check = "redis.sentinel";
    let told = match told {
        Ok(told) => told,
        Err(why) => return findings.failed(check, why, "mend redis.sentinel"),
    };
    let named: std::collections::BTreeSet<&str> =
        told.iter().filter_map(|(_, told)| told.as_deref().ok()).collect();
    let silent =
        told.iter().filter_map(|(address, told)| told.as_ref().err().map(|why| format!("{address}: {why}")));
    let silent: Vec<String> = silent.collect();
    let saw = [named.iter().map(|named| format!("the primary is {named}")).collect(), silent.clone()]
        .concat()
        .join("; ");
    if named.is_empty() {
        findings.failed(check, saw, "look at redis.sentinel.addresses, group, user, password and tls");
    } else if named.len() > 1 {
        findings.warning(check, saw, "they do not agree: a failover is under way, or one of them is cut off");
    } else if !silent.is_empty() {
        findings.warning(
            check,
            saw,
            "a Sentinel that is away cannot vote: a majority is needed for a failover",
        );
    } else {
        findings.ok(check, format!("{} of {} agree; {saw}", told.len(), told.len()));
    }
}

/// Whether this URL leads to this machine and no further.
fn is_local(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    url.scheme() == "unix" || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn memory(seen: &Survey, findings: &mut Findings) {
    let mib = |bytes: u64| bytes >> 20;
    let used = mib(seen.used_memory);
    match seen.most_memory {
        0 => findings.ok("redis memory", format!("{used} MiB in use, no maxmemory")),
        most if seen.used_memory > most / 10 * 8 => findings.warning(
            "redis memory",
            format!("{used} of {} MiB in use", mib(most)),
            "raise maxmemory: a full Redis refuses what takes money",
        ),
        most => findings.ok("redis memory", format!("{used} of {} MiB in use", mib(most))),
    }
}

fn disk(seen: &Survey, findings: &mut Findings) {
    if !seen.writes_to_disk {
        findings.failed(
            "redis persistence",
            "its last copy or append did not reach the disk; it may refuse writes",
            "look at its disk and its log, or turn persistence off: counters open again from the books",
        );
    } else if seen.appends {
        findings.ok("redis persistence", "appends to a file; not needed, counters open again from the books");
    } else {
        findings.ok("redis persistence", "none is needed: counters open again from the books");
    }
}

fn commands(seen: &Survey, findings: &mut Findings) {
    let (less, needed): (Vec<&str>, Vec<&str>) =
        seen.refused.iter().map(String::as_str).partition(|command| LESS.contains(command));
    let advice = "ACL SETUSER … ~tg:* +… as the head of crates/tidegate-limits/src/settings.rs lists";
    if !needed.is_empty() {
        findings.failed("redis commands", format!("refused: {}", needed.join(", ")), advice);
    } else if !less.is_empty() {
        let saw =
            format!("refused: {}; nodes hear nothing of what others know of providers", less.join(", "));
        findings.warning("redis commands", saw, advice);
    } else {
        findings.ok("redis commands", "every one is allowed");
    }
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn a_server_is_local_by_its_whole_host() {
        for url in [
            "redis://localhost",
            "redis://user:p%40ss@localhost:6379/1",
            "redis://127.0.0.1:6379",
            "redis://127.8.0.1",
            "redis://:p@[::1]:6379",
            "unix:///run/redis.sock",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "redis://localhost.corp.example:6379",
            "redis://127.example.com",
            "redis://127.0.0.1.example.com",
            "redis://localhost@redis.example",
            "redis://redis.example/localhost",
            "redis://10.0.0.1",
            "redis://[2001:db8::1]",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
