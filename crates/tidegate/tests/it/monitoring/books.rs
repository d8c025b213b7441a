//! A healthy load raises nothing; a database that was restored, a collector that refuses, a provider that does more
//! than it was asked for or bills something else, a damaged price, counters that are gone raise their alerts. Those that
//! take long are left to `TIDEGATE_FULL`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};
use tidegate_testkit::receiver::Receiver;

use super::{raised, rules, target, until_none};
use crate::reconcile::reconcile;
use crate::support::{
    App, Ask, OwnBudget, Prometheus, full, install, nodes, open_to_deliveries, seconds, until,
};

/// A minute's calls at the rate of five minutes, and what stands for them here: a third of that, at the rate of ten seconds.
const THRESHOLDS: [(&str, &str); 1] = [(
    r#"60 * sum by (namespace, pod) (rate(tidegate_requests_total{status!~"401|503"}[5m]))"#,
    r#"20 * sum by (namespace, pod) (rate(tidegate_requests_total{status!~"401|503"}[10s]))"#,
)];

/// An installation with a small journal, and all that may be broken of it.
struct Scene {
    installation: Installation,
    prometheus: Prometheus,
    collector: Receiver,
    free: App,
    capped: App,
    /// Alerts for which there is a reason by now.
    explained: BTreeSet<&'static str>,
    /// A copy of the database's files, and the segments of the journal when it was taken.
    copy: PathBuf,
    segments: Vec<PathBuf>,
}

impl Scene {
    async fn start() -> Self {
        let shape = Shape { grant_percent: Some(0), journal_max_bytes: Some(1 << 20), ..nodes(1) };
        let mut installation = install(shape).await;
        let collector = Receiver::start(&["400 Bad Request"]).await.unwrap();
        open_to_deliveries(&mut installation, &[collector.port()]).await;
        let (id, capped) = installation.key("capped", &json!({})).await.unwrap();
        installation.budget("capped", "10", json!({"key": id})).await.unwrap();
        let (_, free) = installation.key("free", &json!({})).await.unwrap();
        let gateway = installation.gateway(0).unwrap();
        let (capped, free) = (App::new(&gateway, &capped), App::new(&gateway, &free));
        capped.expect(&Ask::chat("Hello"), 200).await;
        shipped(&installation).await;
        let copy = installation.postgres.folder().join("copy");
        let segments = segments(&installation);
        assert!(!segments.is_empty());
        if full() {
            installation.postgres.stop();
            copy_folder(&installation.postgres.folder().join("data"), &copy);
            installation.postgres.start_again().unwrap();
            shipped(&installation).await;
        }
        let targets = [
            target("tidegate-nodes", "node-0", &installation.nodes[0]),
            target("tidegate-control", "control-0", &installation.control_planes[0]),
        ];
        let prometheus = Prometheus::start(&targets, &rules(&THRESHOLDS)).await;
        Self { installation, prometheus, collector, free, capped, explained: BTreeSet::new(), copy, segments }
    }

    /// Calls from four sides until the journal has let go of what it held when the database was copied, and for
    /// longer than any alert waits: none may ever fire.
    async fn all_is_well(&self) {
        let looked = "count_over_time(tidegate_journal_horizon_seconds[1h]) >= 8";
        until("the journal moves on, and Prometheus has looked on", seconds(60), async || {
            let ask = Ask::chat("Say 20 words");
            join_all((0..4).map(|_| self.free.expect(&ask, 200))).await;
            let rolled = self.segments.iter().any(|segment| !segment.exists());
            rolled && !self.prometheus.shows(looked).await.is_empty()
        })
        .await;
        self.capped.expect(&Ask::chat("Hello"), 200).await;
        let fired = self.prometheus.shows(r#"ALERTS{alertstate="firing"}"#).await;
        assert!(fired.is_empty(), "{fired:?}");
        assert_eq!(self.prometheus.broken_rules().await, [Value::Null; 0]);
        // Positive control: so small a journal would be full soon, if nobody took anything from it.
        assert!(!self.prometheus.shows("tidegate_journal_horizon_seconds < 6 * 3600").await.is_empty());
    }

    /// Waits for alerts, and that nothing else fires.
    async fn raised(&mut self, alerts: &[(&'static str, &str)]) {
        raised(&self.prometheus, &self.free, alerts).await;
        self.explained.extend(alerts.iter().map(|(name, _)| *name));
        let others = async || {
            let firing = self.prometheus.alerts().await.into_keys();
            firing.filter(|name| !self.explained.contains(&**name)).collect()
        };
        until_none("fires without a reason", &self.free, &Ask::chat("Hello"), others).await;
    }

    /// The database as it was before the healthy load.
    async fn database_is_restored(&mut self) {
        shipped(&self.installation).await;
        let data = self.installation.postgres.folder().join("data");
        self.installation.postgres.stop();
        std::fs::remove_dir_all(&data).unwrap();
        copy_folder(&self.copy, &data);
        self.installation.postgres.start_again().unwrap();
        // What else a node may learn by it.
        self.explained.insert("TidegateConfigurationHealed");
        self.raised(&[("TidegateRecordsLost", "acknowledged once are lost")]).await;
    }

    async fn collector_refuses(&mut self) {
        let exporter = json!({"name": "traces", "url": self.collector.url("/v1/traces")});
        self.installation.admin.post("/exporters", &exporter).await.unwrap();
        self.raised(&[("TidegateTracesDropped", "an organization's collector")]).await;
    }

    async fn provider_does_more_than_it_was_asked_for(&mut self) {
        let more = json!([{"when": {"contains": "Hello"}, "times": 1,
            "then": {"output_tokens": 5_000, "ignores_limit": true}}]);
        self.installation.script(more).await.unwrap();
        self.capped.expect(&Ask::chat("Hello"), 200).await;
        self.raised(&[("TidegateHeldTooLittle", "more than was held")]).await;
    }

    /// New prices, which nodes have as they were meant, and the control plane as they were damaged.
    async fn prices_are_damaged(&mut self) {
        let admin = &self.installation.admin;
        for offering in admin.get("/offerings?organization=system").await.unwrap()["data"].as_array().unwrap()
        {
            let prices = json!([{"unit": "input_token", "price": "0.000001"}, {"unit": "output_token", "price": "0.000004"}]);
            let price = json!({"offering_id": offering["id"], "source": "test",
                "tiers": [{"from_input_tokens": 0, "prices": prices}]});
            admin.post("/prices?wait=fleet", &price).await.unwrap();
        }
        let damage = "SET session_replication_role = replica;
            UPDATE prices SET content = jsonb_set(content, '{tiers,0,prices}', '[]')";
        self.installation.sql(damage).unwrap();
        self.raised(&[("TidegateCostsDisagree", "computed different costs")]).await;
    }

    async fn bill_differs(&mut self) {
        self.installation.tariff(&[("sim".to_owned(), 5_000, 20_000)]).await.unwrap();
        self.free.expect(&Ask::chat("Hello"), 200).await;
        shipped(&self.installation).await;
        let file = self.installation.folder().join("bill.json");
        std::fs::write(&file, self.installation.bill().await.unwrap().to_string()).unwrap();
        for provider in ["sim-openai", "sim-anthropic"] {
            reconcile(&self.installation, provider, &file, false).await;
        }
        self.raised(&[("TidegateReconciliationDiffers", "differs from the books")]).await;
    }

    /// A call under way loses the counters that it is to be settled at, and nobody can open others.
    async fn counters_and_control_plane_are_gone(&mut self) {
        let slow = json!([{"when": {"contains": "slow"}, "then": {"latency_ms": 8_000}}]);
        self.installation.script(slow).await.unwrap();
        let app = self.capped.clone();
        let running = tokio::spawn(async move { app.call(&Ask::chat("a slow one")).await });
        let held = || async { OwnBudget::of(&self.capped).await.is_some_and(|budget| budget.held > 0) };
        until("the call is under way", seconds(20), held).await;
        self.installation.control_planes[0].kill();
        self.installation.redis.as_ref().unwrap().flush().unwrap();
        let alone = [
            ("TidegateSettlementsWait", "node-0 has settlements"),
            ("TidegateJournalFullSoon", "The journal of node-0 is full in"),
        ];
        self.raised(&alone).await;
        assert_eq!(running.await.unwrap().unwrap().status, 200);
    }
}

/// The files of the first node's journal.
fn segments(installation: &Installation) -> Vec<PathBuf> {
    let files = std::fs::read_dir(installation.folder().join("node-0-state/journal")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "seg")).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Waits until nobody has anything left to ship.
async fn shipped(installation: &Installation) {
    let is_empty = |node: &Value| node["live"] == true && node["journal_pending_records"] == 0;
    let ready = || async {
        let fleet = installation.admin.get("/fleet").await.unwrap();
        fleet["data"].as_array().unwrap().iter().all(is_empty)
    };
    until("every journal is shipped", seconds(30), ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_load_raises_nothing_and_faults_of_the_books_raise_their_alerts() {
    let mut scene = Scene::start().await;
    scene.all_is_well().await;
    if full() {
        scene.database_is_restored().await;
    }
    scene.collector_refuses().await;
    scene.provider_does_more_than_it_was_asked_for().await;
    if full() {
        scene.prices_are_damaged().await;
        scene.bill_differs().await;
        scene.counters_and_control_plane_are_gone().await;
    }
    assert_eq!(scene.prometheus.broken_rules().await, [Value::Null; 0]);
}
