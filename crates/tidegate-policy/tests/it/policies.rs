//! Allow lists, prices, capabilities, credentials: who is left, and why not the others.

use tidegate_policy::{Allower, CallFacts, Filter, RateScope};
use tidegate_pricing::Tariff;
use tidegate_types::resource::*;
use tidegate_types::usage::{CredentialType, RefusalCause};
use tidegate_types::{PicoUsd, TeamId, Timestamp};

use crate::fixtures::*;

#[test]
fn the_cheaper_offering_comes_first() {
    let plan = Feed::standard().ask("openai/gpt-5").unwrap();
    assert_eq!(summary(&plan), ["openai openai/gpt-5 cred1", "azure openai/gpt-5 cred2"]);
    assert!(plan.removed.is_empty());
    assert_eq!(plan.candidates[0].credential_type, CredentialType::System);
    assert_eq!(plan.candidates[0].tariff.price_id().map(bits), Some(1));
    assert_eq!(
        plan.candidates[0].reason(),
        "asked for by name; system credential cred_00000000000000000000000001"
    );
    assert_eq!(plan.policy.max_attempts, 3);
}

#[test]
fn allow_lists_of_every_scope_hold_together() {
    let mut feed = Feed::standard();
    let mut key = virtual_key(ORG, KEY);
    key.allow.models = vec!["openai/*".into(), "anthropic/claude-sonnet-4.5".into()];
    feed.send_one(Resource::Key(key));
    let mut of_team = policy(1, PolicyScope::Team { team_id: TEAM });
    of_team.allow_models = vec!["openai/*".into()];
    of_team.allow_providers = vec!["azure".parse().unwrap(), "anthropic".parse().unwrap()];
    feed.send_one(Resource::Policy(of_team));

    let plan = feed.ask("openai/gpt-5").unwrap();
    assert_eq!(summary(&plan), ["azure openai/gpt-5 cred2"]);
    assert_eq!(plan.removed[0].filter, Filter::Provider(Allower::Policy("policy 1".into())));
    let refusal = feed.ask("anthropic/claude-sonnet-4.5").unwrap_err();
    assert_eq!(refusal.cause(), RefusalCause::NotAllowed);
    assert_eq!(
        refusal.to_string(),
        "'anthropic/claude-sonnet-4.5' is not allowed: policy 'policy 1' does not allow this model"
    );

    let mut of_key = policy(2, PolicyScope::Key { key_id: KEY });
    of_key.allow_providers = vec!["openai".parse().unwrap()];
    feed.send_one(Resource::Policy(of_key));
    assert_eq!(feed.ask("openai/gpt-5").unwrap_err().cause(), RefusalCause::NotAllowed);
}

#[test]
fn policies_of_others_do_not_matter() {
    let mut feed = Feed::standard();
    for (id, scope) in [
        (1, PolicyScope::Team { team_id: TeamId::from_u128(5) }),
        (2, PolicyScope::Key { key_id: tidegate_types::KeyId::from_u128(5) }),
    ] {
        feed.send_one(Resource::Policy(Policy { allow_models: vec!["acme/*".into()], ..policy(id, scope) }));
    }
    assert!(feed.ask("openai/gpt-5").is_ok());
}

#[test]
fn the_strictest_demand_wins() {
    let mut feed = Feed::standard();
    let mut wide = policy(1, PolicyScope::Organization);
    (wide.default_max_output_tokens, wide.max_attempts) = (Some(4_000), Some(5));
    wide.ceiling_price = Some(PicoUsd::new(10));
    let mut narrow = policy(2, PolicyScope::Team { team_id: TEAM });
    (narrow.default_max_output_tokens, narrow.max_attempts) = (Some(1_000), None);
    narrow.ceiling_price = Some(PicoUsd::new(20));
    feed.send(vec![Resource::Policy(wide), Resource::Policy(narrow)]);
    let policy = feed.ask("openai/gpt-5").unwrap().policy;
    assert_eq!((policy.default_max_output_tokens, policy.max_attempts), (Some(1_000), 5));
    assert_eq!(policy.ceiling_price, Some(PicoUsd::new(20)), "the dearest guess protects the budget best");
}

#[test]
fn a_model_without_a_price_is_refused_unless_a_policy_names_a_ceiling() {
    let mut feed = Feed::standard();
    for (id, provider) in [(1, "openai"), (2, "azure")] {
        let mut unpriced = offering(SYSTEM, id, "openai/gpt-5", provider, 1);
        unpriced.prices[0].valid_from = now().plus_millis(1);
        feed.send_one(Resource::Offering(unpriced));
    }
    let refusal = feed.ask("gpt-5").unwrap_err();
    assert_eq!(refusal.cause(), RefusalCause::NotPriced);
    assert_eq!(refusal.to_string(), "the model 'gpt-5' has no price, and no policy names a ceiling price");
    let ceiling = Some(PicoUsd::new(5_000));
    feed.send_one(Resource::Policy(Policy {
        ceiling_price: ceiling,
        ..policy(1, PolicyScope::Organization)
    }));
    let plan = feed.ask("gpt-5").unwrap();
    assert_eq!(plan.candidates[0].tariff, Tariff::Ceiling(PicoUsd::new(5_000)));
}

#[test]
fn the_price_of_the_time_is_chosen() {
    let mut feed = Feed::standard();
    let mut source = offering(SYSTEM, 1, "openai/gpt-5", "openai", 1);
    source.prices.push(Price { valid_from: Timestamp::from_seconds(5), ..price(77, 9) });
    feed.send_one(Resource::Offering(source));
    assert_eq!(feed.ask("gpt-5").unwrap().candidates[0].tariff.price_id().map(bits), Some(77));
}

#[test]
fn a_model_must_be_able_to_do_what_is_asked() {
    let mut feed = Feed::standard();
    let mut plain = model(SYSTEM, 1, "openai/gpt-5");
    plain.capabilities = Capabilities::default();
    feed.send_one(Resource::Model(plain));
    let base = CallFacts::of_model("openai/gpt-5");
    let refused = |facts: CallFacts<'_>| {
        let refusal = feed.plan(&facts).unwrap_err();
        assert_eq!(refusal.cause(), RefusalCause::BadRequest);
        refusal.to_string()
    };
    let needs = Capabilities { tools: true, ..Capabilities::default() };
    assert_eq!(
        refused(CallFacts { needs, ..base }),
        "the model 'openai/gpt-5' cannot serve this request: it cannot do tools"
    );
    assert_eq!(
        refused(CallFacts { max_output_tokens: Some(32_001), ..base }),
        "the model 'openai/gpt-5' cannot serve this request: it writes at most 32000 output tokens"
    );
    assert!(refused(CallFacts { input_bytes: 200_001 * 128, ..base }).contains("context window of 200000"));
    assert!(refused(CallFacts { kind: ModelKind::Embedding, ..base }).contains("another kind"));
    assert!(
        feed.plan(&CallFacts { max_output_tokens: Some(32_000), input_bytes: 200_000 * 128, ..base }).is_ok()
    );
}

#[test]
fn own_credentials_come_before_the_operators() {
    let mut feed = Feed::standard();
    let team_scope = CredentialScope::Team { team_id: TEAM };
    let other_team = CredentialScope::Team { team_id: TeamId::from_u128(9) };
    let mut late = credential(ORG, 22, "openai", CredentialScope::Organization);
    late.position = 5;
    feed.send(vec![
        Resource::Credential(late),
        Resource::Credential(credential(ORG, 21, "openai", CredentialScope::Organization)),
        Resource::Credential(credential(ORG, 23, "azure", team_scope)),
        Resource::Credential(credential(ORG, 24, "azure", other_team)),
        Resource::Credential(Credential {
            enabled: false,
            ..credential(ORG, 25, "azure", CredentialScope::Organization)
        }),
    ]);
    let plan = feed.ask("openai/gpt-5").unwrap();
    assert_eq!(
        summary(&plan),
        [
            "azure openai/gpt-5 cred23",
            "openai openai/gpt-5 cred21",
            "openai openai/gpt-5 cred22",
            "openai openai/gpt-5 cred1",
            "azure openai/gpt-5 cred2"
        ]
    );
    assert_eq!(plan.candidates[0].credential_type, CredentialType::Byok);
    assert_eq!(plan.removed.len(), 1);
    assert_eq!(plan.removed[0].filter, Filter::CredentialDisabled);

    let forbid = Policy { allow_system_credentials: Some(false), ..policy(1, PolicyScope::Organization) };
    feed.send_one(Resource::Policy(forbid));
    let plan = feed.ask("openai/gpt-5").unwrap();
    assert!(plan.candidates.iter().all(|candidate| candidate.credential_type == CredentialType::Byok));
    let refusal = feed.ask("anthropic/claude-sonnet-4.5").unwrap_err();
    assert_eq!(refusal.cause(), RefusalCause::NoProvider);
    assert!(refusal.to_string().contains("policies forbid system credentials"));
}

#[test]
fn a_provider_without_sign_in_needs_no_credential() {
    let mut feed = Feed::standard();
    feed.send(vec![
        Resource::Provider(Provider { auth: AuthScheme::None, ..provider(ORG, 90, "in-house") }),
        Resource::Model(model(ORG, 90, "acme/llama")),
        Resource::Offering(offering(ORG, 90, "acme/llama", "in-house", 5)),
    ]);
    let plan = feed.ask("llama").unwrap();
    assert_eq!(summary(&plan), ["in-house acme/llama none"]);
    assert_eq!(plan.candidates[0].credential_type, CredentialType::Byok);
}

#[test]
fn what_is_disabled_or_has_no_credential_is_not_called() {
    let mut feed = Feed::standard();
    feed.send(vec![
        Resource::Provider(Provider { enabled: false, ..provider(SYSTEM, 1, "openai") }),
        Resource::Credential(credential(SYSTEM, 2, "elsewhere", CredentialScope::System)),
    ]);
    let refusal = feed.ask("openai/gpt-5").unwrap_err();
    assert_eq!(refusal.cause(), RefusalCause::NoProvider);
    let filters: Vec<_> = refusal.removed.iter().map(|removed| removed.filter.clone()).collect();
    assert_eq!(filters, [Filter::NoCredential, Filter::Disabled], "in the order of provider names");
}

#[test]
fn rate_limits_of_key_and_team_are_listed() {
    let mut feed = Feed::standard();
    assert!(feed.ask("gpt-5").unwrap().rates.is_empty());
    let mut key = virtual_key(ORG, KEY);
    key.limits.requests_per_minute = Some(10);
    let Resource::Team(mut source) = team(ORG, TEAM) else { panic!() };
    source.limits.concurrency = Some(3);
    feed.send(vec![Resource::Key(key), Resource::Team(source)]);
    let rates = feed.ask("gpt-5").unwrap().rates;
    assert_eq!(
        rates.iter().map(|rate| rate.scope).collect::<Vec<_>>(),
        [RateScope::Key(KEY), RateScope::Team(TEAM)]
    );
    assert_eq!(rates[1].limits.concurrency, Some(3));
}
