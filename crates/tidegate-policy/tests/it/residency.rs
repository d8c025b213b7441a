//! Where calls may be processed: facts and attestations decide, unknown is nowhere, and no hop leads elsewhere.

use tidegate_policy::{CallFacts, Plan, PlanRefusal, RequestCredential, Wishes};
use tidegate_types::resource::*;
use tidegate_types::usage::{CredentialType, RefusalCause};
use tidegate_types::{TeamId, Timestamp};

use crate::fixtures::*;

pub(crate) fn fact(areas: &[Area]) -> Location {
    Location {
        operation: None,
        region: None,
        areas: areas.iter().copied().collect(),
        regional: false,
        source: "terms".into(),
        read_at: now(),
        expires_at: now().plus_millis(1_000),
    }
}

fn regional() -> Location {
    Location { regional: true, ..fact(&[]) }
}

fn confined(regions: &[Area]) -> Privacy {
    Privacy { inference_regions: regions.iter().copied().collect(), ..Privacy::default() }
}

fn only_eu(scope: PolicyScope) -> Resource {
    Resource::Policy(Policy { privacy: confined(&[Area::Eu]), name: "eu-only".into(), ..policy(1, scope) })
}

/// `openai/gpt-5` at openai with these facts and at azure without any; all calls of the key are for the EU.
fn offered(facts: Vec<Location>) -> Feed {
    let mut feed = Feed::standard();
    let source = Offering { locations: facts, ..offering(SYSTEM, 1, "openai/gpt-5", "openai", 1) };
    feed.send(vec![Resource::Offering(source), only_eu(PolicyScope::Key { key_id: KEY })]);
    feed
}

fn ask(feed: &Feed) -> Result<Plan, PlanRefusal> {
    let operation = Some(Operation::Language);
    feed.plan(&CallFacts { operation, ..CallFacts::of_model("openai/gpt-5") })
}

#[test]
fn only_what_is_known_to_run_there_is_asked_and_the_refusal_names_the_setting() {
    let elsewhere = Location { areas: Area::Us.into(), operation: Some(Operation::Embedding), ..fact(&[]) };
    for (facts, served) in [
        (vec![], false),
        (vec![fact(&[Area::Eu])], true),
        (vec![fact(&[Area::Eu, Area::Us])], false),
        (vec![fact(&[Area::Uk])], false),
        (
            vec![Location { expires_at: now(), read_at: Timestamp::from_seconds(0), ..fact(&[Area::Eu]) }],
            false,
        ),
        (vec![Location { read_at: now().plus_millis(1), ..fact(&[Area::Eu]) }], false),
        (vec![fact(&[Area::Eu]), elsewhere.clone()], true),
        (vec![elsewhere], false),
        (vec![fact(&[Area::Eu]), fact(&[Area::Us])], false),
        (vec![regional()], false),
    ] {
        let feed = offered(facts.clone());
        match ask(&feed) {
            Ok(plan) => {
                assert!(served, "{facts:?}");
                assert_eq!(summary(&plan), ["openai openai/gpt-5 cred1"]);
                assert_eq!(plan.policy.regions, Some(Area::Eu.into()));
                let vouched = &plan.candidates[0].vouched;
                assert_eq!((&*vouched[0].source, vouched[0].areas), ("terms", Area::Eu.into()));
                assert!(
                    !plan.candidates[0].is_vouched_at(now().plus_millis(1_000)),
                    "asked again at each hop"
                );
            }
            Err(refusal) => {
                assert!(!served, "{facts:?}: {refusal}");
                assert_eq!((refusal.cause(), refusal.param()), (RefusalCause::BadRequest, None));
                assert_eq!(refusal.regions(), Some(Area::Eu.into()));
                let said = refusal.to_string();
                assert!(said.contains("`privacy.inference_regions` of policy 'eu-only'"), "{said}");
            }
        }
    }
}

#[test]
fn the_strictest_holds_and_a_request_only_tightens() {
    let mut feed = offered(vec![fact(&[Area::Eu])]);
    let within = |feed: &Feed, area| {
        let wishes = Wishes { within: Some(area), ..Wishes::NONE };
        feed.plan(&CallFacts { wishes, ..CallFacts::of_model("openai/gpt-5") })
    };
    assert!(within(&feed, Area::Eu).is_ok());
    let refusal = within(&feed, Area::Us).unwrap_err();
    assert_eq!(refusal.regions(), Some(Areas::NONE), "no area is left");
    assert_eq!(refusal.param(), Some("providerOptions.gateway.inferenceRegion"), "{refusal}");
    let wider = Policy { privacy: confined(&[Area::Us, Area::Eu]), ..policy(2, PolicyScope::Organization) };
    feed.send_one(Resource::Policy(wider.clone()));
    assert_eq!(ask(&feed).unwrap().policy.regions, Some(Area::Eu.into()));
    feed.send_one(Resource::Policy(Policy { privacy: confined(&[Area::Us]), ..wider }));
    let refusal = ask(&feed).unwrap_err();
    assert!(refusal.to_string().contains("have no area in common"), "{refusal}");
    // A policy of another team says nothing here.
    let mut feed = offered(vec![]);
    feed.send_one(only_eu(PolicyScope::Team { team_id: TeamId::from_u128(404) }));
    assert_eq!(ask(&feed).unwrap().candidates.len(), 2);
}

#[test]
fn a_region_counts_where_the_address_names_it() {
    let mut feed = offered(vec![regional()]);
    let over = |feed: &mut Feed, region: &str, base_url: &str| {
        let region = Some(region.to_owned());
        feed.send(vec![
            Resource::Provider(Provider { base_url: base_url.into(), ..provider(SYSTEM, 1, "openai") }),
            Resource::Credential(Credential {
                region,
                ..credential(SYSTEM, 1, "openai", CredentialScope::System)
            }),
        ]);
        ask(feed).is_ok()
    };
    let placed = "https://api.{region}.example/v1";
    assert!(over(&mut feed, "eu-central-1", placed));
    assert!(over(&mut feed, "europe-west4", "https://{location}-api.example/v1"));
    assert!(
        !over(&mut feed, "eu-central-1", "https://api.example/v1"),
        "it goes to one address, whatever it says"
    );
    assert!(!over(&mut feed, "eu-west-2", placed), "London is not in the union");
    assert!(!over(&mut feed, "us-east-1", placed));
    assert!(!over(&mut feed, "global", placed));
}

#[test]
fn an_own_credential_runs_where_its_owner_attests_and_not_where_the_operators_contract_says() {
    let attested = |areas: &[Area], from: i64, until: i64| Attestation {
        tier: ZdrTier::None,
        areas: areas.iter().copied().collect(),
        statement: "contract 7".into(),
        by: "somebody".into(),
        attested_at: now().plus_millis(from),
        expires_at: now().plus_millis(until),
    };
    let mut feed = offered(vec![fact(&[Area::Eu])]);
    feed.send_one(Resource::Policy(Policy {
        allow_system_credentials: Some(false),
        ..policy(9, PolicyScope::Organization)
    }));
    let mut own = |attestation: Option<Attestation>| {
        feed.send_one(Resource::Credential(Credential {
            attestation,
            ..credential(ORG, 21, "openai", CredentialScope::Organization)
        }));
        ask(&feed)
    };
    assert!(own(None).is_err());
    let plan = own(Some(attested(&[Area::Eu], 0, 1))).unwrap();
    assert_eq!(summary(&plan), ["openai openai/gpt-5 cred21"]);
    assert_eq!(plan.candidates[0].vouched[0].source, "attested by somebody: contract 7");
    for weak in [
        attested(&[], 0, 1),
        attested(&[Area::Us], 0, 1),
        attested(&[Area::Us, Area::Eu], 0, 1),
        attested(&[Area::Eu], -5, 0),
        attested(&[Area::Eu], 1, 5),
    ] {
        assert!(own(Some(weak.clone())).is_err(), "{weak:?}");
    }
}

#[test]
fn what_a_request_brings_along_goes_by_its_own_region_and_never_by_a_name_of_its_own() {
    let mut feed = offered(vec![regional()]);
    let base_url = "https://api.{region}.example/v1".into();
    feed.send_one(Resource::Provider(Provider { base_url, ..provider(SYSTEM, 1, "openai") }));
    let brought = |region: &str, custom: &[(&str, &str)]| {
        let credential = Credential {
            region: Some(region.to_owned()),
            ..credential(ORG, 9_999, "openai", CredentialScope::Team { team_id: TEAM })
        };
        let models = custom.iter().map(|(name, custom)| ((*name).to_owned(), (*custom).into())).collect();
        let credentials = [RequestCredential { credential: credential.into(), models }];
        feed.plan(&CallFacts { credentials: &credentials, ..CallFacts::of_model("openai/gpt-5") })
    };
    let plan = brought("eu-central-1", &[]).unwrap();
    assert_eq!(plan.candidates[0].credential_type, CredentialType::Client);
    assert!(brought("us-east-1", &[]).is_err());
    assert!(brought("eu-central-1", &[("openai/gpt-5", "global.gpt-5")]).is_err());
    assert!(brought("eu-central-1", &[("openai/other", "global.gpt-5")]).is_ok());
}

#[test]
fn a_home_that_a_policy_excludes_is_named() {
    let mut feed = Feed::standard();
    let at = |home: &str| {
        Resource::Provider(Provider { headquarters: Some(home.into()), ..provider(SYSTEM, 1, "openai") })
    };
    let privacy = Privacy { headquarters: vec!["!CN".into()], ..Privacy::default() };
    let homes = Policy { privacy, name: "homes".into(), ..policy(1, PolicyScope::Organization) };
    feed.send(vec![at("US"), Resource::Policy(homes)]);
    let plan = feed.ask("openai/gpt-5").unwrap();
    assert_eq!(summary(&plan), ["openai openai/gpt-5 cred1"], "an unknown home is none");
    let said = plan.removed[0].filter.to_string();
    assert!(said.contains("`privacy.headquarters` of policy 'homes'"), "{said}");
    feed.send_one(at("CN"));
    let refusal = feed.ask("openai/gpt-5").unwrap_err();
    assert_eq!((refusal.cause(), refusal.param()), (RefusalCause::BadRequest, None));
}

#[test]
fn what_was_demanded_of_a_home_and_what_it_was_is_evidence() {
    let mut feed = Feed::standard();
    let at_home = |home: &str| Provider { headquarters: Some(home.into()), ..provider(SYSTEM, 1, "openai") };
    feed.send_one(Resource::Provider(at_home("US")));
    let evidence = |feed: &Feed, headquarters: &'static [String]| {
        let wishes = Wishes { headquarters, ..Wishes::NONE };
        let plan = feed.plan(&CallFacts { wishes, ..CallFacts::of_model("openai/gpt-5") }).unwrap();
        assert!(plan.candidates[0].is_vouched_at(now().plus_millis(3_600_000)));
        plan.candidates[0].vouched.iter().map(|one| one.source.clone()).collect::<Vec<_>>()
    };
    assert!(evidence(&feed, &[]).is_empty(), "nothing was demanded");
    let asked: &'static [String] = Box::leak(Box::new(["!RU".to_owned(), "!KP".to_owned()]));
    assert_eq!(evidence(&feed, asked), ["headquarters of openai: US; demanded: !KP, !RU"]);
    let privacy = Privacy { headquarters: vec!["!CN".into()], ..Privacy::default() };
    feed.send_one(Resource::Policy(Policy { privacy, ..policy(1, PolicyScope::Organization) }));
    assert_eq!(evidence(&feed, asked), ["headquarters of openai: US; demanded: !CN, !KP, !RU"]);
    assert_eq!(evidence(&feed, &[]), ["headquarters of openai: US; demanded: !CN"]);
    // What is no country's code is told to nobody.
    let odd: &'static [String] = Box::leak(Box::new(["!a secret".to_owned()]));
    assert_eq!(evidence(&feed, odd), ["headquarters of openai: US; demanded: !CN"]);
}

#[test]
fn a_node_that_cannot_read_such_a_policy_serves_nobody_whom_it_may_bind() {
    let mut feed = offered(vec![fact(&[Area::Eu])]);
    assert!(ask(&feed).is_ok());
    let key = only_eu(PolicyScope::Organization).key();
    for (tightens, served) in [(false, true), (true, false)] {
        let n = feed.next(ORG).n;
        let body = tidegate_policy::Body::Unreadable("demands features".into());
        let key = ResourceKey { id: tidegate_types::PolicyId::from_u128(77).to_string(), ..key.clone() };
        let change = tidegate_policy::Incoming { key, n, tightens, body, content_hash: [1; 32] };
        feed.apply_one(change);
        assert_eq!(ask(&feed).is_ok(), served, "tightens: {tightens}");
    }
}
