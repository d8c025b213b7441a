//! One tenant's resources never reach another's calls, nor the operator's credentials a tenant's hosts.

use tidegate_policy::{CallFacts, Filter, Part, plan};
use tidegate_types::resource::*;
use tidegate_types::usage::CredentialType;
use tidegate_types::{KeyId, Shard, TeamId};

use crate::fixtures::*;

const OTHER_KEY: KeyId = KeyId::from_u128(0x2);

fn two_tenants() -> Feed {
    let mut feed = Feed::standard();
    feed.send(vec![organization(OTHER_ORG), team(OTHER_ORG, TEAM), key(OTHER_ORG, OTHER_KEY)]);
    feed
}

#[test]
fn own_resources_are_seen_by_their_owner_only() {
    let mut feed = two_tenants();
    feed.send(vec![
        Resource::Provider(provider(ORG, 90, "in-house")),
        Resource::Credential(credential(ORG, 90, "in-house", CredentialScope::Organization)),
        Resource::Credential(credential(ORG, 91, "openai", CredentialScope::Organization)),
        Resource::Model(model(ORG, 90, "acme/llama")),
        Resource::Offering(offering(ORG, 90, "acme/llama", "in-house", 5)),
        Resource::Route(route(1, "fast", vec![target("openai/gpt-5", 1)], vec![])),
        Resource::Policy(Policy {
            allow_models: vec!["acme/*".into()],
            ..policy(1, PolicyScope::Organization)
        }),
    ]);
    let other = feed.config.view(OTHER_KEY).unwrap();
    let ask = |model| plan(&other, &CallFacts::of_model(model), now(), 0);
    assert_eq!(summary(&ask("gpt-5").unwrap())[0], "openai openai/gpt-5 cred1");
    assert!(ask("acme/llama").is_err());
    assert!(ask("fast").is_err());
    assert_eq!(summary(&feed.ask("llama").unwrap()), ["in-house acme/llama cred90"]);
}

#[test]
fn an_issuer_belongs_to_one_organization_and_to_none_while_two_claim_it() {
    const ISSUER: &str = "https://issuer.example";
    let mut feed = two_tenants();
    let claim = |id, audiences: &[&str]| {
        let Resource::Organization(plain) = organization(id) else { unreachable!() };
        let audiences = audiences.iter().map(|one| (*one).to_owned()).collect();
        let bound = BoundIssuer { issuer: ISSUER.into(), audiences };
        Resource::Organization(Organization { bound_issuers: vec![bound], ..plain })
    };
    let bound = |feed: &Feed, audiences: &[&str]| feed.config.bound_to(ISSUER, audiences);
    assert_eq!(bound(&feed, &["a"]), None);
    feed.send(vec![claim(ORG, &["a"])]);
    assert_eq!((bound(&feed, &["a"]), bound(&feed, &["x", "a"])), (Some(ORG), Some(ORG)));
    assert_eq!((bound(&feed, &["b"]), feed.config.bound_to("https://other.example", &["a"])), (None, None));
    feed.send(vec![claim(OTHER_ORG, &["b"])]);
    assert_eq!((bound(&feed, &["b"]), bound(&feed, &["a", "b"])), (Some(OTHER_ORG), None));
    // It moves: the new one's change may come first.
    feed.send(vec![claim(OTHER_ORG, &[])]);
    assert_eq!((bound(&feed, &["a"]), bound(&feed, &["b"])), (None, Some(OTHER_ORG)));
    feed.send(vec![organization(ORG)]);
    assert_eq!(bound(&feed, &["a"]), Some(OTHER_ORG));
    let gone = feed.deletion(&organization(OTHER_ORG));
    feed.apply_one(gone);
    assert_eq!(bound(&feed, &["a"]), None);
}

#[test]
fn two_organizations_give_the_same_name_to_routes_of_their_own() {
    let mut feed = two_tenants();
    let mine = route(1, "fast", vec![target("openai/gpt-5", 1)], vec![]);
    let theirs = route(1, "fast", vec![target("anthropic/claude-sonnet-4.5", 1)], vec![]);
    feed.send(vec![Resource::Route(mine), Resource::Route(Route { organization_id: OTHER_ORG, ..theirs })]);
    let creators = |view: &tidegate_policy::View| {
        let plan = plan(view, &CallFacts::of_model("fast"), now(), 0).unwrap();
        plan.candidates.iter().map(|one| one.model.name.creator().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(creators(&feed.view()), ["openai", "openai"]);
    assert_eq!(creators(&feed.config.view(OTHER_KEY).unwrap()), ["anthropic", "anthropic"]);
}

#[test]
fn system_credentials_never_go_to_a_tenants_provider() {
    let mut feed = two_tenants();
    // A tenant takes the name of a shared provider, and offers a shared model there.
    feed.send(vec![
        Resource::Provider(provider(ORG, 90, "openai")),
        Resource::Offering(offering(ORG, 90, "openai/gpt-5", "openai", 1)),
        Resource::Offering(offering(ORG, 91, "openai/gpt-5", "azure", 0)),
    ]);
    let plan = feed.ask("openai/gpt-5").unwrap();
    for candidate in &plan.candidates {
        assert_eq!(candidate.provider.organization_id, SYSTEM);
        assert_eq!(
            candidate.offering.organization_id, SYSTEM,
            "a tenant sets no price for the operator's account"
        );
    }
}

#[test]
fn a_tenants_credential_goes_to_its_own_provider_of_that_name() {
    let mut feed = two_tenants();
    feed.send(vec![
        Resource::Provider(provider(ORG, 90, "openai")),
        Resource::Credential(credential(ORG, 90, "openai", CredentialScope::Organization)),
        Resource::Offering(offering(ORG, 90, "openai/gpt-5", "openai", 1)),
    ]);
    let plan = feed.ask("openai/gpt-5").unwrap();
    for candidate in &plan.candidates {
        let own = |id| id == ORG;
        let credential = candidate.credential.as_ref().unwrap();
        assert_eq!(own(credential.organization_id), own(candidate.provider.organization_id));
    }
    assert_eq!(summary(&plan)[0], "openai openai/gpt-5 cred90");
}

#[test]
fn a_key_id_of_another_tenant_is_not_taken_over() {
    let mut feed = two_tenants();
    let applied = feed.send_one(key(OTHER_ORG, KEY));
    assert_eq!(applied.rejected.len(), 1);
    assert_eq!(feed.view().organization_id(), ORG);
    let gone = feed.deletion(&key(OTHER_ORG, KEY));
    feed.apply_one(gone);
    assert_eq!(feed.view().organization_id(), ORG);
}

#[test]
fn resources_of_the_wrong_shard_or_owner_are_rejected() {
    let mut feed = two_tenants();
    let version = feed.version(key(OTHER_ORG, KeyId::from_u128(7)));
    let wrong = Shard::of(ORG);
    assert_ne!(wrong, Shard::of(OTHER_ORG), "the fixtures are of two shards");
    assert_eq!(feed.config.apply(wrong, vec![version], Part::Delta).rejected.len(), 1);
    assert!(feed.config.view(KeyId::from_u128(7)).is_none());

    let pretending = credential(ORG, 95, "openai", CredentialScope::System);
    assert!(feed.send_one(Resource::Credential(pretending)).rejected[0].reason.contains("system scope"));
    let mut of_system = policy(5, PolicyScope::Organization);
    of_system.organization_id = SYSTEM;
    assert!(feed.send_one(Resource::Policy(of_system)).rejected[0].reason.contains("cannot own"));
}

#[test]
fn a_team_credential_serves_its_team_only() {
    let mut feed = two_tenants();
    let theirs = CredentialScope::Team { team_id: TeamId::from_u128(77) };
    feed.send_one(Resource::Credential(credential(ORG, 90, "openai", theirs)));
    assert_eq!(
        summary(&feed.ask("gpt-5").unwrap()),
        ["openai openai/gpt-5 cred1", "azure openai/gpt-5 cred2"]
    );
}

#[test]
fn an_own_price_holds_for_own_credentials_and_the_list_price_for_the_operators() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Credential(credential(ORG, 21, "openai", CredentialScope::Organization)));
    let mut own = offering(ORG, 31, "openai/gpt-5", "openai", 1);
    feed.send_one(Resource::Offering(own.clone()));
    let plan = feed.plan(&CallFacts::of_model("gpt-5")).unwrap();
    let chosen: Vec<_> = plan
        .candidates
        .iter()
        .map(|c| (c.provider.slug.as_str(), c.offering.organization_id == ORG, c.credential_type))
        .collect();
    assert_eq!(chosen[0], ("openai", true, CredentialType::Byok));
    assert!(chosen[1..].iter().all(|(_, own, paid)| !own && *paid == CredentialType::System), "{chosen:?}");
    assert_eq!(plan.candidates[0].tariff.price_id(), Some(own.prices[0].id));
    assert!(plan.removed.iter().any(|removed| removed.filter == Filter::OwnPrice));
    own.enabled = false;
    feed.send_one(Resource::Offering(own));
    let plan = feed.plan(&CallFacts::of_model("gpt-5")).unwrap();
    assert_eq!(plan.candidates[0].offering.organization_id, SYSTEM, "the list price holds again");
    assert_eq!(plan.candidates[0].credential_type, CredentialType::Byok);
}
