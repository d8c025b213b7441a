//! What a request asks of routing: the examples of the AI SDK's documentation, as golden plans.

use std::collections::HashMap;

use tidegate_policy::{CallFacts, Condition, Filter, Plan, Role, Sort, Vitals, Wishes};
use tidegate_types::resource::*;
use tidegate_types::usage::RefusalCause;
use tidegate_types::{ModelId, ProviderId};

use crate::fixtures::*;

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn wish<'a>(model: &'a str, wishes: Wishes<'a>) -> CallFacts<'a> {
    CallFacts { wishes, ..CallFacts::of_model(model) }
}

fn providers(plan: &Plan) -> Vec<&str> {
    plan.candidates.iter().map(|candidate| candidate.provider.slug.as_str()).collect()
}

#[test]
fn only_leaves_the_named_providers_and_says_who_took_out_the_others() {
    let feed = Feed::standard();
    let only = words(&["azure"]);
    let plan = feed.plan(&wish("openai/gpt-5", Wishes { only: &only, ..Wishes::NONE })).unwrap();
    assert_eq!(providers(&plan), ["azure"]);
    assert_eq!(plan.removed.len(), 1);
    assert_eq!((&plan.removed[0].filter, &*plan.removed[0].model), (&Filter::Only, "openai/gpt-5"));
    assert_eq!(plan.removed[0].provider.as_ref().map(|slug| slug.as_str()), Some("openai"));
    let nobody = words(&["vertex"]);
    let refusal = feed.plan(&wish("openai/gpt-5", Wishes { only: &nobody, ..Wishes::NONE })).unwrap_err();
    assert_eq!(refusal.cause(), RefusalCause::NoProvider);
    assert_eq!(refusal.param(), Some("providerOptions.gateway.only"));
}

#[test]
fn order_promotes_and_the_rest_follow() {
    let feed = Feed::standard();
    let order = words(&["bedrock", "nobody"]);
    let plan =
        feed.plan(&wish("anthropic/claude-sonnet-4.5", Wishes { order: &order, ..Wishes::NONE })).unwrap();
    assert_eq!(providers(&plan), ["bedrock", "anthropic"]);
    assert!(plan.candidates[0].reason().ends_with("; place 1 in `order`"), "{}", plan.candidates[0].reason());
    assert!(!plan.candidates[1].reason().contains("order"));
    // Both together: `only` first, then the order among those.
    let both = Wishes { only: &words(&["anthropic"]), order: &order, ..Wishes::NONE };
    assert_eq!(providers(&feed.plan(&wish("anthropic/claude-sonnet-4.5", both)).unwrap()), ["anthropic"]);
}

fn measured(pairs: &[(u128, Condition, Option<u32>, Option<u32>)]) -> HashMap<(ProviderId, ModelId), Vitals> {
    let feed = Feed::standard();
    let plan = feed.ask("openai/gpt-5").unwrap();
    let model = plan.candidates[0].model.id;
    let vitals = |(id, condition, ttft_ms, milli_tps): &(u128, Condition, Option<u32>, Option<u32>)| {
        let vitals = Vitals { condition: *condition, ttft_ms: *ttft_ms, milli_tps: *milli_tps, due: false };
        ((ProviderId::from_u128(*id), model), vitals)
    };
    pairs.iter().map(vitals).collect()
}

#[test]
fn sort_ranks_by_what_was_measured_and_puts_the_unknown_last() {
    let feed = Feed::standard();
    let ids: Vec<u128> =
        feed.ask("openai/gpt-5").unwrap().candidates.iter().map(|c| bits(c.provider.id)).collect();
    let (openai, azure) = (ids[0], ids[1]);
    let sorted = |sort, pairs: &[_]| {
        let measured = measured(pairs);
        let wishes = Wishes { sort: Some(sort), ..Wishes::NONE };
        let facts = CallFacts { measured: &measured, ..wish("openai/gpt-5", wishes) };
        let plan = feed.plan(&facts).unwrap();
        providers(&plan).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let (fine, degraded, down) = (Condition::Fine, Condition::Degraded, Condition::Down);
    assert_eq!(
        sorted(Sort::Ttft, &[(openai, fine, Some(300), None), (azure, fine, Some(200), None)])[0],
        "azure"
    );
    assert_eq!(sorted(Sort::Ttft, &[(azure, fine, Some(9_000), None)])[0], "azure");
    assert_eq!(sorted(Sort::Tps, &[(openai, fine, None, Some(5)), (azure, fine, None, Some(6))])[0], "azure");
    let slow = [(openai, fine, Some(300), None), (azure, degraded, Some(200), None)];
    assert_eq!(sorted(Sort::Ttft, &slow)[0], "openai", "a degraded one comes behind");
    let gone = [(openai, down, Some(1), None), (azure, degraded, Some(200), None)];
    assert_eq!(sorted(Sort::Ttft, &gone), ["azure", "openai"], "one that is down comes last");
    let all = [(openai, down, None, None), (azure, down, None, None)];
    assert_eq!(sorted(Sort::Ttft, &all).len(), 2, "when all are down, all are tried");
}

#[test]
fn cost_is_sorted_by_the_price_of_a_call_of_this_size() {
    let mut feed = Feed::standard();
    let ask = |feed: &Feed| {
        let plan =
            feed.plan(&wish("openai/gpt-5", Wishes { sort: Some(Sort::Cost), ..Wishes::NONE })).unwrap();
        assert!(plan.candidates[0].metric(Sort::Cost) <= plan.candidates[1].metric(Sort::Cost));
        plan.candidates[0].provider.slug.to_string()
    };
    let dear = feed.ask("openai/gpt-5").unwrap().candidates[0].offering.id;
    feed.send_one(Resource::Offering(Offering {
        id: dear,
        ..offering(SYSTEM, 0, "openai/gpt-5", "openai", 1_000_000)
    }));
    assert_eq!(ask(&feed), "azure");
}

#[test]
fn without_wishes_the_degraded_come_behind_and_the_own_credential_stays_first() {
    let feed = Feed::standard();
    let ids: Vec<u128> =
        feed.ask("openai/gpt-5").unwrap().candidates.iter().map(|c| bits(c.provider.id)).collect();
    let measured = measured(&[(ids[0], Condition::Degraded, None, None)]);
    let facts = CallFacts { measured: &measured, ..CallFacts::of_model("openai/gpt-5") };
    assert_eq!(providers(&feed.plan(&facts).unwrap()), ["azure", "openai"]);
    let mut own = Feed::standard();
    own.send_one(Resource::Credential(credential(ORG, 77, "openai", CredentialScope::Organization)));
    assert_eq!(providers(&own.plan(&facts).unwrap())[0], "openai");
    // What the caller orders comes first, unless it is down.
    let order = words(&["openai"]);
    let facts = CallFacts { wishes: Wishes { order: &order, ..Wishes::NONE }, ..facts };
    assert_eq!(providers(&feed.plan(&facts).unwrap()), ["openai", "azure"]);
}

#[test]
fn models_follow_each_with_all_of_its_providers_and_wrong_names_are_reported() {
    let feed = Feed::standard();
    let models = words(&["no-such-model", "anthropic/claude-sonnet-4.5", "openai/gpt-5"]);
    let order = words(&["azure"]);
    let wishes = Wishes { models: &models, order: &order, ..Wishes::NONE };
    let plan = feed.plan(&wish("openai/gpt-5", wishes)).unwrap();
    assert_eq!(
        summary(&plan),
        [
            "azure openai/gpt-5 cred2",
            "openai openai/gpt-5 cred1",
            "anthropic anthropic/claude-sonnet-4.5 cred3",
            "bedrock anthropic/claude-sonnet-4.5 cred4",
        ]
    );
    assert_eq!((plan.candidates[0].role, plan.candidates[2].role), (Role::Named, Role::Wished(1)));
    assert!(plan.candidates[2].reason().starts_with("fallback 2 of the request"));
    assert_eq!(&*plan.removed[0].model, "no-such-model");
    assert!(matches!(&plan.removed[0].filter, Filter::Name(_)), "{:?}", plan.removed[0]);
    assert_eq!(plan.policy.max_attempts, 9, "three for each model that exists");
}

#[test]
fn a_fallback_takes_over_what_the_main_model_cannot_do() {
    let mut feed = Feed::standard();
    let able = Capabilities { tools: true, vision: true, ..Capabilities::default() };
    let plan = feed.ask("anthropic/claude-sonnet-4.5").unwrap();
    let blind = Model { capabilities: able, ..(*plan.candidates[0].model).clone() };
    feed.send_one(Resource::Model(blind));
    let main = feed.ask("openai/gpt-5").unwrap().candidates[0].model.clone();
    feed.send_one(Resource::Model(Model { capabilities: Capabilities::default(), ..(*main).clone() }));
    let models = words(&["anthropic/claude-sonnet-4.5"]);
    let has = Capabilities { vision: true, ..Capabilities::default() };
    let wishes = Wishes { models: &models, has, ..Wishes::NONE };
    let plan = feed.plan(&wish("openai/gpt-5", wishes)).unwrap();
    assert!(plan.candidates.iter().all(|c| c.model.name.creator() == "anthropic"));
    assert!(plan.removed.iter().any(|removed| removed.filter == Filter::Lacks("images")));
}

#[test]
fn headquarters_are_named_or_excluded_and_an_unknown_home_is_neither() {
    let mut feed = Feed::standard();
    let plan = feed.ask("openai/gpt-5").unwrap();
    let home = |home: &str, at: usize| {
        let provider = (*plan.candidates[at].provider).clone();
        Resource::Provider(Provider { headquarters: Some(home.into()), ..provider })
    };
    let (us, unknown) = (home("US", 0), plan.candidates[1].provider.slug.to_string());
    let first = plan.candidates[0].provider.slug.to_string();
    feed.send_one(us);
    for (codes, wanted) in [
        (vec!["US"], vec![first.clone()]),
        (vec!["DE", "US"], vec![first.clone()]),
        (vec!["!CN"], vec![first.clone()]),
        (vec!["!US"], vec![]),
        (vec!["DE"], vec![]),
    ] {
        let codes = words(&codes);
        match feed.plan(&wish("openai/gpt-5", Wishes { headquarters: &codes, ..Wishes::NONE })) {
            Ok(plan) => assert_eq!(providers(&plan), wanted, "{codes:?} and not {unknown}"),
            Err(refusal) => {
                assert!(wanted.is_empty(), "{refusal}");
                assert_eq!(refusal.cause(), RefusalCause::BadRequest);
            }
        }
    }
}
