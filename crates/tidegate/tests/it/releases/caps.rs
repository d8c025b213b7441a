//! Caps while an installation is brought from an older release to this one and back, process by process and under
//! load: whichever releases count together, no cap is passed, nothing is refused that fits, every call is counted once.
//!
//! `TIDEGATE_OLD=path/to/an/older/tidegate`; there is no such story without one. What older nodes do in Redis is
//! recorded, and tried on every change: `crates/tidegate-limits/tests/it/releases.rs`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::{Installation, Shape};

use crate::rolling::{Roll, once, servers};
use crate::support::{
    App, Ask, Balancer, OwnBudget, apps, bill, bill_lines, binary, charge, nano, seconds, until,
};

/// Each stage's cap in USD: what a node has in advance of it is many calls.
const CAP: &str = "0.2";
/// Nano-dollars of an output and of an input token.
const OUTPUT: i128 = 2_000;
const INPUT: i128 = 500;
/// Output tokens of calls while a process is replaced, and of those that use the cap up.
const SMALL: u64 = 10;
const LARGE: u64 = 300;
const WORKERS: usize = 12;

/// What is replaced at a stage's begin.
#[derive(Clone, Copy)]
enum Replaced {
    Nothing,
    ControlPlane,
    Node(usize),
}

/// From the older release alone to this one alone, control plane first, and back, control plane last.
const STAGES: [(&str, Replaced, bool); 7] = [
    ("the older release", Replaced::Nothing, false),
    ("a newer control plane", Replaced::ControlPlane, true),
    ("one newer node", Replaced::Node(1), true),
    ("this release", Replaced::Node(0), true),
    ("one older node again", Replaced::Node(1), false),
    ("a newer control plane again", Replaced::Node(0), false),
    ("the older release again", Replaced::ControlPlane, false),
];

/// A key with a cap and a model of its own, by which its calls are found on the bill.
struct Capped {
    model: String,
    key: String,
}

/// Who calls meanwhile: small calls with pauses, then large ones as fast as they go.
#[derive(Default)]
struct Load {
    hurry: AtomicU64,
    /// Refusals since it is in a hurry.
    refused: AtomicU64,
    served: AtomicU64,
}

impl Load {
    fn ask(&self, capped: &Capped, number: usize) -> Ask {
        let hurry = self.hurry.load(Ordering::SeqCst) == 1;
        let (text, tokens) = if hurry { ("a large one", LARGE) } else { ("a small one", SMALL) };
        Ask::all(text)[number % 4].clone().model(&capped.model).at_most(tokens)
    }

    /// Nothing is tried again, and nothing fails but for money.
    async fn run(&self, app: App, capped: &Capped, worker: usize) {
        for number in worker.. {
            let hurry = self.hurry.load(Ordering::SeqCst) == 1;
            if hurry && self.refused.load(Ordering::SeqCst) > 10 * WORKERS as u64 {
                return;
            }
            let reply = app.call(&self.ask(capped, number)).await.unwrap_or_else(|error| panic!("{error:?}"));
            match reply.status {
                200 if reply.whole => self.served.fetch_add(1, Ordering::SeqCst),
                402 if hurry => self.refused.fetch_add(1, Ordering::SeqCst),
                status => panic!("{status}, in a hurry: {hurry}: {}", reply.text),
            };
            let pause = if hurry { 5 } else { 100 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

async fn capped(installation: &Installation, stage: usize) -> Capped {
    let model = format!("cap/{stage}");
    installation.model(&model, "sim-openai", &format!("cap-{stage}")).await.unwrap();
    let (id, key) = installation.key(&model, &json!({})).await.unwrap();
    installation.budget(&model, CAP, json!({"key": id})).await.unwrap();
    Capped { model, key }
}

/// What the provider bills for the calls of a stage.
async fn billed(installation: &Installation, stage: usize) -> i128 {
    let upstream = format!("cap-{stage}");
    let lines = bill_lines(installation).await;
    lines
        .iter()
        .filter(|line| line["model"] == upstream)
        .map(|line| i128::from(line["nano_usd"].as_i64().unwrap()))
        .sum()
}

/// What every node says of a cap once nothing is under way: the same.
async fn quiet(apps: &[App]) -> OwnBudget {
    let settled = || async {
        let told = join_all(apps.iter().map(OwnBudget::of)).await;
        told.iter().all(|own| own.is_some_and(|own| own.held == 0 && Some(own) == told[0]))
    };
    until("nothing is held", seconds(20), settled).await;
    OwnBudget::of(&apps[0]).await.unwrap()
}

/// The cap was kept, is used to the last call that fits at either node, and is what the provider bills.
async fn judge(installation: &Installation, capped: &Capped, stage: usize) {
    let apps = apps(installation, &capped.key);
    let small = Ask::chat("a small one").model(&capped.model);
    let input = INPUT * i128::try_from(small.body().to_string().len()).unwrap();
    for turn in 0..4 {
        let own = quiet(&apps).await;
        assert_eq!((own.spent, own.unresolved), (billed(installation, stage).await, 0), "stage {stage}");
        assert!(own.spent <= own.limit && own.limit == nano(&json!(CAP)), "stage {stage}: {own:?}");
        let room = u64::try_from((own.limit - own.spent - input) / OUTPUT).unwrap_or(0);
        if room > 0 {
            apps[(stage + turn) % 2].expect(&small.clone().at_most(room), 200).await;
        }
    }
    for app in &apps {
        app.expect(&small.clone().at_most(2 * LARGE), 402).await;
    }
}

struct Story<'a> {
    older: &'a Path,
    nodes: Balancer,
    planes: Balancer,
}

impl Story<'_> {
    async fn stage(&self, installation: &mut Installation, stage: usize, capped: &Capped) {
        let (name, replaced, newer) = STAGES[stage];
        let load = Load::default();
        let app = || App { client: once(false), base: self.nodes.url.clone(), key: capped.key.clone() };
        let workers = join_all((0..WORKERS).map(|worker| load.run(app(), capped, worker)));
        let replacing = async {
            installation.change_binary(if newer { binary() } else { self.older });
            let mut roll =
                Roll { installation, nodes: &self.nodes, planes: &self.planes, by_themselves: false };
            match replaced {
                Replaced::Nothing => {}
                Replaced::ControlPlane => {
                    if newer {
                        roll.installation.migrate().unwrap();
                    }
                    roll.control_plane(0).await;
                }
                Replaced::Node(index) => roll.node(index).await,
            }
            // Whoever has just come has calls enough to want money in advance.
            tokio::time::sleep(seconds(2)).await;
            load.hurry.store(1, Ordering::SeqCst);
        };
        tokio::join!(workers, replacing);
        let own = OwnBudget::of(&app()).await;
        println!("{name}: {} served, {own:?}", load.served.load(Ordering::SeqCst));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cap_is_passed_while_releases_count_together_and_none_keeps_money_back() {
    let Some(older) = std::env::var_os("TIDEGATE_OLD").map(PathBuf::from) else {
        println!("no TIDEGATE_OLD: there is nobody to count with");
        return;
    };
    let shape = Shape {
        nodes: 2,
        drain_lead_seconds: None,
        decision_timeout_ms: None,
        wave_seconds: None,
        ..Shape::default()
    };
    let mut installation =
        Installation::start(&older, shape).await.unwrap_or_else(|error| panic!("{error:#}"));
    let answer = |tokens| json!({"output_tokens": tokens, "tokens_per_chunk": 50, "hidden_reasoning": false});
    let large = json!({"when": {"contains": "large"}, "then": answer(LARGE - 5)});
    installation.script(json!([large, {"then": answer(SMALL - 1)}])).await.unwrap();
    let [nodes, planes] = servers(&installation);
    let story =
        Story { older: &older, nodes: Balancer::start(&nodes).await, planes: Balancer::start(&planes).await };

    // Every window is begun by the older release, and used by all until its stage uses it up.
    let caps = join_all((0..STAGES.len()).map(|stage| capped(&installation, stage))).await;
    for (stage, now) in caps.iter().enumerate() {
        for (capped, app) in caps[stage..]
            .iter()
            .flat_map(|one| apps(&installation, &one.key).into_iter().map(move |app| (one, app)))
        {
            app.expect(&Ask::chat("a small one").model(&capped.model).at_most(SMALL), 200).await;
        }
        story.stage(&mut installation, stage, now).await;
        judge(&installation, now, stage).await;
    }
    for (stage, capped) in caps.iter().enumerate() {
        let own = quiet(&apps(&installation, &capped.key)).await;
        assert_eq!((own.spent, own.unresolved), (billed(&installation, stage).await, 0), "stage {stage}");
    }
    let total = bill(&installation).await;
    until("the ledger has every call", seconds(30), || async { charge(&installation.admin).await == total })
        .await;
}
