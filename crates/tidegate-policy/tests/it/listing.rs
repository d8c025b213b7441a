//! What `/v1/models` shows.

use tidegate_policy::{models_for, public_models};
use tidegate_types::resource::*;

use crate::fixtures::*;

fn names(feed: &Feed) -> Vec<String> {
    models_for(&feed.view(), now()).iter().map(|listed| listed.name.to_string()).collect()
}

#[test]
fn a_key_sees_what_it_may_call() {
    let mut feed = Feed::standard();
    feed.send(vec![
        Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![])),
        Resource::Route(route(2, "nobody", vec![target("acme/none", 1)], vec![])),
        Resource::Model(model(SYSTEM, 9, "acme/unoffered")),
    ]);
    assert_eq!(names(&feed), ["anthropic/claude-sonnet-4.5", "fast", "openai/gpt-5"]);
    let mut key = virtual_key(ORG, KEY);
    key.allow.models = vec!["anthropic/*".into()];
    feed.send_one(Resource::Key(key.clone()));
    assert_eq!(names(&feed), ["anthropic/claude-sonnet-4.5"]);
    key.allow = AllowList { routes: vec!["fast".into()], ..AllowList::default() };
    feed.send_one(Resource::Key(key));
    assert_eq!(names(&feed), ["fast"]);
    assert!(models_for(&feed.view(), now())[0].is_route);
}

#[test]
fn every_listed_name_can_be_called() {
    let mut feed = Feed::standard();
    let permit = Policy { routes_may_shadow: Some(true), ..policy(1, PolicyScope::Organization) };
    feed.send(vec![
        Resource::Policy(permit),
        Resource::Route(route(1, "openai/gpt-5", vec![target("anthropic/claude-sonnet-4.5", 1)], vec![])),
    ]);
    assert_eq!(names(&feed), ["anthropic/claude-sonnet-4.5", "openai/gpt-5"]);
    assert!(names(&feed).iter().all(|name| feed.ask(name).is_ok()));
}

#[test]
fn everybody_sees_the_offered_part_of_the_shared_catalogue() {
    let mut feed = Feed::standard();
    feed.send(vec![
        Resource::Model(model(SYSTEM, 9, "acme/unoffered")),
        Resource::Model(model(ORG, 8, "acme/own")),
    ]);
    let listed = public_models(&feed.config.catalogue(), now());
    let names: Vec<_> = listed.iter().map(|listed| &*listed.name).collect();
    assert_eq!(names, ["anthropic/claude-sonnet-4.5", "openai/gpt-5"]);
}
