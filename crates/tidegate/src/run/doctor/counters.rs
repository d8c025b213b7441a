//! Redis: reachable, fit, and every command allowed.

use tidegate_limits::Survey;
use tidegate_telemetry::SystemClock;

use super::clock;
use super::finding::Findings;
use super::outside::is_here;
use crate::config::Redis;
use crate::run::node;

/// Calls are decided without these, but nodes tell one another nothing: of providers, and of revoked keys.
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
    if settings.cluster.is_some() {
        encryption(redis, findings);
        return super::cluster::look(&settings, findings).await;
    }
    if settings.sentinel.is_some() {
        sentinels(tidegate_limits::survey_sentinels(&settings).await, findings);
    }
    match tidegate_limits::survey(&settings, &SystemClock).await {
        Ok(seen) => {
            findings.ok("redis.url reachable", format!("Redis {}, {}", seen.version, seen.mode));
            encryption(redis, findings);
            fit(None, &seen, findings);
        }
        Err(why) => findings.failed(
            "redis.url reachable",
            why,
            "look at host, port, user and password, at redis.ca_file, and whether the server runs",
        ),
    }
}

/// Whether others can read what goes there.
fn encryption(redis: &Redis, findings: &mut Findings) {
    let encrypted = redis.url.as_deref().is_some_and(|url| url.starts_with("rediss://"));
    // Sentinels and the nodes of a cluster name the server, whatever host the URL has.
    let named = redis.sentinel.is_some() || redis.cluster.is_some();
    let local = !named && redis.url.as_deref().is_some_and(leads_here);
    match (encrypted, local) {
        (true, _) => findings.ok("redis.url tls", "certificate and name are checked"),
        (false, true) => findings.ok("redis.url tls", "none, and none needed: the server is on this machine"),
        (false, false) => findings.warning(
            "redis.url tls",
            "not encrypted",
            "rediss://… and redis.ca_file, unless something else encrypts the way",
        ),
    }
}

/// The name of a check of a server, which is one of several where its address is given.
fn named(check: &str, at: Option<&str>) -> String {
    at.map_or_else(|| check.to_owned(), |at| format!("{check} ({at})"))
}

/// Whether a server may count. `at`: it is this primary of a cluster.
pub(super) fn fit(at: Option<&str>, seen: &Survey, findings: &mut Findings) {
    let version: Vec<u32> = seen.version.split('.').filter_map(|part| part.parse().ok()).collect();
    if version < vec![6, 2] {
        findings.failed(named("redis version", at), &seen.version, "6.2 or later is needed");
    } else {
        findings.ok(named("redis version", at), &seen.version);
    }
    let role = named("redis role", at);
    match (seen.mode.as_str(), seen.role.as_str()) {
        ("cluster", "master") if at.is_some() => findings.ok(role, "a primary"),
        ("cluster", _) if at.is_none() => findings.failed(
            role,
            "it runs in cluster mode",
            "name nodes of the cluster in redis.cluster.addresses",
        ),
        ("sentinel", _) => {
            findings.failed(role, "it runs in sentinel mode", "name it in redis.sentinel.addresses");
        }
        (_, "master") => findings.ok(role, "the primary"),
        (_, other) => findings.failed(role, format!("it is a {other}"), "lead the URL to the primary"),
    }
    let eviction = named("redis maxmemory-policy", at);
    match seen.eviction.as_str() {
        "noeviction" => findings.ok(eviction, "noeviction"),
        other => findings.failed(
            eviction,
            other,
            "CONFIG SET maxmemory-policy noeviction: a counter that is evicted would be spent twice",
        ),
    }
    memory(&named("redis memory", at), seen, findings);
    disk(&named("redis persistence", at), seen, findings);
    commands(&named("redis commands", at), seen, findings);
    clock::note(named("redis clock", at), seen.clock_ahead, seen.clock_error, findings);
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
fn leads_here(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    url.is_some_and(|url| url.scheme() == "unix" || url.host_str().is_some_and(is_here))
}

fn memory(check: &str, seen: &Survey, findings: &mut Findings) {
    let mib = |bytes: u64| bytes >> 20;
    let used = mib(seen.used_memory);
    match seen.most_memory {
        0 => findings.ok(check, format!("{used} MiB in use, no maxmemory")),
        most if seen.used_memory > most / 10 * 8 => findings.warning(
            check,
            format!("{used} of {} MiB in use", mib(most)),
            "raise maxmemory: a full Redis refuses what takes money",
        ),
        most => findings.ok(check, format!("{used} of {} MiB in use", mib(most))),
    }
}

fn disk(check: &str, seen: &Survey, findings: &mut Findings) {
    if !seen.writes_to_disk {
        findings.failed(
            check,
            "its last copy or append did not reach the disk; it may refuse writes",
            "look at its disk and its log, or turn persistence off: counters open again from the books",
        );
    } else if seen.appends {
        findings.ok(check, "appends to a file; not needed, counters open again from the books");
    } else {
        findings.ok(check, "none is needed: counters open again from the books");
    }
}

fn commands(check: &str, seen: &Survey, findings: &mut Findings) {
    let (less, needed): (Vec<&str>, Vec<&str>) =
        seen.refused.iter().map(String::as_str).partition(|command| LESS.contains(command));
    let advice = "ACL SETUSER … ~tg:* +… as the head of crates/tidegate-limits/src/settings.rs lists";
    if !needed.is_empty() {
        findings.failed(check, format!("refused: {}", needed.join(", ")), advice);
    } else if !less.is_empty() {
        let saw = format!(
            "refused: {}; nodes hear nothing of what others know of providers, and one that cannot hear the control \
                 plane goes on serving revoked keys",
            less.join(", ")
        );
        findings.warning(check, saw, advice);
    } else {
        findings.ok(check, "every one is allowed");
    }
}

#[cfg(test)]
mod tests {
    use super::leads_here;

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
            assert!(leads_here(url), "{url}");
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
            assert!(!leads_here(url), "{url}");
        }
    }
}
