//! Routes: draws, other targets, fallbacks.

use std::collections::BTreeMap;

use tidegate_policy::{CallFacts, Filter, Role, plan};
use tidegate_types::resource::*;
use tidegate_types::usage::RefusalCause;

use crate::fixtures::*;

fn with_route(targets: Vec<RouteTarget>, fallbacks: Vec<RouteTarget>) -> Feed {
    let mut feed = Feed::standard();
    let applied = feed.send_one(Resource::Route(route(1, "mix", targets, fallbacks)));
    assert!(applied.rejected.is_empty());
    feed
}

#[test]
fn targets_are_drawn_by_weight() {
    let feed = with_route(vec![target("openai/gpt-5", 3), target("anthropic/claude-sonnet-4.5", 1)], vec![]);
    let view = feed.view();
    let mut drawn: BTreeMap<String, u32> = BTreeMap::new();
    for step in 0..400u64 {
        let draw = step * (u64::MAX / 400) + 1_000;
        let plan = plan(&view, &CallFacts::of_model("mix"), now(), draw).unwrap();
        *drawn.entry(plan.candidates[0].model.name.to_string()).or_default() += 1;
        assert_eq!(plan.candidates.len(), 4, "the others follow");
        assert!(matches!(plan.candidates[0].role, Role::Drawn { of: 4, .. }));
    }
    assert_eq!(drawn["openai/gpt-5"], 300);
    assert_eq!(drawn["anthropic/claude-sonnet-4.5"], 100);
}

#[test]
fn the_draw_is_among_those_who_can_answer() {
    let feed = with_route(vec![target("acme/none", 1_000_000), target("openai/gpt-5", 1)], vec![]);
    let plan = feed.ask("mix").unwrap();
    assert_eq!(plan.candidates[0].role, Role::Drawn { weight: 1, of: 1 });
    assert_eq!(plan.removed[0].filter, Filter::UnknownModel);
}

#[test]
fn a_target_of_weight_zero_is_off() {
    let feed = with_route(vec![target("openai/gpt-5", 0), target("anthropic/claude-sonnet-4.5", 1)], vec![]);
    assert!(feed.ask("mix").unwrap().candidates.iter().all(|c| c.model.name.creator() == "anthropic"));
}

#[test]
fn fallbacks_come_last_and_nobody_comes_twice() {
    let fallbacks = vec![target("openai/gpt-5", 1), target("anthropic/claude-sonnet-4.5", 1)];
    let feed = with_route(vec![target("openai/gpt-5", 1)], fallbacks);
    let plan = feed.ask("mix").unwrap();
    assert_eq!(
        summary(&plan),
        [
            "openai openai/gpt-5 cred1",
            "azure openai/gpt-5 cred2",
            "anthropic anthropic/claude-sonnet-4.5 cred3",
            "bedrock anthropic/claude-sonnet-4.5 cred4"
        ]
    );
    assert_eq!(plan.candidates[2].role, Role::Fallback(1));
    assert_eq!(plan.candidates[2].reason(), "fallback 2; system credential cred_00000000000000000000000003");
    assert_eq!(plan.route.as_ref().map(|route| &*route.name), Some("mix"));
}

#[test]
fn a_target_may_name_providers() {
    let only = RouteTarget { providers: vec!["azure".parse().unwrap()], ..target("openai/gpt-5", 1) };
    let feed = with_route(vec![only], vec![]);
    let plan = feed.ask("mix").unwrap();
    assert_eq!(summary(&plan), ["azure openai/gpt-5 cred2"]);
    assert_eq!(plan.removed[0].filter, Filter::RouteProviders);
}

#[test]
fn a_route_keeps_its_timeouts() {
    let mut feed = Feed::standard();
    let mut source = route(1, "mix", vec![target("openai/gpt-5", 1)], vec![]);
    (source.attempt_timeout_ms, source.total_timeout_ms) = (Some(500), Some(900));
    feed.send_one(Resource::Route(source));
    let policy = feed.ask("mix").unwrap().policy;
    assert_eq!((policy.attempt_timeout_ms, policy.total_timeout_ms), (Some(500), Some(900)));
    assert_eq!(feed.ask("openai/gpt-5").unwrap().policy.total_timeout_ms, None);
}

#[test]
fn a_route_to_nobody_says_so() {
    let feed = with_route(vec![target("acme/none", 1)], vec![]);
    let refusal = feed.ask("mix").unwrap_err();
    assert_eq!(refusal.cause(), RefusalCause::NoProvider);
    assert_eq!(refusal.to_string(), "no provider is available for 'mix': there is no such model");
}
