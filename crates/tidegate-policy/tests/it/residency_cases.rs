//! Random policies, facts, attestations and requests: no attempt can be made where a call may not be processed,
//! by a reading of the rules that shares nothing with the plan's.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tidegate_policy::{CallFacts, Filter, Plan, RequestCredential, Wishes, plan};
use tidegate_types::resource::*;
use tidegate_types::usage::CredentialType;
use tidegate_types::{CredentialId, TeamId};

use crate::fixtures::*;
use crate::residency::fact;

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
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

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
