//! Both planes are replaced, process by process, under load: no request fails, running streams finish.
//!
//! With `TIDEGATE_OLD=path/to/an/older/tidegate` the installation begins with that executable, is brought to this
//! one, control planes first, and back: both planes serve in both mixtures.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::json;
use tidegate_testkit::installation::{Admin, Installation, Shape};

use crate::support::{App, Ask, Balancer, bill, binary, full, seconds, until, usage};

/// Longer than the balancer takes to see who is not ready, on a machine that others use too.
const LEAD: u64 = 8;

/// What went on meanwhile.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicU64,
    asked_of_management: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Load {
    fn fail(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Connections are kept and nothing is tried again, as an SDK without retries does.
    async fn application(&self, app: App, asks: &[Ask]) {
        for ask in asks.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            match app.call(ask).await {
                Ok(reply) if reply.status == 200 && reply.whole => {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                }
                Ok(reply) => self.fail(format!("{}: {}", reply.status, reply.text)),
                Err(error) => self.fail(format!("{error:?}")),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn administrator(&self, admin: Admin) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let body = json!({"name": format!("team {number}")});
            let (method, body, good) =
                if number % 5 == 0 { (Method::POST, Some(&body), 201) } else { (Method::GET, None, 200) };
            match admin.send(method.clone(), "/teams", body).await {
                Ok((status, _)) if status == good => {
                    self.asked_of_management.fetch_add(1, Ordering::SeqCst);
                }
                answer => self.fail(format!("management: {method}: {answer:?}")),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A client that never sends a request twice. It keeps connections, which releases before `drain_lead_seconds`
/// closed under its feet.
pub(crate) fn once(keeps: bool) -> Client {
    let kept = if keeps { usize::MAX } else { 0 };
    let client = Client::builder().timeout(seconds(60)).no_proxy().pool_max_idle_per_host(kept);
    client.retry(reqwest::retry::never()).build().unwrap()
}

pub(crate) fn servers(installation: &Installation) -> [Vec<(String, String)>; 2] {
    let of = |programs: &[tidegate_testkit::installation::Program], part: &str| {
        programs.iter().map(|one| (one.url(part).unwrap(), one.url("metrics on ").unwrap())).collect()
    };
    [of(&installation.nodes, "gateway on "), of(&installation.control_planes, "management API on ")]
}

/// Replaces processes by what the installation's executable is then.
pub(crate) struct Roll<'a> {
    pub(crate) installation: &'a mut Installation,
    pub(crate) nodes: &'a Balancer,
    pub(crate) planes: &'a Balancer,
    /// The executables can be told to wait themselves.
    pub(crate) by_themselves: bool,
}

impl Roll<'_> {
    async fn control_planes(&mut self) {
        for index in 0..self.installation.control_planes.len() {
            self.control_plane(index).await;
        }
    }

    async fn nodes(&mut self) {
        for index in 0..self.installation.nodes.len() {
            self.node(index).await;
        }
    }

    pub(crate) async fn control_plane(&mut self, index: usize) {
        self.leave(self.planes, index).await;
        let plane = &mut self.installation.control_planes[index];
        plane.signal("TERM");
        assert!(plane.wait(seconds(30)).await.unwrap(), "control plane {index} ends well");
        self.installation.restart_control_plane(index).await.unwrap();
        self.planes.take(index, false);
        let seen = || async { self.planes.uses(index) };
        until("the balancer sees that the control plane is back", seconds(10), seen).await;
    }

    pub(crate) async fn node(&mut self, index: usize) {
        self.leave(self.nodes, index).await;
        let node = &mut self.installation.nodes[index];
        node.signal("TERM");
        assert!(node.wait(seconds(40)).await.unwrap(), "node {index} ends well");
        self.installation.restart_node(index).await.unwrap();
        self.nodes.take(index, false);
        let seen = || async { self.nodes.uses(index) };
        until("the balancer sees that the node is back", seconds(10), seen).await;
    }

    async fn leave(&self, balancer: &Balancer, index: usize) {
        if !self.by_themselves {
            balancer.take(index, true);
            tokio::time::sleep(seconds(LEAD)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_planes_are_replaced_one_by_one_under_load_and_no_request_fails() {
    let older = std::env::var_os("TIDEGATE_OLD").map(PathBuf::from);
    let first = older.clone().unwrap_or_else(|| binary().to_owned());
    let drain_lead_seconds = if older.is_some() { None } else { Some(LEAD) };
    let mut shape = Shape { control_planes: 2, nodes: 2, drain_lead_seconds, ..Shape::default() };
    if older.is_some() {
        shape.decision_timeout_ms = None;
        shape.wave_seconds = None;
    }
    let mut installation = Installation::start(&first, shape).await.unwrap_or_else(|e| panic!("{e:#}"));
    let slow = json!({"output_tokens": 60, "chunk_delay_ms": 50, "hidden_reasoning": false});
    installation.script(json!([{"when": {"contains": "slowly"}, "then": slow}])).await.unwrap();
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("app", "1000", json!({"key": id})).await.unwrap();
    let [nodes, planes] = servers(&installation);
    let (nodes, planes) = (Balancer::start(&nodes).await, Balancer::start(&planes).await);
    let admin = installation.admin.at(&planes.url).without_kept_connections().unwrap();

    let (load, quick, slow) =
        (Load::default(), Ask::all("Hello"), [Ask::chat("Go on slowly").at_most(100).streaming()]);
    let app = || App { client: once(older.is_none()), base: nodes.url.clone(), key: key.clone() };
    let applications = (0..12).map(|number| load.application(app(), if number < 9 { &quick } else { &slow }));
    let story = async {
        let by_themselves = older.is_none();
        let mut roll =
            Roll { installation: &mut installation, nodes: &nodes, planes: &planes, by_themselves };
        for _ in 0..if full() { 5 } else { 1 } {
            roll.installation.change_binary(binary());
            roll.installation.migrate().unwrap();
            roll.control_planes().await;
            roll.nodes().await;
            if let Some(older) = &older {
                roll.installation.change_binary(older);
                // A step back leaves the schema as it is.
                roll.control_planes().await;
                roll.nodes().await;
            }
        }
        load.stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(join_all(applications), load.administrator(admin), story);
    assert_eq!(*load.failed.lock().unwrap(), [""; 0]);
    let answered = load.answered.load(Ordering::SeqCst);
    println!("{answered} calls, {} requests of management", load.asked_of_management.load(Ordering::SeqCst));
    assert!(
        answered > 200 && load.asked_of_management.load(Ordering::SeqCst) > 10,
        "{answered} calls are no load"
    );
    let arrived = || async { usage(&installation.admin).await.1 >= answered };
    until("every call is on the books", seconds(30), arrived).await;
    assert_eq!(usage(&installation.admin).await, (bill(&installation).await, answered));
}
