//! The chart's alerts and dashboard read what a real installation says: every metric that they name is in
//! a scrape of one of its processes.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{App, Ask, apps, client, install, nodes};

const ALERTS: &str = include_str!("../../../../helm/tidegate/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../../helm/tidegate/files/dashboard.json");

/// Names of our metrics in a text of expressions.
fn named(text: &str) -> BTreeSet<String> {
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let after = |prefix: &str| -> Vec<String> {
        let rests = text.split(prefix).skip(1).map(name);
        // A bare prefix is a pattern of names.
        rests.filter(|rest| !rest.is_empty()).map(|rest| format!("{prefix}{rest}")).collect()
    };
    // Of the convention's names, metrics begin so and labels otherwise.
    ["tidegate_", "gen_ai_client_", "gen_ai_server_"].into_iter().flat_map(after).collect()
}

/// Names of the samples in a scrape.
fn sampled(scrape: &str) -> BTreeSet<String> {
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned())).collect()
}

/// The metrics of a scrape: name, kind, labels, meaning.
fn table(scrape: &str) -> String {
    let mut rows = String::from("| Metric | Kind | Labels | |\n|---|---|---|---|\n");
    let mut kind = ("", "");
    for line in scrape.lines() {
        if let Some((name, what)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind = (name, what);
        }
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let what = if kind.0 == name { kind.1 } else { type_of(scrape, name) };
        let shown = if what == "counter" { format!("{name}_total") } else { name.to_owned() };
        let labels = labels_of(scrape, name).into_iter().collect::<Vec<_>>().join(", ");
        rows += &format!("| `{shown}` | {what} | {labels} | {} |\n", help.trim_end_matches('.'));
    }
    rows
}

fn type_of<'a>(scrape: &'a str, name: &str) -> &'a str {
    let start = format!("# TYPE {name} ");
    scrape.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap_or_default()
}

/// Labels of a metric's samples, but for the bounds of histograms.
fn labels_of(scrape: &str, name: &str) -> BTreeSet<String> {
    let of = |line: &str| Some(line.strip_prefix(name)?.split_once('{')?.1.split_once('}')?.0.to_owned());
    let samples = scrape.lines().filter(|line| !line.starts_with('#')).filter_map(of);
    let names = samples.flat_map(|labels| {
        labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned())).collect::<Vec<_>>()
    });
    names.filter(|label| label != "le").collect()
}

/// The tables of `docs/metrics.md` are those of a real scrape; with `UPDATE_DOCS=1` they become so.
fn documented(tables: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (head, present) = text.split_at(text.find("\n## Nodes\n").unwrap_or(text.len()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(path, format!("{head}{tables}")).unwrap();
    }
    assert_eq!(present, tables, "UPDATE_DOCS=1 writes docs/metrics.md anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_alerts_and_the_dashboard_is_in_a_scrape_of_a_real_installation() {
    let installation = install(nodes(1)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    apps(&installation, &key).remove(0).expect(&Ask::chat("Hello").streaming(), 200).await;
    let cached = App::new(&installation.gateway(0).unwrap(), &key).request(&Ask::chat("Hello"));
    cached.header("x-tidegate-cache", "on").send().await.unwrap().error_for_status().unwrap();
    let (mut found, mut tables) = (BTreeSet::new(), String::new());
    for (place, program) in
        [("Nodes", &installation.nodes[0]), ("Control planes", &installation.control_planes[0])]
    {
        let url = format!("{}/metrics", program.url("metrics on ").unwrap());
        let scrape = client().get(url).send().await.unwrap().text().await.unwrap();
        assert!(scrape.ends_with("# EOF\n"), "OpenMetrics ends with it");
        // Of tenants there is nothing: labels are bounded by what the operator has.
        for name in [&*installation.organization, &*installation.team, &*id, "acme"] {
            assert!(!scrape.contains(name), "{name} is in a scrape of {place}");
        }
        found.extend(sampled(&scrape));
        tables += &format!("\n## {place}\n\n{}", table(&scrape));
    }
    documented(&tables);
    for (metric, labels) in [
        ("gen_ai_client_token_usage_count", r#"gen_ai_request_model="sim/chat",gen_ai_token_type="output""#),
        ("gen_ai_client_operation_duration_seconds_count", r#"gen_ai_operation_name="chat""#),
        ("gen_ai_server_time_to_first_token_seconds_count", r#"gen_ai_provider_name="sim-"#),
    ] {
        let url = format!("{}/metrics", installation.nodes[0].url("metrics on ").unwrap());
        let scrape = client().get(url).send().await.unwrap().text().await.unwrap();
        let is_it = |line: &&str| line.starts_with(metric) && line.contains(labels);
        assert!(scrape.lines().any(|line| is_it(&line) && !line.ends_with(" 0")), "{metric}: {scrape}");
    }
    let missing = |text| named(text).difference(&found).cloned().collect::<Vec<_>>();
    assert_eq!(missing(ALERTS), [""; 0], "alerts");
    assert_eq!(missing(DASHBOARD), [""; 0], "dashboard");
    assert!(named(ALERTS).len() > 10 && named(DASHBOARD).len() > 25);
    // The positive control: one letter off is seen.
    assert_eq!(
        missing("rate(tidegate_requests_totals[5m]) > tidegate_node_ready"),
        ["tidegate_requests_totals"]
    );
}
