//! The chart's alerts and dashboard before a real Prometheus and real installations: nothing is raised while all is
//! well, and faults that are made raise the alerts that are meant for them, after waiting times that are 200 times
//! shorter than the chart's. Which fault raises which alert is the table of `docs/kubernetes.md`.

mod books;
mod connected;
mod fleet;
mod panels;

use std::time::Instant;

use tidegate_testkit::installation::Program;
use tidegate_testkit::process::PATIENCE;

use crate::support::{App, Ask, Prometheus, Target, seconds};

const ALERTS: &str = include_str!("../../../../../helm/tidegate/files/alerts.yaml");

/// A real fault for each alert of the chart: alert, what is done, the story that does it.
const FAULTS: [(&str, &str, &str); 23] = [
    ("TidegateErrorBudgetBurnsFast", "Redis is stopped under calls with a hard budget", "panels"),
    ("TidegateErrorBudgetBurnsSlowly", "the same", "panels"),
    ("TidegateNodeNotReady", "a node is told to end, and drains", "panels"),
    (
        "TidegateNodeAway",
        "a node is killed; another one, that was told to end, is none of them (`TIDEGATE_FULL`)",
        "fleet",
    ),
    ("TidegateConfigurationUnconfirmed", "the control plane is killed (6 s in place of 60)", "panels"),
    ("TidegateConfigurationStale", "the same (7 s in place of an hour)", "panels"),
    ("TidegateRevocationsLate", "a node is frozen, and a key is revoked (2 s in place of 10)", "connected"),
    (
        "TidegateNodeCertificateEndsSoon",
        "a node comes back with a certificate that ends tomorrow and that nobody renews",
        "connected",
    ),
    (
        "TidegateGatewayCertificateEndsSoon",
        "the gateway is given a certificate that ends tomorrow, and then a later one",
        "connected",
    ),
    ("TidegateCopyOld", "the control plane loses the volume of copies (5 s in place of an hour)", "copy"),
    (
        "TidegateJournalGrows",
        "the control plane is killed, under calls (60 records in place of 10,000)",
        "panels",
    ),
    (
        "TidegateJournalFullSoon",
        "the control plane is killed, under calls, before a journal of 1 MiB (`TIDEGATE_FULL`)",
        "books",
    ),
    ("TidegateCounterStoreAway", "Redis is stopped", "panels"),
    (
        "TidegateSettlementsWait",
        "Redis is wiped while the control plane is away and a call is under way (`TIDEGATE_FULL`)",
        "books",
    ),
    ("TidegateHeldTooLittle", "a provider answers, and bills, beyond the limit that it was given", "books"),
    (
        "TidegateCostsDisagree",
        "a price in the database is damaged behind the nodes' backs (`TIDEGATE_FULL`)",
        "books",
    ),
    (
        "TidegateRecordsLost",
        "Postgres is restored to a copy from before what nodes have let go of (`TIDEGATE_FULL`)",
        "books",
    ),
    ("TidegateConfigurationHealed", "a resource in the database is damaged", "panels"),
    (
        "TidegateConfigurationHeldBack",
        "a node is killed three times with a change on trial that it was sent",
        "connected",
    ),
    ("TidegateWaveHalted", "a provider's address is changed to one at which nobody answers", "waves"),
    (
        "TidegateHoldsUnresolved",
        "a node is killed under a call, the hour that it may take is over (its deadline is moved), and the node is not back (`TIDEGATE_FULL`)",
        "fleet",
    ),
    (
        "TidegateReconciliationDiffers",
        "a provider bills twice what was agreed, and its bill is read (`TIDEGATE_FULL`)",
        "books",
    ),
    ("TidegateTracesDropped", "an organization's collector refuses traces for good", "books"),
];

/// The chart's alerts with other thresholds, and with waiting times that are 200 times shorter.
pub(crate) fn rules(thresholds: &[(&str, &str)]) -> String {
    let mut rules: String = ALERTS.lines().map(sooner).collect::<Vec<_>>().join("\n");
    for (usual, here) in thresholds {
        assert!(rules.contains(usual), "{usual} is in no alert");
        rules = rules.replace(usual, here);
    }
    rules.replace("ERROR_BUDGET", "0.001")
}

/// A line of the rules; one that tells a waiting time tells a shorter one.
fn sooner(line: &str) -> String {
    let Some((indent, time)) = line.split_once("for: ") else { return line.to_owned() };
    let (number, unit) = time.split_at(time.len() - 1);
    let millis = match unit {
        "m" => 60_000,
        "h" => 3_600_000,
        other => panic!("a waiting time in {other}"),
    };
    format!("{indent}for: {}ms", number.parse::<u64>().unwrap() * millis / 200)
}

pub(crate) fn target(job: &'static str, pod: &'static str, program: &Program) -> Target {
    let url = program.url("metrics on ").unwrap();
    Target { job, pod, address: url.trim_start_matches("http://").to_owned() }
}

/// Goes on until nothing is left of what `left` finds.
async fn until_none(what: &str, app: &App, ask: &Ask, mut left: impl AsyncFnMut() -> Vec<String>) {
    let begun = Instant::now();
    loop {
        let _ = app.call(ask).await;
        let left = left().await;
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {left:#?}");
        tokio::time::sleep(seconds(1)).await;
    }
}

/// Waits for these alerts, under calls that may fail.
pub(crate) async fn raised(prometheus: &Prometheus, app: &App, alerts: &[(&str, &str)]) {
    until_none("never raised", app, &Ask::chat("Hello"), async || {
        let firing = prometheus.alerts().await;
        let there = |(name, says): &&(&str, &str)| !firing.get(*name).is_some_and(|text| text.contains(says));
        alerts.iter().filter(there).map(|(name, _)| format!("{name}, but {:?}", firing.get(*name))).collect()
    })
    .await;
}

#[test]
fn the_documentation_says_which_fault_raises_each_alert_of_the_chart() {
    let named: Vec<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(named, FAULTS.map(|(alert, ..)| alert));
    let documented = include_str!("../../../../../docs/kubernetes.md");
    for (alert, fault, story) in FAULTS {
        let row = format!("| `{alert}` | {fault} | `{story}` |\n");
        assert!(documented.contains(&row), "docs/kubernetes.md lacks {row}");
        let stories = match story {
            "panels" => include_str!("panels.rs"),
            "fleet" => include_str!("fleet.rs"),
            "connected" => include_str!("connected.rs"),
            "waves" => include_str!("../waves.rs"),
            "copy" => include_str!("../copy.rs"),
            _ => include_str!("books.rs"),
        };
        assert!(stories.contains(&format!("(\"{alert}\", ")), "{story} does not raise {alert}");
    }
}
