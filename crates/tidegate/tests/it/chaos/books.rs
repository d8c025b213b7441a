//! Every book there is of one budget, read at rest: the bill, the events, the ledger, the counters.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_testkit::process::PATIENCE;
use tidegate_types::CallId;

use super::world::{World, own};
use crate::support::{OwnBudget, bill_lines, charge, nano};

/// What the events say of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Charged {
    /// Of all its attempts.
    pub(crate) cost: i128,
    /// Held for attempts whose outcome nobody knows.
    pub(crate) doubt: i128,
    /// Attempts that came to their end.
    pub(crate) ended: usize,
}

/// All of it, in nano-dollars.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    pub(crate) limit: i128,
    /// The counters, as every node tells them.
    pub(crate) counters: Vec<OwnBudget>,
    /// `GET /budgets/…`.
    pub(crate) spent: i128,
    pub(crate) unresolved: i128,
    /// `GET /usage`.
    pub(crate) usage: i128,
    /// The ledger's account `charges`.
    pub(crate) ledger: i128,
    /// The events, by call.
    pub(crate) charged: BTreeMap<String, Charged>,
    /// Ids of the call records.
    pub(crate) records: Vec<String>,
    /// The provider's bill, by call.
    pub(crate) billed: BTreeMap<String, i128>,
    /// Calls whose whole answer a client has.
    pub(crate) completed: Vec<String>,
}

impl Books {
    pub(crate) fn bill(&self) -> i128 {
        self.billed.values().sum()
    }
}

impl fmt::Display for Books {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "bill {} of {} calls; spent {}, unresolved {}, limit {}; usage {}, ledger {}, {} calls charged, {} in doubt; counters {:?}",
            self.bill(),
            self.billed.len(),
            self.spent,
            self.unresolved,
            self.limit,
            self.usage,
            self.ledger,
            self.charged.len(),
            self.charged.values().filter(|call| call.doubt > 0).count(),
            self.counters,
        )
    }
}

/// An amount as a hold has it in the database.
pub(crate) fn amount(text: &str) -> i128 {
    if text.contains('.') { nano(&Value::from(text)) } else { text.parse().unwrap() }
}

/// For each attempt what counts: a correction, else the final event, else the intent.
const EVENTS: &str = "SELECT DISTINCT ON (call_id, attempt) call_id, outcome, cost, \
     (SELECT coalesce(max(hold->>'amount'), '0') FROM jsonb_array_elements(holds) AS hold) FROM billing_events \
     ORDER BY call_id, attempt, array_position(ARRAY['correction', 'final', 'intent'], kind)";

/// A call's id as a client has it, from how the database writes it.
fn told(uuid: &str) -> String {
    CallId::from_u128(u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap()).to_string()
}

/// Of every call, refused ones too: after a long storm near the cap more than `GET /calls` is read for.
fn records(world: &World) -> Vec<String> {
    let rows = world.installation.query("SELECT call_id FROM call_records").unwrap();
    rows.iter().map(|row| told(&row[0])).collect()
}

fn charged(world: &World) -> BTreeMap<String, Charged> {
    let mut calls: BTreeMap<String, Charged> = BTreeMap::new();
    for row in world.installation.query(EVENTS).unwrap() {
        let [id, outcome, cost, held] = &row[..] else { panic!("{row:?}") };
        let call = calls.entry(told(id)).or_default();
        match outcome.as_str() {
            "open" | "unresolved" => call.doubt += amount(held),
            _ => {
                call.cost += cost.parse::<i128>().unwrap();
                call.ended += usize::from(outcome == "completed");
            }
        }
    }
    calls
}

/// What the budget has spent, and what is in doubt, once the counters have followed the ledger. What does not
/// follow within two minutes is for the judge to name.
async fn at_rest(world: &World) -> [i128; 2] {
    let began = Instant::now();
    loop {
        let budget = world.installation.admin.get(&format!("/budgets/{}", world.budget)).await.unwrap();
        let books = ["spent", "unresolved"].map(|name| nano(&budget["spend"][name]));
        let told = own(&world.apps[0]).await.map(|counters| [counters.spent, counters.unresolved]);
        if told == Some(books) || began.elapsed() > PATIENCE {
            return books;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads every book, after the counters have followed the last change of the ledger.
pub(crate) async fn read(world: &World, completed: &[String]) -> Books {
    let admin = &world.installation.admin;
    let [spent, unresolved] = at_rest(world).await;
    let mut counters = Vec::new();
    for app in &world.apps {
        counters.push(own(app).await.unwrap());
    }
    let accounts = admin.get("/ledger").await.unwrap();
    let of = |name: &str| {
        let rows = accounts["data"].as_array().unwrap().iter();
        rows.filter(|row| row["account"] == name).map(|row| signed(&row["sum"])).sum::<i128>()
    };
    let mut billed: BTreeMap<String, i128> = BTreeMap::new();
    for line in bill_lines(&world.installation).await {
        *billed.entry(line["call_id"].as_str().unwrap().to_owned()).or_default() +=
            i128::from(line["nano_usd"].as_i64().unwrap());
    }
    Books {
        limit: counters[0].limit,
        counters,
        spent,
        unresolved,
        usage: charge(admin).await,
        ledger: of("charges"),
        charged: charged(world),
        records: records(world),
        billed,
        completed: completed.to_vec(),
    }
}

fn signed(value: &Value) -> i128 {
    let text = value.as_str().unwrap();
    match text.strip_prefix('-') {
        Some(rest) => -nano(&Value::from(rest)),
        None => nano(value),
    }
}
