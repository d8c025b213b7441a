//! One budget under the load of three nodes: never over, nothing wasted, equal to the provider's bill.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tidegate_testkit::installation::Installation;

use crate::support::{
    App, Ask, OwnBudget, Reply, apps, bill, charge, full, install, nano, nodes, seconds, until,
};

/// $1.00 in nano-dollars.
const LIMIT: i128 = 1_000_000_000;
/// Nano-dollars of an output and of an input token.
const OUTPUT: i128 = 2_000;
const INPUT: i128 = 500;
const AT_ONCE: usize = 64;

/// Calls of which about half fit: together their holds are twice the limit.
struct Load {
    calls: usize,
    max_tokens: u64,
}

impl Load {
    fn new() -> Self {
        let calls = if full() { 10_000 } else { 2_000 };
        Self { calls, max_tokens: 1_000_000 / calls as u64 }
    }

    fn ask(&self, number: usize) -> Ask {
        let text = if number.is_multiple_of(3) { "short answer, please" } else { "long answer, please" };
        let ask = Ask::all(text)[number % 4].clone();
        ask.at_most(self.max_tokens)
    }

    /// What a call's hold is at most: no text has more tokens than bytes.
    fn most(&self, ask: &Ask) -> i128 {
        let bytes = i128::try_from(ask.body().to_string().len()).unwrap();
        i128::from(self.max_tokens) * OUTPUT + bytes * INPUT
    }

    /// Short and long answers, in few chunks.
    fn script(&self) -> Value {
        let tokens = |share: u64| self.max_tokens * share / 100;
        json!([
            {"when": {"contains": "short"}, "then": {"output_tokens": tokens(60), "tokens_per_chunk": 50}},
            {"then": {"output_tokens": tokens(98), "tokens_per_chunk": 50}},
        ])
    }
}

/// What a 402 says: the call's own hold, and the budget.
fn told(reply: &Reply) -> (i128, OwnBudget) {
    let message = reply.message();
    let amount = |name: &str| {
        let rest =
            message.split(&format!("{name} ")).nth(1).unwrap_or_else(|| panic!("no {name}: {message}"));
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        nano(&json!(rest[..end].trim_end_matches('.')))
    };
    let [limit, spent, held, unresolved] = ["limit", "spent", "held", "unresolved"].map(amount);
    (amount("may cost"), OwnBudget { limit, spent, held, unresolved })
}

/// Calls over all nodes; how many were served.
async fn run(load: &Load, apps: &[App]) -> usize {
    let call = |number: usize| async move {
        let ask = load.ask(number);
        let reply = apps[number % apps.len()].call(&ask).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(reply.whole, "{}", reply.text);
        if reply.status == 402 {
            let (hold, told) = told(&reply);
            assert_eq!(told.limit, LIMIT);
            assert!(hold <= load.most(&ask), "a hold of {hold} for {ask:?}");
            let left = told.limit - told.spent - told.held - told.unresolved;
            assert!((0..hold).contains(&left), "a hold of {hold} was refused with {left} left of {told:?}");
            return false;
        }
        assert_eq!(reply.status, 200, "{}", reply.text);
        true
    };
    let answers = futures_util::stream::iter((0..load.calls).map(call)).buffer_unordered(AT_ONCE);
    answers.filter(|served| std::future::ready(*served)).count().await
}

async fn quiet(app: &App) -> OwnBudget {
    let settled = || async { OwnBudget::of(app).await.is_some_and(|budget| budget.held == 0) };
    until("nothing is held", seconds(10), settled).await;
    OwnBudget::of(app).await.unwrap()
}

async fn assert_books_agree(installation: &Installation, app: &App) -> OwnBudget {
    let budget = quiet(app).await;
    let billed = bill(installation).await;
    assert_eq!(budget.spent, billed, "the counters and the provider's bill");
    assert_eq!(budget.unresolved, 0);
    assert!(budget.spent <= LIMIT, "{budget:?}");
    until("the ledger has every call", seconds(15), || async { charge(&installation.admin).await == billed })
        .await;
    budget
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dollar_shared_by_three_nodes_is_never_passed_and_is_used_to_the_last_call_that_fits() {
    let installation = install(nodes(3)).await;
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("dollar", "1.00", json!({"key": id})).await.unwrap();
    let load = Load::new();
    installation.script(load.script()).await.unwrap();
    let apps = apps(&installation, &key);

    let served = run(&load, &apps).await;
    let share = served * 100 / load.calls;
    assert!(
        (30..=80).contains(&share),
        "{served} of {} were served: the load is not what it should be",
        load.calls
    );
    let budget = assert_books_agree(&installation, &apps[0]).await;

    // What still fits is served, by any node; what does not is refused by all.
    let left = budget.limit - budget.spent;
    let rest = Ask::chat("short answer, please");
    let room =
        u64::try_from((left - i128::try_from(rest.body().to_string().len()).unwrap() * INPUT) / OUTPUT)
            .unwrap_or(0);
    if room > 0 {
        apps[2].expect(&rest.clone().at_most(room), 200).await;
    }
    for app in &apps {
        app.expect(&rest.clone().at_most(load.max_tokens * 2), 402).await;
    }
    assert_books_agree(&installation, &apps[1]).await;
}
