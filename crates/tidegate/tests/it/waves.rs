//! A change of the catalogue in a fleet of three nodes: a price reaches one node, then all; a provider's address at which
//! nobody answers is taken back from the first node by itself, and no other node ever calls there; what tightens waits
//! for no wave.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_testkit::installation::{Installation, Shape};
use tidegate_testkit::port;
use tidegate_testkit::process::PATIENCE;
use tokio::task::JoinSet;

use crate::monitoring::{raised, rules, target};
use crate::support::{App, Ask, Prometheus, apps, binary, install, nodes, seconds, until};

/// A model that one provider has: nobody stands in for it, and no cheaper one is asked in its place.
const MODEL: &str = "wave/only";

fn ask() -> Ask {
    Ask::chat("Say 20 words").model(MODEL)
}

async fn statuses(apps: &[App]) -> Vec<u16> {
    let mut statuses = vec![];
    for app in apps {
        statuses.push(app.call(&ask()).await.map_or(0, |reply| reply.status));
    }
    statuses
}

/// Calls at every node, all the while; how many were answered with something else than 200.
struct Load {
    failed: Vec<Arc<AtomicUsize>>,
    ended: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(apps: &[App]) -> Self {
        let failed: Vec<_> = apps.iter().map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let (ended, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for (app, failed) in apps.iter().zip(&failed) {
            let (app, failed, ended) = (app.clone(), Arc::clone(failed), Arc::clone(&ended));
            tasks.spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    if app.call(&ask()).await.map_or(0, |reply| reply.status) != 200 {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            });
        }
        Self { failed, ended, tasks }
    }

    fn failed(&self) -> Vec<usize> {
        self.failed.iter().map(|failed| failed.load(Ordering::Relaxed)).collect()
    }

    async fn end(mut self) -> Vec<usize> {
        self.ended.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        self.failed()
    }
}

async fn wave(installation: &Installation) -> Value {
    installation.admin.get("/fleet/wave").await.unwrap()
}

async fn until_stage(installation: &Installation, stage: &str) -> Value {
    let last = Mutex::new(Value::Null);
    let reached = || async {
        let wave = wave(installation).await;
        let reached = wave["stage"] == stage && (stage != "none" || wave["resources"] == json!([]));
        *last.lock().unwrap() = wave;
        reached
    };
    let waited = Installation::wait_until(&format!("a wave is {stage}"), PATIENCE, reached).await;
    let last = last.into_inner().unwrap();
    if let Err(error) = waited {
        panic!("{error:#}, but {last}");
    }
    last
}

/// The number of the wave's only member.
async fn member(installation: &Installation, wave: &Value) -> usize {
    assert_eq!(wave["members"].as_array().unwrap().len(), 1, "{wave}");
    let fleet = installation.admin.get("/fleet").await.unwrap();
    let rows = fleet["data"].as_array().unwrap();
    let name = rows.iter().find(|node| node["id"] == wave["members"][0]).unwrap()["name"].as_str().unwrap();
    name.strip_prefix("node-").unwrap().parse().unwrap()
}

fn cli(installation: &Installation, arguments: &[&str]) -> (bool, String) {
    let url = installation.control_planes[0].url("management API on ").unwrap();
    let mut command = Command::new(binary());
    command.args(arguments).args(["--url", &url, "--token", &installation.admin.token]);
    let done = command.output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Which nodes charge for a call as much as that.
async fn dear(apps: &[App]) -> Vec<bool> {
    let mut dear = vec![];
    for app in apps {
        let cost = app.expect(&ask(), 200).await.json()["usage"]["cost"].as_f64().unwrap();
        dear.push(cost > 0.01);
    }
    dear
}

async fn found(installation: &Installation, path: &str, field: &str, value: &str) -> Value {
    let answer = installation.admin.get(&format!("{path}?limit=1000")).await.unwrap();
    let rows = answer["data"].as_array().unwrap();
    rows.iter().find(|row| row[field] == value).unwrap().clone()
}

async fn raise(installation: &Installation) {
    let offering = found(installation, "/offerings", "model", MODEL).await;
    let prices = json!([{"unit": "input_token", "price": "0.01"}, {"unit": "output_token", "price": "0.01"},
        {"unit": "cached_input_token", "price": "0.01"}]);
    let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
    let body = json!({"offering_id": offering["id"], "tiers": tiers, "source": "raised"});
    installation.admin.post("/prices", &body).await.unwrap();
}

async fn move_provider(installation: &Installation, base_url: &str) -> String {
    let provider = found(installation, "/providers", "slug", "sim-openai").await;
    let path = format!("/providers/{}", provider["id"].as_str().unwrap());
    installation.admin.patch(&path, &json!({"base_url": base_url})).await.unwrap();
    provider["base_url"].as_str().unwrap().to_owned()
}

/// Three nodes with the model, and an application at each.
async fn world(wave_seconds: u64) -> (Installation, String, Vec<App>) {
    let installation = install(Shape { wave_seconds: Some(wave_seconds), ..nodes(3) }).await;
    installation.model(MODEL, "sim-openai", "sim").await.unwrap();
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    let apps = apps(&installation, &key);
    assert_eq!(wave(&installation).await["stage"], "none", "what is set up first waits for nobody");
    until("all nodes have the model", seconds(10), async || statuses(&apps).await == [200; 3]).await;
    (installation, id, apps)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_reaches_one_node_then_all() {
    let (installation, _, apps) = world(3_600).await;
    assert_eq!(dear(&apps).await, [false; 3]);
    let load = Load::start(&apps);
    raise(&installation).await;
    let one = until_stage(&installation, "one").await;
    assert_eq!(one["resources"][0]["kind"], "offering");
    let first = member(&installation, &one).await;
    let only_the_first: Vec<bool> = (0..3).map(|node| node == first).collect();
    until("the first node charges it, and no other", seconds(10), async || {
        dear(&apps).await == only_the_first
    })
    .await;
    // It is watched from when the first node has it; two hours of that pass at once.
    let applied = || async {
        installation.query("SELECT shard FROM waves WHERE applied_at IS NOT NULL").unwrap().len() == 1
    };
    until("the first node has said that it has it", seconds(10), applied).await;
    installation.sql("UPDATE waves SET applied_at = applied_at - interval '2 hours'").unwrap();
    until_stage(&installation, "none").await;
    until("all nodes charge it", seconds(10), async || dear(&apps).await == [true; 3]).await;
    assert_eq!(load.end().await, [0; 3], "calls are served all the while");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_provider_goes_no_further_than_the_first_node() {
    let (installation, _, apps) = world(8).await;
    let load = Load::start(&apps);
    let scraped = target("tidegate-control", "control-0", &installation.control_planes[0]);
    let prometheus = Prometheus::start(&[scraped], &rules(&[])).await;
    let dead = format!("http://127.0.0.1:{}/openai/v1", port::free().unwrap());
    let alive = move_provider(&installation, &dead).await;
    let halted = until_stage(&installation, "halted").await;
    assert!(halted["reason"].as_str().unwrap().contains("were 5xx"), "{halted}");
    let (ok, said) = cli(&installation, &["fleet", "wave"]);
    assert!(ok && said.contains("halted") && said.contains("were 5xx"), "{said}");
    raised(&prometheus, &apps[0], &[("TidegateWaveHalted", "taken back")]).await;
    until("the first node serves again", seconds(20), async || statuses(&apps).await == [200; 3]).await;
    let (first, failed) = (member(&installation, &halted).await, load.end().await);
    for (index, failed) in failed.iter().enumerate() {
        assert_eq!(*failed > 0, first == index, "node {index} failed {failed} times, and {first} was first");
    }

    // An operator may say that it is to go on: it fails where it failed, and nowhere else.
    let load = Load::start(&apps);
    let (ok, said) = cli(&installation, &["fleet", "resume"]);
    assert!(ok, "{said}");
    until("it is halted again", seconds(60), async || {
        let again = wave(&installation).await;
        again["stage"] == "halted" && again["since"] != halted["since"]
    })
    .await;
    let again = wave(&installation).await;
    let (first, failed) = (member(&installation, &again).await, load.end().await);
    assert!(failed.iter().enumerate().all(|(index, failed)| (*failed > 0) == (first == index)), "{failed:?}");
    until("the first node is back", seconds(20), async || statuses(&apps).await == [200; 3]).await;

    // What mends it goes to all, and then there is nothing to resume.
    let load = Load::start(&apps);
    let written = move_provider(&installation, &alive).await;
    assert_eq!(written, dead, "what was written is shown, also while it is halted");
    until_stage(&installation, "one").await;
    until_stage(&installation, "none").await;
    assert_eq!(load.end().await, [0; 3]);
    let (ok, said) = cli(&installation, &["fleet", "resume"]);
    assert!(!ok && said.contains("not_halted"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tightens_binds_every_node_during_a_wave_and_a_first_node_that_dies_halts_it_and_one_that_drains_does_not()
 {
    let (mut installation, id, apps) = world(3_600).await;
    let admin = &installation.admin;
    raise(&installation).await;
    until_stage(&installation, "one").await;
    let everywhere = async |what: &str, status: u16, written: Value| {
        assert_eq!(written["fleet"]["applied"], true, "{what}: {written}");
        assert_eq!(statuses(&apps).await, [status; 3], "{what}");
    };
    let paused = admin.post(&format!("/keys/{id}/pause?wait=fleet"), &json!({})).await.unwrap();
    everywhere("a paused key", 403, paused).await;
    let resumed = admin.post(&format!("/keys/{id}/resume?wait=fleet"), &json!({})).await.unwrap();
    everywhere("a resumed key", 200, resumed).await;
    let budget = installation.budget("app", "10.00", json!({"key": id})).await.unwrap();
    let path = format!("/budgets/{budget}?wait=fleet");
    let lowered = admin.patch(&path, &json!({"limit": "0.000001"})).await.unwrap();
    everywhere("a lowered cap", 402, lowered).await;
    let raised = admin.patch(&path, &json!({"limit": "10.00"})).await.unwrap();
    everywhere("a cap raised again", 200, raised).await;
    let zdr = json!({"name": "zdr", "privacy": {"zdr": "zdr"}});
    let zdr = admin.post("/policies?wait=fleet", &zdr).await.unwrap();
    let path = format!("/policies/{}?wait=fleet", zdr["id"].as_str().unwrap());
    everywhere("ZDR", 400, zdr).await;
    admin.delete(&path).await.unwrap();
    until("ZDR is off again", seconds(10), async || statuses(&apps).await == [200; 3]).await;

    // So does what tightens in the catalogue itself.
    let home = json!({"name": "home", "privacy": {"headquarters": ["US"]}});
    let provider = found(&installation, "/providers", "slug", "sim-openai").await;
    let path = format!("/providers/{}?wait=fleet", provider["id"].as_str().unwrap());
    let moved = admin.patch(&path, &json!({"headquarters": "US"})).await.unwrap();
    everywhere("a provider's home", 200, moved).await;
    let policy = admin.post("/policies?wait=fleet", &home).await.unwrap();
    everywhere("a policy that it meets", 200, policy).await;
    let moved = admin.patch(&path, &json!({"headquarters": "FR"})).await.unwrap();
    everywhere("a provider that has moved away", 400, moved).await;
    let moved = admin.patch(&path, &json!({"headquarters": "US"})).await.unwrap();
    everywhere("a provider that is back", 200, moved).await;
    let revoked = admin.delete(&format!("/keys/{id}?wait=fleet")).await.unwrap();
    everywhere("a revoked key", 401, revoked).await;

    let still = wave(&installation).await;
    assert_eq!(
        (&still["stage"], &still["resources"][0]["kind"]),
        (&json!("one"), &json!("offering")),
        "{still}"
    );
    let named = json!({"name": "another"});
    let waits = admin.patch(&path, &named).await.unwrap();
    assert_eq!(
        (&waits["fleet"]["applied"], &waits["fleet"]["wave"]["stage"]),
        (&json!(false), &json!("one"))
    );

    // A first node that drains, however shortly, is no reason to halt: another one takes its place.
    let first = member(&installation, &wave(&installation).await).await;
    installation.nodes[first].signal("TERM");
    assert!(installation.nodes[first].wait(seconds(10)).await.unwrap());
    until("another node is first", seconds(10), async || {
        let now = wave(&installation).await;
        assert_eq!(now["stage"], "one", "{now}");
        member(&installation, &now).await != first
    })
    .await;
    installation.restart_node(first).await.unwrap();

    // Nobody hears of the first node any more.
    let first = member(&installation, &wave(&installation).await).await;
    installation.nodes[first].kill();
    let halted = until_stage(&installation, "halted").await;
    assert!(halted["reason"].as_str().unwrap().contains("was not heard of"), "{halted}");
}
