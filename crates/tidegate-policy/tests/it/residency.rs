//! Where calls may be processed: facts and attestations decide, unknown is nowhere, and no hop leads elsewhere.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tidegate_policy::{CallFacts, Filter, Plan, PlanRefusal, RequestCredential, Wishes, plan};
use tidegate_types::resource::*;
use tidegate_types::usage::{CredentialType, RefusalCause};
use tidegate_types::{CredentialId, TeamId, Timestamp};

use crate::fixtures::*;

fn fact(areas: &[Area]) -> Location {
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

/// Facts, credentials, policies and a request of one case.
#[derive(Debug, Clone)]
struct Case {
    facts: Vec<Vec<Location>>,
    placed: Vec<bool>,
    credentials: Vec<Credential>,
    policies: Vec<(PolicyScope, Areas)>,
    within: Option<Area>,
    brought: Option<(&'static str, Option<&'static str>, bool)>,
    embedding: bool,
}

const PLACES: [(&str, &str); 4] = [
    ("openai/gpt-5", "openai"),
    ("openai/gpt-5", "azure"),
    ("anthropic/claude-sonnet-4.5", "anthropic"),
    ("anthropic/claude-sonnet-4.5", "bedrock"),
];
const REGIONS: [(&str, Option<Area>); 4] = [
    ("eu-central-1", Some(Area::Eu)),
    ("us-east-1", Some(Area::Us)),
    ("eu-west-2", Some(Area::Uk)),
    ("global", None),
];

fn some_areas() -> impl Strategy<Value = Areas> {
    let area = prop::sample::select(vec![Area::Eu, Area::Eu, Area::Us, Area::Uk]);
    prop::collection::vec(area, 1..3).prop_map(|areas| areas.into_iter().collect())
}

fn some_region() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.8, prop::sample::select(REGIONS.map(|(name, _)| name).to_vec()))
}

fn some_fact() -> impl Strategy<Value = Location> {
    let operation =
        prop::option::weighted(0.3, prop::sample::select(vec![Operation::Language, Operation::Embedding]));
    let region = prop::option::weighted(0.3, prop::sample::select(REGIONS.map(|(name, _)| name).to_vec()));
    (operation, region, some_areas(), any::<bool>(), -2..2i64, 0..4i64).prop_map(
        |(operation, region, areas, regional, read, lasts)| Location {
            operation,
            region: region.map(str::to_owned),
            areas: if regional { Areas::NONE } else { areas },
            regional,
            read_at: now().plus_millis(read),
            expires_at: now().plus_millis(read + lasts + 1),
            ..fact(&[])
        },
    )
}

fn some_credential() -> impl Strategy<Value = Credential> {
    let scope = prop::sample::select(vec![
        CredentialScope::System,
        CredentialScope::System,
        CredentialScope::Organization,
        CredentialScope::Team { team_id: TEAM },
        CredentialScope::Team { team_id: TeamId::from_u128(404) },
    ]);
    let attestation = prop::option::of((prop::option::weighted(0.8, some_areas()), -2..2i64, 0..3i64));
    (scope, 0..4usize, some_region(), attestation).prop_map(|(scope, provider, region, attestation)| {
        let owner = if scope == CredentialScope::System { SYSTEM } else { ORG };
        let attestation = attestation.map(|(areas, from, lasts)| Attestation {
            tier: ZdrTier::None,
            areas: areas.unwrap_or_default(),
            statement: "contract".into(),
            by: "somebody".into(),
            attested_at: now().plus_millis(from),
            expires_at: now().plus_millis(from + lasts + 1),
        });
        Credential {
            region: region.map(str::to_owned),
            attestation,
            ..credential(owner, 0, PLACES[provider].1, scope)
        }
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let scope = prop::sample::select(vec![
        PolicyScope::Organization,
        PolicyScope::Team { team_id: TEAM },
        PolicyScope::Key { key_id: KEY },
        PolicyScope::Team { team_id: TeamId::from_u128(404) },
    ]);
    let brought = (prop::sample::select(vec!["openai", "anthropic"]), some_region(), any::<bool>());
    (
        prop::collection::vec(prop::collection::vec(some_fact(), 0..4), 4),
        prop::collection::vec(prop::bool::weighted(0.7), 4),
        prop::collection::vec(some_credential(), 1..8),
        prop::collection::vec((scope, some_areas()), 0..4),
        prop::option::weighted(0.3, prop::sample::select(vec![Area::Eu, Area::Us])),
        prop::option::weighted(0.3, brought),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(facts, placed, credentials, policies, within, brought, embedding)| Case {
            facts,
            placed,
            credentials: credentials
                .into_iter()
                .zip(100..)
                .map(|(one, id)| Credential {
                    id: CredentialId::from_u128(id),
                    name: format!("c{id}"),
                    ..one
                })
                .collect(),
            policies,
            within,
            brought,
            embedding,
        })
}

impl Case {
    fn operation(&self) -> Operation {
        if self.embedding { Operation::Embedding } else { Operation::Language }
    }

    /// The request's own credential for a provider that one is brought for.
    fn own(&self) -> Option<(Credential, bool)> {
        let (slug, region, custom) = self.brought?;
        let source = credential(ORG, 9_999, slug, CredentialScope::Team { team_id: TEAM });
        Some((Credential { region: region.map(str::to_owned), ..source }, custom))
    }

    fn plan(&self) -> Option<Plan> {
        let mut feed = Feed::new();
        let system = catalogue().into_iter().filter(|one| !matches!(one, Resource::Credential(_)));
        feed.send(system.collect());
        feed.send(vec![organization(ORG), team(ORG, TEAM), key(ORG, KEY)]);
        for (place, (facts, (model, slug))) in self.facts.iter().zip(PLACES).enumerate() {
            let id = place as u128 + 1;
            let locations = facts.clone();
            feed.send_one(Resource::Offering(Offering { locations, ..offering(SYSTEM, id, model, slug, 1) }));
            let base_url =
                if self.placed[place] { "https://a.{region}.example" } else { "https://a.example" };
            feed.send_one(Resource::Provider(Provider {
                base_url: base_url.into(),
                ..provider(SYSTEM, id, slug)
            }));
        }
        feed.send(self.credentials.iter().cloned().map(Resource::Credential).collect());
        for ((scope, regions), id) in self.policies.iter().zip(1..) {
            let privacy = Privacy { inference_regions: *regions, ..Privacy::default() };
            feed.send_one(Resource::Policy(Policy { privacy, ..policy(id, *scope) }));
        }
        let fallbacks = vec![target("anthropic/claude-sonnet-4.5", 1)];
        feed.send_one(Resource::Route(route(1, "mix", vec![target("openai/gpt-5", 1)], fallbacks)));
        let brought: Vec<_> = self
            .own()
            .into_iter()
            .map(|(credential, custom)| RequestCredential {
                credential: credential.into(),
                models: custom.then(|| ("openai/gpt-5".to_owned(), "other".into())).into_iter().collect(),
            })
            .collect();
        let models = ["anthropic/claude-sonnet-4.5".to_owned()];
        let facts = CallFacts {
            operation: Some(self.operation()),
            credentials: &brought,
            wishes: Wishes { models: &models, within: self.within, ..Wishes::NONE },
            ..CallFacts::of_model("mix")
        };
        plan(&feed.view(), &facts, now(), 0).ok()
    }

    /// Where it may be processed, by the letter of the rules; `None`: anywhere.
    fn allowed(&self) -> Option<Vec<Area>> {
        let mine = self.policies.iter().filter(|(scope, _)| match scope {
            PolicyScope::Organization => true,
            PolicyScope::Team { team_id } => *team_id == TEAM,
            PolicyScope::Key { key_id } => *key_id == KEY,
        });
        let mut lists: Vec<Areas> = mine.map(|(_, regions)| *regions).collect();
        lists.extend(self.within.map(Areas::from));
        let all = |area: &Area| lists.iter().all(|list| list.contains(*area));
        (!lists.is_empty()).then(|| Area::ALL.into_iter().filter(all).collect())
    }

    /// Where facts say that it runs: `None` where one that holds is unknown, expired or not about this credential.
    fn said(&self, place: usize, credential: &Credential, paid_by: CredentialType) -> Option<Vec<Area>> {
        let region = credential.region.as_deref();
        let surely = |fact: &&Location| {
            fact.operation.is_none_or(|operation| operation == self.operation())
                && fact.region.as_deref().is_none_or(|named| region == Some(named))
        };
        let perhaps = |fact: &&Location| {
            fact.operation.is_none_or(|operation| operation == self.operation())
                && fact.region.is_some()
                && region.is_none()
        };
        let exact = |fact: &Location| u8::from(fact.operation.is_some()) + u8::from(fact.region.is_some());
        let facts = &self.facts[place];
        let most = facts.iter().filter(surely).map(exact).max()?;
        let mut areas = Vec::new();
        for fact in facts.iter().filter(|fact| (surely(fact) && exact(fact) == most) || perhaps(fact)) {
            if fact.read_at > now() || fact.expires_at <= now() {
                return None;
            }
            if fact.regional {
                let known = REGIONS.iter().find(|(name, _)| self.placed[place] && Some(*name) == region);
                areas.push(known.and_then(|(_, area)| *area)?);
            } else if paid_by == CredentialType::System {
                areas.extend(fact.areas.iter());
            } else {
                return None;
            }
        }
        Some(areas)
    }

    /// Whether an offering may be called over a credential.
    fn eligible(&self, place: usize, credential: &Credential, paid_by: CredentialType, custom: bool) -> bool {
        let Some(allowed) = self.allowed() else { return true };
        if custom && PLACES[place].0 == "openai/gpt-5" {
            return false;
        }
        let attested = credential.attestation.as_ref().filter(|said| {
            paid_by == CredentialType::Byok
                && !said.areas.is_empty()
                && said.attested_at <= now()
                && now() < said.expires_at
        });
        let attested = attested.map(|said| said.areas.iter().collect::<Vec<_>>());
        let said = self.said(place, credential, paid_by);
        let known = said.iter().chain(&attested).flatten().collect::<Vec<_>>();
        !known.is_empty() && known.into_iter().all(|area| allowed.contains(area))
    }

    /// The candidates that the rules do not allow.
    fn astray(&self, plan: &Plan) -> Option<String> {
        let wrong = plan.candidates.iter().find(|candidate| {
            let place = usize::try_from(candidate.offering.id.to_u128()).unwrap() - 1;
            let credential = candidate.credential.as_ref().unwrap();
            let custom = candidate.custom_name.is_some();
            !self.eligible(place, credential, candidate.credential_type, custom)
        });
        wrong.map(|candidate| format!("{} at {}", candidate.reason(), candidate.provider.slug))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    /// Whatever policies, facts, attestations, fallbacks and credentials say: no attempt can be made where it
    /// may not, candidate by candidate; and what may be asked is asked.
    #[test]
    fn nothing_is_planned_outside_of_where_it_may_run(case in cases()) {
        let planned = case.plan();
        if let Some(plan) = &planned {
            prop_assert_eq!(case.astray(plan), None);
            let allowed = case.allowed().map(|areas| areas.into_iter().collect::<Areas>());
            prop_assert_eq!(plan.policy.regions, allowed);
        }
        let candidates = planned.as_ref().map_or(&[][..], |plan| &plan.candidates[..]);
        for (place, (_, slug)) in PLACES.iter().enumerate() {
            let brings = case.brought.is_some_and(|(brought, ..)| brought == *slug);
            let stored = case.credentials.iter().filter(|own| own.provider.as_str() == *slug).filter_map(|own| {
                let paid_by = match own.scope {
                    CredentialScope::System => CredentialType::System,
                    CredentialScope::Team { team_id } if team_id != TEAM => return None,
                    _ if brings => return None,
                    _ => CredentialType::Byok,
                };
                Some((own.clone(), paid_by, false))
            });
            let brought = case.own().filter(|_| brings).map(|(own, custom)| (own, CredentialType::Client, custom));
            for (own, paid_by, custom) in stored.chain(brought) {
                let there = candidates.iter().any(|candidate| {
                    candidate.offering.id.to_u128() == place as u128 + 1
                        && candidate.credential.as_ref().is_some_and(|by| by.id == own.id)
                });
                let may = case.eligible(place, &own, paid_by, custom);
                prop_assert_eq!(there, may, "{} over {}", slug, own.name);
            }
        }
    }
}

/// The property means something only where many cases serve, many are refused for the sake of places, and a plan
/// that forgets the demands is found out.
#[test]
fn a_planner_that_forgets_the_demands_is_found_out() {
    let mut runner = TestRunner::deterministic();
    let (mut served, mut without, mut caught) = (0, 0, 0);
    for _ in 0..600 {
        let case = cases().new_tree(&mut runner).unwrap().current();
        if case.allowed().is_none() {
            continue;
        }
        if let Some(plan) = case.plan() {
            served += 1;
            let for_place = |filter: &Filter| matches!(filter, Filter::Residency { .. });
            without += usize::from(plan.removed.iter().any(|removed| for_place(&removed.filter)));
        }
        let forgetful = Case { policies: Vec::new(), within: None, ..case.clone() };
        caught += usize::from(forgetful.plan().is_some_and(|plan| case.astray(&plan).is_some()));
    }
    assert!(
        served > 40 && without > 30 && caught > 200,
        "{served} served, {without} not by all, {caught} caught"
    );
}
