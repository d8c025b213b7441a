//! A node's state folder: it can be written, has room for the journal, syncs fast enough, and its identity.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tidegate_telemetry::SystemClock;
use tidegate_types::clock::Clock as _;

use super::finding::Findings;
use super::validity::Certificate;
use crate::config::Node;

/// So often a small piece is written and synced.
const SYNCS: usize = 20;
/// A journal syncs many calls at once; slower than this they feel it.
const SLOW: Duration = Duration::from_millis(20);
/// With less a node soon refuses calls.
const LEAST_FREE: u64 = 1 << 30;
/// With less left a running node should have renewed.
const SOON_DAYS: i64 = 2;
const ANEW: &str = "a join token (`tidegate fleet join`) or a service account's token lets it enrol";

/// Looks at the folder, or at the one that it will be made in.
pub(super) fn look(node: &Node, findings: &mut Findings) {
    let wanted = &node.state_dir;
    let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.clone());
    let there = absolute.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    match syncs(there) {
        Ok(times) => {
            findings.ok("node.state_dir writable", wanted.display().to_string());
            synced(&times, findings);
        }
        Err(error) => findings.failed(
            "node.state_dir writable",
            format!("{error:#}"),
            "give the node's user a folder (a volume) of its own that it may write",
        ),
    }
    match rustix::fs::statvfs(there) {
        Ok(disk) => space(disk.f_bavail.saturating_mul(disk.f_frsize), node.journal_max_bytes, findings),
        Err(error) => findings.warning(
            "node.state_dir space",
            format!("not known: {error}"),
            "see to 1 GiB of free space at least",
        ),
    }
    identity(node, findings);
}

/// How long each sync took.
fn syncs(folder: &Path) -> Result<Vec<Duration>> {
    let wrote = || -> std::io::Result<Vec<Duration>> {
        let mut file: File = tempfile::tempfile_in(folder)?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            file.write_all(&[0; 4096])?;
            let began = Instant::now();
            file.sync_data()?;
            times.push(began.elapsed());
        }
        Ok(times)
    };
    wrote().with_context(|| format!("{} cannot be written", folder.display()))
}

fn synced(times: &[Duration], findings: &mut Findings) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let longest = sorted.last().copied().unwrap_or_default();
    let saw = format!(
        "{:.1} ms, {:.1} ms at most of {}",
        median.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
        times.len()
    );
    if median > SLOW {
        findings.warning("node.state_dir sync", saw, "a faster disk: each call's end waits for a sync");
    } else {
        findings.ok("node.state_dir sync", saw);
    }
}

fn space(free: u64, journal: u64, findings: &mut Findings) {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let saw = format!("{} free, the journal may take {} (node.journal_max_bytes)", gib(free), gib(journal));
    if free < LEAST_FREE.min(journal) {
        findings.failed(
            "node.state_dir space",
            saw,
            "a larger disk, or free some: a full journal refuses calls",
        );
    } else if free < journal {
        let advice =
            "a larger disk, or a smaller node.journal_max_bytes: a full disk comes without a warning";
        findings.warning("node.state_dir space", saw, advice);
    } else {
        findings.ok("node.state_dir space", saw);
    }
}

fn identity(node: &Node, findings: &mut Findings) {
    let check = "node.state_dir identity";
    let joins = node.join_token.is_some()
        || node.join_token_file.is_some()
        || node.service_account_token_file.is_some();
    match tidegate_node::held_in(&node.state_dir) {
        Ok(None) if joins => findings.ok(check, "none yet; it enrols at its first start"),
        Ok(None) => findings.failed(check, "none, and nothing to get one by", ANEW),
        Ok(Some((id, until))) => {
            let now = SystemClock.now();
            let one = Certificate {
                check,
                whose: format!("{id}, whose certificate"),
                valid: (now, until),
                soon_days: SOON_DAYS,
                soon: "a running node renews after a third of 7 days: let it reach the control plane",
                over: ANEW,
                replaced: joins,
            };
            one.judge(now, findings);
        }
        Err(error) => findings.failed(
            check,
            error.to_string(),
            "give the folder to the node's user; `tidegate journal ship` gets out what a broken one holds",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is slow or full cannot be had for the asking.
    #[test]
    fn slow_and_full_disks_are_found() {
        let judged = |times: &[Duration], free: u64| {
            let mut findings = Findings::default();
            synced(times, &mut findings);
            space(free, 8 << 30, &mut findings);
            (findings.failures(), findings.text().matches("warning  ").count())
        };
        let (fast, slow) = (Duration::from_millis(2), Duration::from_millis(40));
        assert_eq!(judged(&[fast; 3], 10 << 30), (0, 0));
        assert_eq!(judged(&[fast, slow, fast], 10 << 30), (0, 0), "one hiccup is none");
        assert_eq!(judged(&[slow, slow, fast], 10 << 30), (0, 1));
        assert_eq!(judged(&[fast; 3], 4 << 30), (0, 1));
        assert_eq!(judged(&[fast; 3], 1 << 20), (1, 0));
    }
}
