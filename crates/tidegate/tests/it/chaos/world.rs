//! The installation under the storm: models with random prices, one key, one dollar.

use std::time::Instant;

use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;
use tidegate_types::{CallId, NanoUsd};
use tokio::sync::Mutex;

use super::Size;
use super::load::{Load, Seen};
use super::random::Random;
use crate::reconcile::reconcile;
use crate::support::{App, Ask, OwnBudget, apps, seconds, until};

/// A model, and nano-dollars of its tokens.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

pub(crate) struct World {
    pub(crate) installation: Installation,
    pub(crate) apps: Vec<App>,
    pub(crate) models: Vec<Model>,
    pub(crate) budget: String,
}

/// The worst provider there is: it bills what nobody sees, and what nobody waited for.
fn script() -> Value {
    let slow = json!({"tokens_per_chunk": 8, "chunk_delay_ms": 3, "latency_ms": 10, "hidden_reasoning": true,
        "bill_after_abort": true});
    let mut cut = slow.clone();
    (cut["cut_after_bytes"], cut["ending"], cut["text"]) =
        (json!(700), json!("reset"), json!("word ".repeat(200)));
    json!([{"when": {"contains": "cut the line"}, "then": cut}, {"then": slow}])
}

impl World {
    /// Random prices, lower the longer the storm lasts, so that the cap comes within reach near its end.
    pub(crate) async fn prepare(installation: Installation, size: Size, seed: u64) -> Self {
        let mut random = Random::new(seed, u64::MAX);
        let level = (size.kills as u64 / 50).clamp(1, 20);
        let mut models = Vec::new();
        for number in 0..4 {
            let (input, output) =
                (random.within(120, 800) / level + 1, random.within(600, 3_200) / level + 1);
            let model = Model { name: format!("sim/chaos-{number}"), input, output };
            offer(&installation, &model).await;
            models.push(model);
        }
        let tariff: Vec<_> = models.iter().map(|m| (upstream(&m.name), m.input, m.output)).collect();
        installation.tariff(&tariff).await.unwrap();
        installation.script(script()).await.unwrap();
        let (id, key) = installation.key("app", &json!({})).await.unwrap();
        let budget = installation.budget("cap", size.limit, json!({"key": id})).await.unwrap();
        let apps = apps(&installation, &key);
        Self { installation, apps, models, budget }
    }

    pub(crate) fn load(&self) -> Load {
        Load {
            apps: self.apps.clone(),
            models: self.models.clone(),
            stop: false.into(),
            count: 0.into(),
            seen: Mutex::new(Seen::default()),
        }
    }

    /// Every node is back, every journal is shipped, and what was held is not held any more.
    pub(crate) async fn come_to_rest(&mut self) {
        let began = Instant::now();
        let shipped = || async {
            let Ok(fleet) = self.installation.admin.get("/fleet").await else { return false };
            let nodes = fleet["data"].as_array().unwrap();
            nodes.len() == 3
                && nodes.iter().all(|node| node["live"] == true && node["journal_pending_records"] == 0)
        };
        until("every node is live and has shipped", seconds(60), shipped).await;
        for app in &self.apps {
            let free = || async { own(app).await.is_some_and(|budget| budget.held == 0) };
            until("nothing is held", seconds(60), free).await;
        }
        println!("at rest after {:?}", began.elapsed());
    }

    /// What is left can be spent to the last token: one more does not fit, this one does.
    pub(crate) async fn use_the_rest_to_the_last_token(&self) {
        self.installation.script(json!([{"then": {"tokens_per_chunk": 1_000}}])).await.unwrap();
        let model = self.models.iter().max_by_key(|model| model.output).unwrap();
        let output = i128::from(model.output);
        let Some(input) = self.held_for_input(model).await else { return };
        for _ in 0..200 {
            let left = self.left().await;
            let fits = (left - input) / output;
            if fits < 1 {
                println!("{left} left: less than a token");
                return;
            }
            let most = u64::try_from(fits).unwrap();
            if most > 16_384 {
                let ask = Ask::chat("Say 16000 words").model(&model.name).at_most(16_384);
                self.apps[0].expect(&ask, 200).await;
                continue;
            }
            let ask = Ask::chat("Hi").model(&model.name);
            if most < 16_384 {
                self.apps[1].expect(&ask.clone().at_most(most + 1), 402).await;
            }
            self.apps[2].expect(&ask.at_most(most), 200).await;
            println!("{left} left, and {most} tokens were granted, no more");
            return;
        }
        panic!("a dollar without an end");
    }

    /// What is held for the input of a call that says `Hi`: what was held for it, but for its output. `None`: the
    /// storm has left less than the least of such calls may cost.
    async fn held_for_input(&self, model: &Model) -> Option<i128> {
        let before = self.left().await;
        let reply = self.apps[0].call(&Ask::chat("Hi").model(&model.name).at_most(1)).await.unwrap();
        if reply.status == 402 {
            let least = reply.text.split("may cost ").nth(1).and_then(|rest| rest.split(" USD").next());
            let least: NanoUsd = least.expect("a refusal names the cost").parse().unwrap();
            assert!(i128::from(least.get()) > before, "{before} left would do: {}", reply.text);
            println!("{before} left: less than {least} USD, the least that a call may cost");
            return None;
        }
        assert_eq!(reply.status, 200, "{}", reply.text);
        let id: CallId = reply.id().parse().unwrap();
        let query = format!(
            "SELECT (holds->0->>'amount') FROM billing_events WHERE kind = 'intent' AND call_id = '{:032x}'::uuid",
            id.to_u128()
        );
        let rows = || self.installation.query(&query).unwrap();
        until("the intent is on the books", seconds(10), || async { !rows().is_empty() }).await;
        let rows = rows();
        let amount = rows.first().expect("the intent is on the books")[0].clone();
        Some(super::books::amount(&amount) - i128::from(model.output))
    }

    /// What the counters say is left, when nothing is held.
    async fn left(&self) -> i128 {
        let free = || async { own(&self.apps[0]).await.is_some_and(|budget| budget.held == 0) };
        until("nothing is held", seconds(20), free).await;
        let budget = own(&self.apps[0]).await.unwrap();
        budget.limit - budget.spent - budget.unresolved
    }

    /// Brings the simulator's bill as a usage file, for each provider; the reports.
    pub(crate) async fn reconcile(&self) -> Vec<Value> {
        // What was called since then is on the books first.
        self.left().await;
        let shipped = || async {
            let fleet = self.installation.admin.get("/fleet").await.unwrap();
            fleet["data"].as_array().unwrap().iter().all(|node| node["journal_pending_records"] == 0)
        };
        until("every journal is shipped", seconds(30), shipped).await;
        let file = self.installation.folder().join("bill.json");
        std::fs::write(&file, self.installation.bill().await.unwrap().to_string()).unwrap();
        let mut reports = Vec::new();
        for provider in ["sim-openai", "sim-anthropic"] {
            reports.push(reconcile(&self.installation, provider, &file, false).await);
        }
        reports
    }
}

/// The budget as a node tells it; `None` while it cannot.
pub(crate) async fn own(app: &App) -> Option<OwnBudget> {
    let (status, _) = app.get("/v1/key").await.ok()?;
    if status == 200 { OwnBudget::of(app).await } else { None }
}

fn upstream(model: &str) -> String {
    model.replace('/', "-")
}

/// The model at both providers, at these prices.
async fn offer(installation: &Installation, model: &Model) {
    let admin = &installation.admin;
    let body = json!({"name": model.name, "context_window": 128_000, "max_output_tokens": 16_384});
    admin.post("/models", &body).await.unwrap();
    let usd = |nano: u64| format!("0.{nano:09}");
    for provider in ["sim-openai", "sim-anthropic"] {
        let offering =
            json!({"model": model.name, "provider": provider, "upstream_name": upstream(&model.name)});
        let offering = admin.post("/offerings", &offering).await.unwrap();
        let prices = json!([{"unit": "input_token", "price": usd(model.input)},
            {"unit": "output_token", "price": usd(model.output)},
            {"unit": "cached_input_token", "price": usd(model.input)}]);
        let tiers = json!([{"from_input_tokens": 0, "prices": prices}]);
        let price = json!({"offering_id": offering["id"], "tiers": tiers, "source": "chaos"});
        admin.post("/prices?wait=fleet", &price).await.unwrap();
    }
}
