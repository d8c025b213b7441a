//! A real Prometheus that looks at an installation every second, with the chart's alerts as its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use reqwest::Url;
use serde_json::Value;
use tempfile::TempDir;
use tidegate_testkit::{binaries, port};

use super::{client, seconds, until};

/// A process to look at: job, pod, and the address of its metrics.
pub(crate) struct Target {
    pub(crate) job: &'static str,
    pub(crate) pod: &'static str,
    pub(crate) address: String,
}

/// Ends with its value.
pub(crate) struct Prometheus {
    process: Child,
    url: String,
    began: SystemTime,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a query has to show: for each series its labels, of those with a number at any time.
pub(crate) type Shown = Vec<BTreeMap<String, String>>;

impl Prometheus {
    pub(crate) async fn start(targets: &[Target], rules: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = String::from(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n\
             rule_files: [rules.yaml]\nscrape_configs:\n",
        );
        for Target { job, pod, address } in targets {
            config += &format!(
                "  - job_name: {job}\n    static_configs: [{{targets: [\"{address}\"], labels: {{pod: {pod}}}}}]\n"
            );
        }
        std::fs::write(folder.path().join("prometheus.yaml"), config).unwrap();
        std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        let port = port::free().unwrap();
        let process = Command::new(binaries::find("prometheus").unwrap())
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let one = Self { process, url, began: SystemTime::now(), _folder: folder };
        let ready = format!("{}/-/ready", one.url);
        let http = client();
        until("Prometheus is ready", seconds(30), async || {
            http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        one
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), query).unwrap();
        let answer = client().get(url).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    /// Asks as a panel does, for all the time since the start.
    pub(crate) async fn shows(&self, query: &str) -> Shown {
        let second =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
        let (start, end) = (second(self.began), second(SystemTime::now()));
        let range = [("query", query), ("start", &*start), ("end", &*end), ("step", "1")];
        let data = self.get("query_range", &range).await;
        let has_numbers =
            |series: &&Value| series["values"].as_array().unwrap().iter().any(|sample| sample[1] != "NaN");
        let series = data["result"].as_array().unwrap().iter().filter(has_numbers);
        series.map(|one| serde_json::from_value(one["metric"].clone()).unwrap()).collect()
    }

    /// The values of a label among all series that a selector finds.
    pub(crate) async fn values(&self, label: &str, selector: &str) -> BTreeSet<String> {
        let data = self.get(&format!("label/{label}/values"), &[("match[]", selector)]).await;
        serde_json::from_value(data).unwrap()
    }

    /// Alerts that fire, with what they say.
    pub(crate) async fn alerts(&self) -> BTreeMap<String, String> {
        let data = self.get("alerts", &[]).await;
        let firing = data["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        firing
            .map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["annotations"]["summary"])))
            .collect()
    }

    /// Rules that could not be evaluated.
    pub(crate) async fn broken_rules(&self) -> Vec<Value> {
        let data = self.get("rules", &[]).await;
        let groups = data["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone());
        rules.filter(|rule| rule["health"] == "err").collect()
    }
}
