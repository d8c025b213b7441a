//! Walks rows of the table: makes each fault in a real installation, looks at what works, ends it, and waits
//! until everything is back and on the books.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;
use tokio::time::Instant;

use super::clock::Clock;
use super::fault::Fault;
use super::table::{Row, Seen};
use crate::support::{App, Ask, OwnBudget, apps, bill, full, nano, seconds, until, usage};

/// Refusals of each caller, by which is judged how long they take.
const FEWEST: usize = 20;
/// Refusals that may take longer are not many while a fault lasts.
const LONG_MS: u64 = 1_000;

/// How long a fault lasts.
fn outage() -> Duration {
    seconds(if full() { 60 } else { 2 })
}

/// An installation with a key without and one with a hard budget.
pub(super) struct Walk {
    pub(super) installation: Installation,
    open: Vec<App>,
    capped: Vec<App>,
    budget: String,
    /// Calls that were answered.
    served: u64,
    /// Changes made so far.
    changes: usize,
}

impl Walk {
    pub(super) async fn begin(installation: Installation) -> Self {
        let (_, open) = installation.key("open", &json!({})).await.unwrap();
        let (id, capped) = installation.key("capped", &json!({})).await.unwrap();
        let budget = installation.budget("cap", "100", json!({"key": id})).await.unwrap();
        let (open, capped) = (apps(&installation, &open), apps(&installation, &capped));
        let mut walk = Self { installation, open, capped, budget, served: 0, changes: 0 };
        for app in &walk.capped {
            walk.served += served(app).await;
        }
        walk
    }

    /// One fault of a row, from its begin to the last book.
    pub(super) async fn row(&mut self, row: &Row, fault: Fault) {
        let began = Instant::now();
        println!("{}: {}", row.away, fault.name());
        self.served += fault.begin(&mut self.installation, &self.capped).await;
        let refused = if row.passes { Vec::new() } else { self.look(row, fault).await };
        // Servers that were stopped take connections again when this is over.
        fault.end(&mut self.installation).await;
        let clock = Clock::start();
        self.everything_is_back(&clock, seconds(row.back_seconds)).await;
        println!("  back after {clock:?}");
        self.every_call_is_on_the_books().await;
        self.refused_in_time(&refused, row, fault).await;
        println!("  looked at in {:?}", began.elapsed());
    }

    /// What is served and refused while the fault lasts; the refused calls.
    async fn look(&mut self, row: &Row, fault: Fault) -> Vec<String> {
        let [open, capped, management] =
            [&row.open, &row.capped, &row.management].map(|cell| Seen::of(cell).unwrap());
        let (end, concerns) = (Instant::now() + outage(), fault.concerns());
        // Of many, one that a machine stands still in is not the middle; where each takes seconds there are not many.
        let least = if row.refused_within_ms > LONG_MS { 0 } else { FEWEST };
        let mut callers = Vec::new();
        for node in (0..self.open.len()).filter(|node| !concerns.gone.contains(node)) {
            let concerned = concerns.nodes.contains(&node);
            for (app, seen, counted) in [(&self.open[node], open, false), (&self.capped[node], capped, true)]
            {
                let seen = if concerned { seen } else { Seen::Served };
                callers.push(call(app, seen, counted, end, fault, least));
            }
        }
        let (looked, ()) = tokio::join!(join_all(callers), self.look_at_management(management, end));
        let (served, refused): (Vec<u64>, Vec<Vec<String>>) = looked.into_iter().unzip();
        self.served += served.iter().sum::<u64>();
        refused.concat()
    }

    /// How long refusals took is the nodes' own measure, from a call's head to its end: no client that waits for a
    /// processor is in it. The first ones find out that something is away, which takes longer where it is silent.
    async fn refused_in_time(&self, calls: &[String], row: &Row, fault: Fault) {
        let mut took = Vec::new();
        for call in calls {
            let (admin, path) = (&self.installation.admin, format!("/calls/{call}"));
            until("a refused call is shown", seconds(30), || async { admin.get(&path).await.is_ok() }).await;
            took.push(admin.get(&path).await.unwrap()["duration_ms"].as_u64().unwrap());
        }
        took.sort_unstable();
        if let Some(median) = took.get(took.len() / 2) {
            println!("  refused after {median} ms, {} at most", took[took.len() - 1]);
            assert!(*median <= row.refused_within_ms, "{fault:?}: refused after {median} ms: {took:?}");
        }
    }

    async fn look_at_management(&self, seen: Seen, end: Instant) {
        let ask = || async {
            match tokio::time::timeout(seconds(10), self.installation.admin.send(Method::GET, "/teams", None))
                .await
            {
                Ok(Ok((200, _))) => Some(Seen::Served),
                Ok(Ok((503, _))) => Some(Seen::Refused),
                Ok(Ok((other, body))) => panic!("management: {other} {body}"),
                Ok(Err(_)) => Some(Seen::Away),
                Err(_) => None,
            }
        };
        // What it had may do for a moment.
        until("management does as the table says", seconds(25), || async { ask().await == Some(seen) }).await;
        while Instant::now() < end {
            assert_eq!(ask().await, Some(seen), "management");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Calls are served at every node, management answers, and a change arrives everywhere.
    async fn everything_is_back(&mut self, clock: &Clock, within: Duration) {
        for app in self.open.iter().chain(&self.capped) {
            clock.within(within, "a call is served again", || async { app.status().await == 200 }).await;
            self.served += 1;
        }
        self.changes += 1;
        let name = format!("after fault {}", self.changes);
        let admin = &self.installation.admin;
        let made = || async {
            let body = json!({"name": name});
            let answer = admin.send(Method::POST, "/teams?wait=fleet", Some(&body)).await;
            // It is there when an answer was lost.
            matches!(answer, Ok((201 | 409, _)))
        };
        clock.within(within, "a change is taken", made).await;
        let arrived = || async {
            let Ok(fleet) = admin.get("/fleet").await else { return false };
            let nodes = fleet["data"].as_array().unwrap();
            nodes.iter().all(|node| node["live"] == true && node["lag"] == 0)
        };
        clock.within(within, "every node has the change", arrived).await;
    }

    async fn every_call_is_on_the_books(&self) {
        let admin = &self.installation.admin;
        let arrived = || async { usage(admin).await.1 >= self.served };
        until("every call is on the books", seconds(30), arrived).await;
        let (charged, requests) = usage(admin).await;
        assert_eq!(requests, self.served, "calls that were answered and calls on the books");
        assert_eq!(charged, bill(&self.installation).await, "our ledger and the provider's bill");
        let agree = || async {
            let budget = admin.get(&format!("/budgets/{}", self.budget)).await.unwrap();
            let spent = nano(&budget["spend"]["spent"]);
            let mut counters = Vec::new();
            for app in &self.capped {
                counters.push(OwnBudget::of(app).await);
            }
            counters.iter().all(|own| own.is_some_and(|own| own.held == 0 && own.spent == spent))
        };
        until("the counters agree with the ledger and nothing is held", seconds(30), agree).await;
    }

    /// Uses the budget up: nothing above the limit, nothing wasted.
    pub(super) async fn the_rest_is_usable(&self) {
        let app = &self.capped[0];
        let now = OwnBudget::of(app).await.unwrap();
        let limit = now.spent + now.unresolved + 2_000_000;
        let limit = json!({"limit": format!("{}.{:09}", limit / 1_000_000_000, limit % 1_000_000_000)});
        let path = format!("/budgets/{}?wait=fleet", self.budget);
        self.installation.admin.patch(&path, &limit).await.unwrap();
        let ask = Ask::chat("Hello").at_most(100);
        let quiet = || async { OwnBudget::of(app).await.is_some_and(|budget| budget.held == 0) };
        let (mut served, mut refused) = (0, false);
        loop {
            match self.capped[served % self.capped.len()].call(&ask).await.unwrap().status {
                200 => (served, refused) = (served + 1, false),
                // The call before may not be settled yet: only a refusal with nothing held counts.
                402 if refused => break,
                402 => {
                    refused = true;
                    until("nothing is held", seconds(10), quiet).await;
                }
                // Redis was slower than a decision may take, which is not the end of the budget.
                503 => {}
                other => panic!("status {other}"),
            }
            assert!(served < 1_000, "a budget without an end");
        }
        assert!(served > 0, "the rest of the budget is usable");
        until("nothing is held", seconds(10), quiet).await;
        let budget = OwnBudget::of(app).await.unwrap();
        let hold = 100 * 2_000 + i128::try_from(ask.body().to_string().len()).unwrap() * 500;
        assert!(
            budget.limit - budget.spent - budget.unresolved < hold,
            "{budget:?}: a call would have fitted"
        );
        assert!(budget.spent + budget.unresolved <= budget.limit, "{budget:?}");
    }
}

/// One call that is served. On a machine that is busy Redis may be slower than a decision may take.
pub(super) async fn served(app: &App) -> u64 {
    until("a call is served", seconds(10), || async {
        let reply = app.call(&Ask::chat("Hello")).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(matches!(reply.status, 200 | 503), "{} {}", reply.status, reply.text);
        reply.status == 200
    })
    .await;
    1
}

/// Calls for a while, each of which must end as is said, and on where that is too few to judge by. `counted`: under a
/// hard budget; `least`: refusals, where they are what is said. How many were served, and which were refused.
async fn call(
    app: &App,
    seen: Seen,
    counted: bool,
    end: Instant,
    fault: Fault,
    least: usize,
) -> (u64, Vec<String>) {
    let (mut served, mut slow, mut refused) = (0, 0, Vec::new());
    let asks = Ask::all("Hello");
    // One that this machine had no time for says nothing; what is slow by itself is so for most.
    let is_served = |served: u64, slow: u64| slow * 4 <= served + 20;
    for ask in asks.iter().cycle() {
        let is_enough = is_served(served, slow) && (seen != Seen::Refused || refused.len() >= least);
        if Instant::now() >= if is_enough { end } else { end + seconds(60) } {
            break;
        }
        match seen {
            Seen::Served => {
                let reply = app.call(ask).await.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
                // On a machine that is busy Redis may once be slower than a decision may take.
                if counted && reply.status == 503 && reply.text.contains("budget_authority_away") {
                    slow += 1;
                } else {
                    assert!(reply.status == 200 && reply.whole, "{fault:?}: {} {}", reply.status, reply.text);
                    served += 1;
                }
            }
            Seen::Refused => {
                let reply = app.expect(ask, 503).await;
                assert!(reply.headers.contains_key("retry-after"), "{fault:?}: {:?}", reply.headers);
                refused.push(reply.id());
                let told: Value = reply.json();
                assert!(told["error"].is_object(), "{fault:?}: {told}");
            }
            Seen::Away => assert!(app.call(ask).await.is_err(), "{fault:?}: somebody answered"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_served(served, slow), "{fault:?}: {slow} refused, {served} served");
    (served, refused)
}
