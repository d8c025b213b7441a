//! The chart's alerts and dashboard read what a real installation says: every metric that they name is in
//! a scrape of one of its processes.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Ask, apps, client, install, nodes};

const ALERTS: &str = include_str!("../../../../helm/tidegate/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../../helm/tidegate/files/dashboard.json");

/// Names of our metrics in a text of expressions.
fn named(text: &str) -> BTreeSet<String> {
    let after = text.split("tidegate_").skip(1);
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    // A bare prefix is a pattern of names.
    after.map(name).filter(|rest| !rest.is_empty()).map(|rest| format!("tidegate_{rest}")).collect()
}

/// Names of the samples in a scrape.
fn sampled(scrape: &str) -> BTreeSet<String> {
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_alerts_and_the_dashboard_is_in_a_scrape_of_a_real_installation() {
    let installation = install(nodes(1)).await;
    let (_, key) = installation.key("app", &json!({})).await.unwrap();
    apps(&installation, &key).remove(0).expect(&Ask::chat("Hello").streaming(), 200).await;
    let mut found = BTreeSet::new();
    for program in [&installation.nodes[0], &installation.control_planes[0]] {
        let url = format!("{}/metrics", program.url("metrics on ").unwrap());
        let scrape = client().get(url).send().await.unwrap().text().await.unwrap();
        assert!(scrape.ends_with("# EOF\n"), "OpenMetrics ends with it");
        found.extend(sampled(&scrape));
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
