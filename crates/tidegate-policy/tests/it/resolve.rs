//! What a model name means.

use tidegate_policy::{CallFacts, PlanRefusal, Why};
use tidegate_types::resource::*;
use tidegate_types::usage::RefusalCause;

use crate::fixtures::*;

fn model_of(feed: &Feed, asked: &str) -> String {
    feed.ask(asked).unwrap().candidates[0].model.name.to_string()
}

fn refusal(feed: &Feed, asked: &str) -> PlanRefusal {
    feed.ask(asked).unwrap_err()
}

#[test]
fn a_model_goes_by_all_its_names() {
    let feed = Feed::standard();
    for name in ["openai/gpt-5", "gpt-5", "GPT-5", "gpt-latest", "gpt-5-2025-08-07", "openai/GPT-5"] {
        assert_eq!(model_of(&feed, name), "openai/gpt-5", "{name}");
    }
    for name in [
        "anthropic/claude-sonnet-4.5",
        "anthropic/claude-sonnet-4-5",
        "claude-sonnet-4-5",
        "claude-sonnet-4.5",
        "claude-sonnet-4-5-20250929",
    ] {
        assert_eq!(model_of(&feed, name), "anthropic/claude-sonnet-4.5", "{name}");
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_ones() {
    let feed = Feed::standard();
    let refusal = refusal(&feed, "openai/gtp-5");
    assert_eq!(refusal.cause(), RefusalCause::UnknownModel);
    assert_eq!(
        refusal.to_string(),
        "the model 'openai/gtp-5' does not exist or is not available to this key; did you mean openai/gpt-5?"
    );
}

#[test]
fn nearest_names_are_only_those_that_the_key_may_see() {
    let mut feed = Feed::standard();
    let mut key = virtual_key(ORG, KEY);
    key.allow.models = vec!["anthropic/*".into()];
    feed.send_one(Resource::Key(key));
    let Why::UnknownModel { nearest, .. } = refusal(&feed, "gpt-6").why else { panic!() };
    assert_eq!(nearest, Vec::<String>::new());
    let Why::UnknownModel { nearest, .. } = refusal(&feed, "claude-sonet-4.5").why else { panic!() };
    assert_eq!(nearest, ["anthropic/claude-sonnet-4.5"]);
}

#[test]
fn a_very_long_name_is_refused_without_looking() {
    let refusal = refusal(&Feed::standard(), &"x".repeat(100_000));
    assert_eq!(refusal.cause(), RefusalCause::UnknownModel);
    assert!(refusal.to_string().len() < 200);
}

#[test]
fn a_bare_name_of_two_creators_is_ambiguous_until_one_is_allowed() {
    let mut feed = Feed::standard();
    feed.send(vec![
        Resource::Model(model(SYSTEM, 50, "acme/gpt-5")),
        Resource::Offering(offering(SYSTEM, 50, "acme/gpt-5", "openai", 1_000)),
    ]);
    let Why::Ambiguous { names, .. } = refusal(&feed, "gpt-5").why else { panic!() };
    assert_eq!(names, ["acme/gpt-5", "openai/gpt-5"]);
    let mut key = virtual_key(ORG, KEY);
    key.allow.models = vec!["openai/*".into()];
    feed.send_one(Resource::Key(key));
    assert_eq!(model_of(&feed, "gpt-5"), "openai/gpt-5");
}

#[test]
fn a_route_comes_before_models() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Route(route(1, "gpt-5", vec![target("anthropic/claude-sonnet-4.5", 1)], vec![])));
    assert_eq!(model_of(&feed, "gpt-5"), "anthropic/claude-sonnet-4.5", "a bare name is free for routes");
    assert_eq!(model_of(&feed, "openai/gpt-5"), "openai/gpt-5");
}

#[test]
fn a_route_shadows_a_catalogue_name_only_by_policy() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Route(route(
        1,
        "openai/gpt-5",
        vec![target("anthropic/claude-sonnet-4.5", 1)],
        vec![],
    )));
    assert_eq!(model_of(&feed, "openai/gpt-5"), "openai/gpt-5");
    let permit = Policy { routes_may_shadow: Some(true), ..policy(1, PolicyScope::Organization) };
    feed.send_one(Resource::Policy(permit));
    assert_eq!(model_of(&feed, "openai/gpt-5"), "anthropic/claude-sonnet-4.5");
    let forbid = Policy { routes_may_shadow: Some(false), ..policy(2, PolicyScope::Team { team_id: TEAM }) };
    feed.send_one(Resource::Policy(forbid));
    assert_eq!(model_of(&feed, "openai/gpt-5"), "openai/gpt-5", "the strictest wins");
}

#[test]
fn a_key_for_routes_asks_for_nothing_else() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![])));
    feed.send_one(Resource::Route(route(2, "slow", vec![target("openai/gpt-5", 1)], vec![])));
    let mut key = virtual_key(ORG, KEY);
    key.allow.routes = vec!["fast".into()];
    feed.send_one(Resource::Key(key.clone()));
    assert_eq!(model_of(&feed, "fast"), "openai/gpt-5");
    assert_eq!(refusal(&feed, "slow").cause(), RefusalCause::NotAllowed);
    assert_eq!(refusal(&feed, "openai/gpt-5").cause(), RefusalCause::NotAllowed);
    key.allow.models = vec!["openai/gpt-5".into()];
    feed.send_one(Resource::Key(key));
    assert_eq!(model_of(&feed, "openai/gpt-5"), "openai/gpt-5", "unless it names models too");
}

#[test]
fn between_equals_the_surface_dialect_goes_first() {
    let mut feed = Feed::standard();
    let anthropic = Provider { dialect: DialectName::AnthropicMessages, ..provider(SYSTEM, 3, "anthropic") };
    feed.send_one(Resource::Provider(anthropic));
    for (dialect, first) in
        [(DialectName::OpenaiChat, "bedrock"), (DialectName::AnthropicMessages, "anthropic")]
    {
        let facts =
            CallFacts { dialect: Some(dialect), ..CallFacts::of_model("anthropic/claude-sonnet-4.5") };
        let plan = feed.plan(&facts).unwrap();
        assert_eq!(plan.candidates[0].provider.slug.as_str(), first);
        assert_eq!(plan.candidates.len(), 2, "the other one follows");
    }
}
