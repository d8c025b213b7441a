//! Every panel of the dashboard shows a real installation, and what is away raises its alerts: Redis, the control
//! plane, a node, a resource that can be read.
//!
//! Not tried here: how Grafana draws it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};

use super::{raised, rules, target, until_none};
use crate::support::{App, Ask, Prometheus, install, losing_redis, seconds, until};

const DASHBOARD: &str = include_str!("../../../../../helm/tidegate/files/dashboard.json");

/// Thresholds that take a minute and more, and what stands for them here.
const THRESHOLDS: [(&str, &str); 3] = [
    ("tidegate_config_unconfirmed_seconds > 60", "tidegate_config_unconfirmed_seconds > 6"),
    ("tidegate_config_unconfirmed_seconds > 3600", "tidegate_config_unconfirmed_seconds > 7"),
    ("tidegate_journal_pending_records > 10000", "tidegate_journal_pending_records > 60"),
];

/// A query of a panel, and the labels that its legend speaks of.
struct Line {
    panel: String,
    query: String,
    legend: BTreeSet<String>,
}

/// What the dashboard asks, as Grafana would with everything chosen.
fn lines() -> Vec<Line> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut lines = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query =
                target["expr"].as_str().unwrap().replace("$job", ".*").replace("$__rate_interval", "10s");
            assert!(!query.contains('$'), "{query}");
            let legend = target["legendFormat"].as_str().unwrap_or_default().split("{{").skip(1);
            let legend = legend.filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned())).collect();
            lines.push(Line { panel: panel["title"].as_str().unwrap().to_owned(), query, legend });
        }
    }
    lines
}

/// Calls of every kind, all of them answered: what one provider cannot do the other one does.
async fn well(app: &App) {
    for ask in Ask::all("Hello") {
        app.expect(&ask, 200).await;
    }
    let cached = app.request(&Ask::chat("Hello")).header("x-tidegate-cache", "on");
    cached.send().await.unwrap().error_for_status().unwrap();
}

/// A resource that nobody can read.
fn damage(installation: &Installation, route: &str) {
    let sql = format!(
        "BEGIN; UPDATE feed_head h SET n = h.n + 1 FROM config_resources c WHERE c.id = '{route}' AND h.shard = c.shard;
         UPDATE config_resources c SET content = '{{}}', n = h.n FROM feed_head h WHERE c.id = '{route}' AND h.shard = c.shard; COMMIT"
    );
    installation.sql(&sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_a_real_installation_and_faults_raise_their_alerts() {
    let shape = Shape { drain_lead_seconds: Some(120), grant_percent: Some(0), ..losing_redis(1) };
    let mut installation = install(shape).await;
    let failing = json!([{"when": {"provider": "sim-openai"}, "then": {"status": 500}}]);
    installation.script(failing).await.unwrap();
    let (id, key) = installation.key("capped", &json!({})).await.unwrap();
    installation.budget("capped", "10", json!({"key": id})).await.unwrap();
    let (_, free) = installation.key("free", &json!({})).await.unwrap();
    let route = json!({"name": "best", "targets": [{"model": "sim/chat", "weight": 1}]});
    let route = installation.admin.post("/routes?wait=fleet", &route).await.unwrap();
    let gateway = installation.gateway(0).unwrap();
    let (capped, free) = (App::new(&gateway, &key), App::new(&gateway, &free));
    let targets = [
        target("tidegate-nodes", "node-0", &installation.nodes[0]),
        target("tidegate-control", "control-0", &installation.control_planes[0]),
    ];
    let prometheus = Prometheus::start(&targets, &rules(&THRESHOLDS)).await;

    // All is well: every panel shows something, with the labels of its legend, and nothing is raised.
    let lines = lines();
    assert!(lines.len() > 45, "{} queries", lines.len());
    until_none("nothing to see", &capped, &Ask::chat("Hello"), async || {
        well(&capped).await;
        let mut empty = Vec::new();
        for Line { panel, query, legend } in &lines {
            let shown = prometheus.shows(query).await;
            let named =
                |labels: &BTreeMap<String, String>| legend.iter().all(|label| labels.contains_key(label));
            if shown.is_empty() || !shown.iter().all(named) {
                empty.push(format!("{panel}: {query}: {shown:?}"));
            }
        }
        empty
    })
    .await;
    let jobs = prometheus.values("job", r#"{__name__=~"tidegate_.+"}"#).await;
    assert_eq!(
        jobs,
        ["tidegate-control", "tidegate-nodes"].map(str::to_owned).into(),
        "what one chooses from"
    );
    assert_eq!(prometheus.alerts().await, BTreeMap::new());
    assert_eq!(prometheus.broken_rules().await, [Value::Null; 0]);
    // The positive control: what nobody measures shows nothing.
    let wrong = lines[0].query.replace("tidegate_requests_total", "tidegate_request_total");
    assert_eq!(prometheus.shows(&wrong).await, Vec::<BTreeMap<String, String>>::new());

    damage(&installation, route["id"].as_str().unwrap());
    raised(&prometheus, &capped, &[("TidegateConfigurationHealed", "unreadable")]).await;
    installation.redis.as_mut().unwrap().stop();
    let counters = [
        ("TidegateCounterStoreAway", "node-0 cannot reach Redis"),
        ("TidegateErrorBudgetBurnsFast", "in an hour"),
        ("TidegateErrorBudgetBurnsSlowly", "in six hours"),
    ];
    raised(&prometheus, &capped, &counters).await;
    installation.redis.as_mut().unwrap().start_again().unwrap();
    let gone = async || !prometheus.alerts().await.contains_key("TidegateCounterStoreAway");
    until("Redis is back, and nobody says otherwise", seconds(30), gone).await;
    installation.control_planes[0].kill();
    let alone = [
        ("TidegateConfigurationUnconfirmed", "node-0 has had no contact"),
        ("TidegateConfigurationStale", "node-0 has had no contact"),
        ("TidegateJournalGrows", "node-0 holds"),
    ];
    for _ in 0..40 {
        free.expect(&Ask::chat("Hello"), 200).await;
    }
    raised(&prometheus, &free, &alone).await;
    installation.nodes[0].signal("TERM");
    raised(&prometheus, &free, &[("TidegateNodeNotReady", "node-0 does not serve")]).await;
    assert_eq!(prometheus.broken_rules().await, [Value::Null; 0]);
}
