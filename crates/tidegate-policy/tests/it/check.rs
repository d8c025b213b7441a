//! What the control plane refuses to store, and in which words.

use tidegate_policy::compile_check;
use tidegate_types::resource::*;
use tidegate_types::window::WindowSpec;
use tidegate_types::{KeyId, NanoUsd, PicoUsd, TeamId};

use crate::fixtures::*;

fn around() -> Vec<Resource> {
    let mut existing = catalogue();
    existing.extend([organization(ORG), team(ORG, TEAM), key(ORG, KEY)]);
    existing.push(Resource::Route(route(9, "acme/best", vec![target("openai/gpt-5", 1)], vec![])));
    existing
}

fn reasons(candidate: impl std::borrow::Borrow<Resource>) -> Vec<String> {
    compile_check(&around(), candidate.borrow())
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn what_is_right_passes() {
    for resource in around() {
        assert_eq!(reasons(resource), Vec::<String>::new());
    }
    assert!(
        reasons(Resource::Budget(budget(1, Scope { team: Some(TEAM), key: Some(KEY), ..Scope::default() })))
            .is_empty()
    );
    assert!(reasons(Resource::Policy(policy(1, PolicyScope::Key { key_id: KEY }))).is_empty());
}

#[test]
fn routes_name_models_that_exist_and_no_routes() {
    let mut bad =
        route(1, "mix", vec![target("acme/none", 1), target("acme/best", 1)], vec![target("acme/self", 1)]);
    bad.name = "acme/self".into();
    assert_eq!(
        reasons(Resource::Route(bad)),
        [
            "targets[0].model: there is no model 'acme/none'",
            "targets[1].model: 'acme/best' is a route; a route may only name models, so that routes cannot form a cycle",
            "fallbacks[0].model: 'acme/self' is a route; a route may only name models, so that routes cannot form a cycle",
        ]
    );
    let nowhere = RouteTarget { providers: vec!["bedrock".parse().unwrap()], ..target("openai/gpt-5", 1) };
    assert_eq!(
        reasons(Resource::Route(route(1, "mix", vec![nowhere], vec![]))),
        ["targets[0].providers: provider 'bedrock' does not offer 'openai/gpt-5'"]
    );
    assert_eq!(reasons(Resource::Route(route(1, "mix", vec![], vec![]))), ["targets: is empty"]);
    assert_eq!(
        reasons(Resource::Route(route(1, "mix", vec![target("openai/gpt-5", 0)], vec![]))),
        ["targets: every weight is 0"]
    );
    assert_eq!(reasons(Resource::Route(route(1, "a b", vec![target("openai/gpt-5", 1)], vec![]))).len(), 1);
}

#[test]
fn a_route_takes_a_catalogue_name_only_by_policy() {
    for name in ["openai/gpt-5", "GPT-latest"] {
        let shadow = Resource::Route(route(1, name, vec![target("openai/gpt-5", 1)], vec![]));
        assert!(reasons(shadow.clone())[0].starts_with("name: is the name of a catalogue model"));
        let mut existing = around();
        let permit = Policy { routes_may_shadow: Some(true), ..policy(1, PolicyScope::Organization) };
        existing.push(Resource::Policy(permit));
        assert_eq!(compile_check(&existing, &shadow), Ok(()));
    }
}

#[test]
fn references_must_exist_in_the_same_organization() {
    let nobody = TeamId::from_u128(404);
    let text = format!("there is no team {nobody}");
    let lost_key = Resource::Key(VirtualKey { team_id: nobody, ..virtual_key(ORG, KEY) });
    assert_eq!(reasons(lost_key), [format!("team_id: {text}")]);
    let scope = CredentialScope::Team { team_id: nobody };
    assert_eq!(
        reasons(Resource::Credential(credential(ORG, 1, "openai", scope))),
        [format!("scope.team_id: {text}")]
    );
    let scope = PolicyScope::Team { team_id: nobody };
    assert_eq!(reasons(Resource::Policy(policy(1, scope))), [format!("scope.team_id: {text}")]);
    let everything = Scope {
        team: Some(nobody),
        key: Some(KeyId::from_u128(404)),
        model: Some("acme/none".parse().unwrap()),
        provider: Some("nowhere".parse().unwrap()),
        ..Scope::default()
    };
    assert_eq!(reasons(Resource::Budget(budget(1, everything))).len(), 4);
    assert_eq!(reasons(key(OTHER_ORG, KeyId::from_u128(5))).len(), 1, "another organization's team");
    assert_eq!(reasons(Resource::Offering(offering(ORG, 1, "acme/none", "nowhere", 1))).len(), 2);
    assert_eq!(
        reasons(Resource::Provider(provider(ORG, 99, "openai"))),
        ["slug: 'openai' is the name of a shared provider"]
    );
}

#[test]
fn values_must_make_sense() {
    let Resource::Organization(source) = organization(ORG) else { panic!() };
    let atlantis = Organization { time_zone: "Atlantis/Capital".into(), ..source };
    assert_eq!(
        reasons(Resource::Organization(atlantis)),
        ["time_zone: unknown time zone; use an IANA name such as Europe/Berlin"]
    );
    let mut bad = virtual_key(ORG, KEY);
    bad.allow.models = vec!["openai/*".into(), "gpt*".into()];
    bad.limits.concurrency = Some(0);
    assert_eq!(
        reasons(Resource::Key(bad)),
        [
            "allow.models[1]: neither creator/name nor creator/*",
            "limits.concurrency: must be at least 1; pause the key to refuse every call"
        ]
    );
    let window = WindowSpec::Fixed { start: now(), end: now() };
    let bad = Budget {
        window,
        limit: NanoUsd::new(-1),
        alert_at_percent: vec![50, 50],
        ..budget(1, Scope::default())
    };
    assert_eq!(
        reasons(Resource::Budget(bad)),
        [
            "limit: is negative",
            "window: ends before it starts",
            "alert_at_percent: must ascend from at least 1"
        ]
    );
    assert_eq!(
        reasons(Resource::Offering(offering(SYSTEM, 1, "openai/gpt-5", "openai", -5))),
        ["prices[0]: the price of InputToken is negative"]
    );
    let free = Policy {
        ceiling_price: Some(PicoUsd::ZERO),
        max_attempts: Some(0),
        ..policy(1, PolicyScope::Organization)
    };
    assert_eq!(reasons(Resource::Policy(free)).len(), 2);
    let odd = Provider {
        base_url: "ftp://user@host".into(),
        headquarters: Some("usa".into()),
        ..provider(SYSTEM, 1, "openai")
    };
    assert_eq!(reasons(Resource::Provider(odd)).len(), 2);
}

#[test]
fn a_base_url_with_places_is_held_to_where_they_may_stand() {
    let at = |base_url: &str| {
        reasons(Resource::Provider(Provider { base_url: base_url.into(), ..provider(SYSTEM, 1, "azure") }))
    };
    for good in [
        "https://{resource}.openai.azure.com/openai/v1",
        "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}",
    ] {
        assert!(at(good).is_empty(), "{good}");
    }
    for bad in
        ["https://{resource}/", "https://{project}.a.b/", "https://a.b/{model}", "https://a.{region}/x"]
    {
        let found = at(bad);
        assert!(found.len() == 1 && found[0].starts_with("base_url: "), "{bad}: {found:?}");
    }
}

#[test]
fn quirks_are_paths_queries_and_fields_that_there_are() {
    let with =
        |quirks: Quirks| reasons(Resource::Provider(Provider { quirks, ..provider(SYSTEM, 1, "azure") }));
    let paths =
        |key: &str, path: &str| Quirks { paths: [(key.into(), path.into())].into(), ..Quirks::default() };
    assert!(with(paths("openai_chat", "/deployments/{model}/chat/completions")).is_empty());
    assert!(with(paths("embedding", "/x/{model}:predict")).is_empty());
    for (key, path) in [
        ("language", "/x"),
        ("openai_chat", "x"),
        ("openai_chat", "/x/{resource}"),
        ("openai_chat", "/../x"),
        ("openai_chat", "/x#y"),
        ("openai_chat", "/x y"),
    ] {
        assert_eq!(with(paths(key, path)).len(), 1, "{key} {path}");
    }
    let odd = Quirks {
        query: Some("a=b#c".into()),
        drops: vec!["model".into()],
        refuses: vec![String::new()],
        ..Quirks::default()
    };
    assert_eq!(with(odd).len(), 3);
}
