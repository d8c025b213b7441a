//! Budgets: what is held, what is refused, and that a cap is never passed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_types::NanoUsd;
use tidegate_types::resource::{
    Budget, BudgetEpoch, Enforcement, HoldMode, Policy, Privacy, Resource, ZdrTier,
};
use tidegate_types::usage::{CallOutcome, Outcome, RefusalCause};

use crate::plain::{OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider, Step, json, whole};
use crate::world::{MODEL, ORG, World, budget, openai, policy};

fn with(world: &World, budgets: Vec<Budget>) {
    world.put(budgets.into_iter().map(Resource::Budget).collect());
}

fn limited(tokens: u64) -> String {
    ask().replace(r#""messages""#, &format!(r#""max_completion_tokens":{tokens},"messages""#))
}

#[tokio::test]
async fn a_budget_that_cannot_afford_the_call_is_told_in_full() {
    let peer = Provider::start(vec![json(&OPENAI_ANSWER.replace("1e400", "1"))]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    with(&world, vec![budget(1, "0.000001")]);
    let reply = world.chat(&limited(1_000)).await;
    assert_eq!(
        (reply.status, reply.json()["error"]["type"].as_str()),
        (402, Some("quota_for_entity_exceeded"))
    );
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    for word in ["budget 1", "which may cost 0.", "limit 0.000001", "spent 0", "held 0", "resets never"] {
        assert!(message.contains(word), "{message}");
    }
    let reply = world.messages(&ask_anthropic().replace("100", "1000")).await;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (402, Some("billing_error")));
    let refused = CallOutcome::Refused { cause: RefusalCause::Budget, budget_id: Some(budget(1, "0").id) };
    assert_eq!(world.recorded(2).await.outcome, refused);
    assert_eq!(peer.count(), 0);
    assert!(world.journal.events.lock().is_empty());
}

#[tokio::test]
async fn without_a_hard_budget_the_request_is_untouched() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    with(&world, vec![Budget { enforcement: Enforcement::Soft, ..budget(1, "0.000000001") }]);
    let odd = ask().replace(r#""messages""#, r#""unheard_of":{"a":1e400},"messages""#);
    assert_eq!(world.chat(&odd).await.status, 200);
    assert_eq!(peer.last().body, odd.replace(MODEL, "chat-at-a"));
    world.recorded(1).await;
    // It is counted all the same.
    let balance = world.balance(budget(1, "0").id).await;
    assert_eq!((balance.spent, balance.held), (NanoUsd::new(18), NanoUsd::ZERO));
}

#[tokio::test]
async fn under_a_hard_budget_the_granted_output_is_sent_as_the_limit() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("sim-openai", &peer)]).await;
    with(&world, vec![budget(1, "1")]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!(peer.last().json()["max_completion_tokens"], 4096);
    // The policy's default is a smaller one.
    world.put(vec![Resource::Policy(Policy { default_max_output_tokens: Some(100), ..policy() })]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!(peer.last().json()["max_completion_tokens"], 100);
    // The caller's own limit stays as it is written.
    assert_eq!(world.chat(&limited(77)).await.status, 200);
    assert_eq!(peer.last().body, limited(77).replace(MODEL, "chat-at-sim-openai"));
    // A call that named no limit gets what is left.
    let left = NanoUsd::new(54 + 1_000);
    with(&world, vec![Budget { limit: left, ..budget(1, "1") }]);
    world.put(vec![Resource::Policy(policy())]);
    world.recorded(3).await;
    let reply = world.chat(&ask()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let granted = peer.last().json()["max_completion_tokens"].as_u64().unwrap();
    assert!((64..500).contains(&granted), "{granted}");
    world.assert_settled(Some(budget(1, "1").id)).await;
}

#[tokio::test]
async fn fields_that_may_bill_or_retain_are_refused_by_name() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let odd = ask().replace(r#""messages""#, r#""unheard_of":1,"messages""#);
    with(&world, vec![budget(1, "1")]);
    let reply = world.chat(&odd).await;
    assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some("unheard_of")));
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Policy(Policy { privacy: Privacy::of_tier(ZdrTier::Zdr), ..policy() })]);
    assert_eq!(world.chat(&odd).await.status, 400);
    assert_eq!(peer.count(), 0);
    // What the gateway can take back is taken back.
    assert_eq!(world.chat(&ask().replace(r#""messages""#, r#""store":true,"messages""#)).await.status, 200);
    assert_eq!((peer.count(), &peer.last().json()["store"]), (1, &serde_json::json!(false)));
}

#[tokio::test]
async fn an_error_answer_gives_its_hold_back_and_a_broken_one_does_not() {
    let error = whole(400, "", r#"{"error":{"message":"no","type":"x"}}"#);
    let peer = Provider::start(vec![error, vec![Step::Close]]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    with(&world, vec![budget(1, "1")]);
    assert_eq!(world.chat(&limited(10)).await.status, 400);
    world.recorded(1).await;
    let balance = world.balance(budget(1, "1").id).await;
    assert_eq!(
        (balance.spent, balance.held, balance.unresolved),
        (NanoUsd::ZERO, NanoUsd::ZERO, NanoUsd::ZERO)
    );
    assert_eq!(world.chat(&limited(10)).await.status, 502);
    world.recorded(2).await;
    let balance = world.balance(budget(1, "1").id).await;
    let last = world.finals().pop().unwrap();
    assert_eq!(last.outcome, Outcome::Unresolved);
    assert_eq!(
        (balance.spent, balance.held, balance.unresolved),
        (NanoUsd::ZERO, NanoUsd::ZERO, last.holds[0].amount)
    );
}

#[tokio::test]
async fn each_attempt_holds_its_own_money() {
    let (bad, good) =
        (Provider::start(vec![vec![Step::Close]]).await, Provider::start(vec![json(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
    with(&world, vec![budget(1, "1")]);
    assert_eq!(world.chat(&limited(10)).await.status, 200);
    world.recorded(1).await;
    let balance = world.balance(budget(1, "1").id).await;
    assert_eq!((balance.spent, balance.held), (NanoUsd::new(18), NanoUsd::ZERO));
    assert_eq!(balance.unresolved, world.finals()[0].holds[0].amount);
    // The budget affords one attempt and not two: the first failure is what the caller hears.
    let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
    let one = world_hold(10);
    with(&world, vec![Budget { limit: one, ..budget(1, "1") }]);
    assert_eq!(world.chat(&limited(10)).await.status, 502);
    world.assert_settled(Some(budget(1, "1").id)).await;
}

/// Upper bound of [`limited`] with so many tokens.
fn world_hold(tokens: u64) -> NanoUsd {
    let call = tidegate_dialect::read::call(
        tidegate_dialect::Dialect::OpenaiChat,
        tidegate_dialect::read::Outside::default(),
        bytes::Bytes::from(limited(tokens)),
    );
    let input = call.unwrap().input.bound(None).tokens;
    NanoUsd::new(i64::try_from(input + 2 * tokens).unwrap())
}

#[tokio::test]
async fn many_at_once_never_pass_the_limit_and_the_last_that_fits_is_served() {
    let mut slow = vec![Step::Pause(Duration::from_millis(5))];
    slow.extend(json(OPENAI_ANSWER));
    let peer = Provider::start(vec![slow]).await;
    let world = Arc::new(World::start(&[openai("a", &peer)]).await);
    let limit = NanoUsd::new(18 * 40);
    with(&world, vec![Budget { limit, ..budget(1, "1") }]);
    let hold = world_hold(10);
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let world = world.clone();
        set.spawn(async move { world.chat(&limited(10)).await.status });
    }
    let statuses = set.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 402)), "{statuses:?}");
    world.recorded(100).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let mut spent = world.balance(budget(1, "1").id).await.spent;
    assert!(spent <= limit, "{spent}");
    while limit - spent >= hold {
        assert_eq!(world.chat(&limited(10)).await.status, 200, "{spent} of {limit}");
        world.assert_settled(Some(budget(1, "1").id)).await;
        spent = world.balance(budget(1, "1").id).await.spent;
    }
    assert_eq!(world.chat(&limited(10)).await.status, 402);
    let charged: NanoUsd = world.finals().iter().map(|event| event.cost).sum();
    assert_eq!((charged, peer.count() as i64 * 18), (spent, spent.get()));
}

#[tokio::test]
async fn without_its_authority_a_hard_budget_serves_nobody_and_others_go_on() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.authority_away.store(true, Ordering::SeqCst);
    assert_eq!(world.chat(&ask()).await.status, 200);
    with(&world, vec![Budget { enforcement: Enforcement::Soft, ..budget(2, "1") }]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    with(&world, vec![budget(1, "1")]);
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"));
    world.authority_away.store(false, Ordering::SeqCst);
    assert_eq!(world.chat(&ask()).await.status, 200);
    // The soft one has counted what it could not hold.
    world.recorded(4).await;
    assert_eq!(world.balance(budget(2, "1").id).await.spent, NanoUsd::new(36));
}

#[tokio::test]
async fn nothing_is_served_that_cannot_be_recorded() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    with(&world, vec![budget(1, "1")]);
    world.journal.full.store(true, Ordering::SeqCst);
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (503, Some("journal_full")));
    assert_eq!(peer.count(), 0);
    world.recorded(1).await;
    let balance = world.balance(budget(1, "1").id).await;
    assert_eq!((balance.spent, balance.held), (NanoUsd::ZERO, NanoUsd::ZERO));
    world.journal.full.store(false, Ordering::SeqCst);
    assert_eq!(world.chat(&ask()).await.status, 200);
}

#[tokio::test]
async fn every_limit_that_a_caller_names_reaches_the_provider_as_what_is_held() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    // This one, like most compatible services, is taken to know the old key only.
    let world = World::start(&[openai("a", &peer)]).await;
    with(&world, vec![budget(1, "1")]);
    assert_eq!(world.chat(&limited(77)).await.status, 200);
    assert_eq!(peer.last().json()["max_tokens"], 77);
    // Of two, the lower one is held: neither may say more.
    let both = limited(10).replace(r#""messages""#, r#""max_tokens":5000,"messages""#);
    for slug in ["a", "sim-openai"] {
        let world = World::start(&[openai(slug, &peer)]).await;
        with(&world, vec![budget(1, "1")]);
        assert_eq!(world.chat(&both).await.status, 200);
        let sent = peer.last().json();
        assert_eq!((&sent["max_tokens"], &sent["max_completion_tokens"]), (&10.into(), &10.into()), "{slug}");
    }
}

#[tokio::test]
async fn an_attempt_whose_counters_are_given_up_before_it_is_sent_is_not_sent() {
    let peer = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = Arc::new(World::start(&[openai("a", &peer)]).await);
    with(&world, vec![budget(1, "1")]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    let node = world.clone();
    let next = BudgetEpoch { organization_id: ORG, pool: "default".into(), epoch: 2 };
    *world.journal.after_intent.lock() =
        Some(Box::new(move || node.put(vec![Resource::BudgetEpoch(next.clone())])));
    let reply = world.chat(&ask()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"));
    assert_eq!(peer.count(), 1);
    world.recorded(2).await;
    assert_eq!(world.finals().pop().unwrap().outcome, Outcome::NotSent);
    // Its end is told to the counters of the epoch that its node knows by now.
    world.limiter.open_epoch(ORG, 2, &[], &[]).await.unwrap();
    world.assert_settled(Some(budget(1, "1").id)).await;
}

#[tokio::test]
async fn an_expected_budget_holds_what_answers_usually_cost_and_is_over_by_no_more_than_what_is_in_flight() {
    let mut slow = vec![Step::Pause(Duration::from_millis(300))];
    slow.extend(json(OPENAI_ANSWER));
    let peer = Provider::start(vec![json(OPENAI_ANSWER), slow]).await;
    let world = Arc::new(World::start(&[openai("a", &peer)]).await);
    // A call holds 8,000 as long as nobody knows better, then 50 for its input and 6 for three tokens.
    let expected = Budget { mode: HoldMode::Expected, limit: NanoUsd::new(9_000), ..budget(1, "1") };
    with(&world, vec![expected]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    world.recorded(1).await;
    let first = world.finals()[0].holds[0].amount.get();
    assert!(first > 8_000, "{first}");
    let calls = (0..100).map(|_| async { world.chat(&ask()).await.status });
    let statuses = futures_util::future::join_all(calls).await;
    assert_eq!(statuses, vec![200; 100]);
    world.recorded(101).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let held: Vec<_> = world.finals().iter().skip(1).map(|event| event.holds[0].amount.get()).collect();
    assert!(held.iter().all(|held| (20..100).contains(held)), "{held:?}");
    assert_eq!(world.balance(budget(1, "1").id).await.spent, NanoUsd::new(18 * 101));
    assert!(world.metrics.render().contains("tidegate_bound_violations_total 0"));
    // An answer longer than usual is charged as it is: over the limit, and then nobody gets in.
    peer.script(vec![json(
        &OPENAI_ANSWER.replace(r#""completion_tokens":3"#, r#""completion_tokens":4000"#),
    )]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    world.recorded(102).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    let spent = world.balance(budget(1, "1").id).await.spent;
    assert_eq!(spent, NanoUsd::new(18 * 101 + 8_012));
    assert_eq!(world.chat(&ask()).await.status, 402);
}
