//! Log lines carry fields of a closed list, none of which could hold content, a secret or a person: what is new is
//! thought about here first. Messages are fixed texts.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Fault;

/// Ids, enumerations, counts, times and errors of ours, which hold none of the rest.
const FIELDS: &[&str] = &[
    "at",
    "attempt",
    "audit",
    "away_seconds",
    "because",
    "boot",
    "call",
    "calls",
    "code",
    "deleted",
    "doubted",
    "duty",
    "epoch",
    "error",
    "events",
    "expected",
    "exporter",
    "failed",
    "first",
    "freed",
    "from",
    "horizon_seconds",
    "hours_left",
    "kind",
    "left",
    "made",
    "method",
    "n",
    "namespace",
    "nano_usd",
    "node",
    "node_id",
    "nodes",
    "not_after",
    "notice",
    "offset",
    "organization",
    "path",
    "pool",
    "primaries",
    "provider",
    "reaped",
    "records",
    "request_id",
    "resource",
    "rule",
    "segment",
    "service_account",
    "shard",
    "status",
    "to",
    "took_ms",
    "torn",
    "url",
    "version",
    "wait_ms",
    "webhook",
    "why",
];
const MACROS: &[&str] = &["trace!(", "debug!(", "info!(", "warn!(", "error!(", "event!("];
/// The executable tells where it listens.
const MAY_FORMAT: &str = "crates/tidegate/src/";

pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| is_source(file)) {
        faults.extend(faults_in(file, &fs::read_to_string(root.join(file))?));
    }
    Ok(faults)
}

fn is_source(file: &str) -> bool {
    file.starts_with("crates/") && file.contains("/src/") && file.ends_with(".rs")
}

fn faults_in(file: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // A span or an imported macro would go past the look at the fields.
        if ["use tracing::", "#[instrument", "tracing::instrument", "span!("]
            .iter()
            .any(|word| line.contains(word))
        {
            faults.push(format!("{file}:{}: log by the macros `tracing::…!` only", number + 1));
        }
    }
    for (at, _) in text.match_indices("tracing::") {
        let rest = &text[at + "tracing::".len()..];
        let Some(found) = MACROS.iter().find(|found| rest.starts_with(**found)) else { continue };
        let line = text[..at].lines().count().max(1);
        let mut told = |what: String| faults.push(format!("{file}:{line}: {what}"));
        for argument in arguments(&rest[found.len()..]) {
            if let Some(message) = argument.strip_prefix('"') {
                if message.contains('{') && !file.starts_with(MAY_FORMAT) {
                    told(format!("the message {argument} is no fixed text: give fields"));
                }
                break;
            }
            let name = argument.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']);
            if !FIELDS.contains(&name) {
                told(format!("the field {name:?} is not on the list of xtask/src/tidy/logs.rs"));
            }
        }
    }
    faults
}

/// The arguments of a macro, from behind its bracket on.
fn arguments(text: &str) -> Vec<String> {
    let (mut found, mut one, mut depth, mut quoted, mut escaped) =
        (Vec::new(), String::new(), 0, false, false);
    for c in text.chars() {
        match c {
            _ if quoted => {
                quoted = escaped || c != '"';
                escaped = c == '\\' && !escaped;
            }
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(std::mem::take(&mut one).trim().to_owned());
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    found.push(one.trim().to_owned());
    found.retain(|argument| !argument.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(line: &str) -> usize {
        faults_in("crates/x/src/a.rs", line).len()
    }

    #[test]
    fn planted_fields_are_found() {
        // Joined here, so that this file is not a find itself.
        let log = |arguments: &str| ["fine();\ntracing", "::warn!(", arguments, ");"].concat();
        for fine in [
            "\"a text, with (brackets)\"",
            "%error, \"text\"",
            "node = %id(a, b), ?status, n = 1, \"text\"",
            "organization, \"a \\\" b\"",
        ] {
            assert_eq!(faults(&log(fine)), 0, "{fine}");
        }
        for wrong in [
            "prompt, \"text\"",
            "%error, body = ?x, \"text\"",
            "\"text {error}\"",
            "key = %key, \"text\"",
            "\"text {}\", x",
        ] {
            assert_eq!(faults(&log(wrong)), 1, "{wrong}");
        }
        assert!(faults_in("crates/tidegate/src/a.rs", &log("\"on {}\", x")).is_empty());
        assert_eq!(faults(&["#[instru", "ment]"].concat()), 1);
    }
}
