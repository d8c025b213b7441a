//! Streams held step by step, over real nodes and Redis: near a cap none is refused because it might be long,
//! the cap holds, and what the provider bills is on the books, also when nodes die in the middle.

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tidegate_testkit::installation::Installation;

use crate::support::{App, Ask, OwnBudget, Reply, apps, bill, install, metric, reclaiming, seconds, until};

/// $0.20; an answer of 300 tokens costs 0.0006, 4,096 granted tokens hold 0.0082.
const LIMIT: i128 = 200_000_000;

/// An installation whose providers bill nothing that is not seen, and stop when they are told to.
async fn told_so() -> (Installation, Vec<App>) {
    let installation = install(reclaiming(2)).await;
    let admin = &installation.admin;
    for provider in admin.get("/providers").await.unwrap()["data"].as_array().unwrap() {
        let path = format!("/providers/{}", provider["id"].as_str().unwrap());
        admin.patch(&path, &json!({"abort_billing": "stops"})).await.unwrap();
    }
    for offering in admin.get("/offerings").await.unwrap()["data"].as_array().unwrap() {
        let path = format!("/offerings/{}?wait=fleet", offering["id"].as_str().unwrap());
        admin.patch(&path, &json!({"output_visible": true})).await.unwrap();
    }
    let seen = json!([{"then": {"output_tokens": 300, "tokens_per_chunk": 10, "chunk_delay_ms": 10,
        "hidden_reasoning": false, "bill_after_abort": false}}]);
    installation.script(seen).await.unwrap();
    let (id, key) = installation.key("app", &json!({})).await.unwrap();
    installation.budget("cap", "0.20", json!({"key": id})).await.unwrap();
    let apps = apps(&installation, &key);
    (installation, apps)
}

fn ask(number: usize) -> Ask {
    let all = Ask::all("tell me a story");
    all[1 + 2 * (number % 2)].clone().at_most(4_096)
}

/// So many calls at once over all nodes.
async fn call(apps: &[App], calls: usize) -> Vec<Reply> {
    let call = |number: usize| async move { apps[number % apps.len()].call(&ask(number)).await };
    let replies: Vec<_> =
        futures_util::stream::iter((0..calls).map(call)).buffer_unordered(calls).collect().await;
    replies.into_iter().flatten().collect()
}

/// How long answers are is known after 16 of each provider on each node.
async fn known(apps: &[App]) {
    for _ in 0..16 {
        join_all((0..4).map(|number| async move { apps[number / 2].expect(&ask(number), 200).await })).await;
    }
}

async fn quiet(app: &App) -> OwnBudget {
    let settled = || async { OwnBudget::of(app).await.is_some_and(|budget| budget.held == 0) };
    until("nothing is held", seconds(20), settled).await;
    OwnBudget::of(app).await.unwrap()
}

/// What attempts cost in all beyond what was held for each of them.
async fn beyond_holds(installation: &Installation) -> i128 {
    let ends = "SELECT count(*), coalesce(sum(cost - held), 0) FROM (SELECT cost, (holds->0->>'amount')::bigint AS held
                FROM billing_events WHERE kind = 'final' AND outcome <> 'unresolved') ends WHERE cost > held";
    let found = || installation.query(ends).unwrap().remove(0);
    let told = || async {
        let mut told = 0.0;
        for node in 0..2 {
            told += metric(installation, node, "tidegate_bound_violations_total").await.unwrap();
        }
        found()[0].parse::<f64>().unwrap() == told
    };
    until("nodes and books know the same attempts that cost more than they held", seconds(20), told).await;
    found()[1].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_share_what_is_left_of_a_cap_step_by_step_and_never_pass_it() {
    let (installation, apps) = told_so().await;
    known(&apps).await;
    // Held whole, only 24 would get in at once.
    let replies = call(&apps, 40).await;
    let cut = |reply: &&Reply| {
        reply.text.contains("quota_for_entity_exceeded") || reply.text.contains("billing_error")
    };
    let answered = replies.iter().filter(|reply| reply.status == 200 && !cut(reply)).count();
    println!("of {} at once {answered} were answered to their end", replies.len());
    assert!(answered > 24, "{answered}");
    // The rest is used up: who gets in is answered, cut or told that nothing is left; the cap holds.
    let replies = call(&apps, 300).await;
    assert!(replies.iter().any(|reply| reply.status == 402), "the rest does not pay for 300 calls");
    let budget = quiet(&apps[1]).await;
    let billed = bill(&installation).await;
    assert!(billed <= budget.spent + budget.unresolved, "{billed}: {budget:?}");
    assert!(budget.spent + budget.unresolved <= LIMIT, "{budget:?}");
    // What still fits is served; at the refusal less is left than one call holds whole.
    let mut served = 0;
    while apps[served % 2].call(&ask(served)).await.is_ok_and(|reply| reply.status == 200) {
        served += 1;
    }
    let budget = quiet(&apps[1]).await;
    let used = budget.spent + budget.unresolved;
    assert!(LIMIT - 8_200_000 < used && used <= LIMIT, "{served} more: {budget:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_held_by_steps_is_unresolved_and_within_the_cap() {
    let (mut installation, apps) = told_so().await;
    known(&apps).await;
    // Longer than answers were so far: steps are taken.
    let long = json!([{"then": {"output_tokens": 3_000, "tokens_per_chunk": 10, "chunk_delay_ms": 10,
        "hidden_reasoning": false, "bill_after_abort": false}}]);
    installation.script(long).await.unwrap();
    let running = tokio::spawn({
        let apps = apps.clone();
        async move { call(&apps, 40).await.len() }
    });
    let steps = "SELECT count(*) FROM open_attempts WHERE step > 0";
    let stepped = || async { installation.query(steps).unwrap()[0][0] != "0" };
    until("steps are on the books", seconds(20), stepped).await;
    installation.nodes[0].kill();
    installation.restart_node(0).await.unwrap();
    running.await.unwrap();
    let budget = quiet(&apps[1]).await;
    let billed = bill(&installation).await;
    assert!(billed <= budget.spent + budget.unresolved, "{billed}: {budget:?}");
    // Only what providers wrote while a node stood still may be beyond it, and the nodes tell each such attempt.
    let beyond = beyond_holds(&installation).await;
    let used = budget.spent + budget.unresolved;
    assert!(used - beyond <= LIMIT && budget.unresolved > 0, "{beyond} beyond holds: {budget:?}");
}
