//! Data handling by operation, feature, region and credential: nothing reaches an offering that is not eligible.

use proptest::prelude::*;
use tidegate_policy::{CallFacts, Filter, Plan, RequestCredential, Wishes, plan};
use tidegate_types::resource::*;
use tidegate_types::usage::CredentialType;
use tidegate_types::{CredentialId, OfferingId, PolicyId, TeamId, Timestamp};

use crate::fixtures::*;

const TIERS: [ZdrTier; 4] =
    [ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];

fn part(retention: Retention, training: Training) -> PartHandling {
    PartHandling {
        operation: None,
        feature: None,
        region: None,
        retention,
        training,
        source: "part".into(),
        read_at: Timestamp::from_seconds(0),
        expires_at: now().plus_millis(1_000),
    }
}

fn keeps(also: Vec<PartHandling>) -> Option<DataHandling> {
    Some(DataHandling { also, ..handling(Retention::None, Training::Never) })
}

/// `openai/gpt-5` at openai only, with these facts.
fn offered(facts: Option<DataHandling>) -> Feed {
    let mut feed = Feed::standard();
    let mut source = offering(SYSTEM, 1, "openai/gpt-5", "openai", 1);
    source.data_handling = facts;
    feed.send_one(Resource::Offering(source));
    feed.send_one(Resource::Offering(Offering {
        enabled: false,
        ..offering(SYSTEM, 2, "openai/gpt-5", "azure", 1)
    }));
    feed
}

fn zdr() -> CallFacts<'static> {
    CallFacts {
        zdr_asked: ZdrTier::Zdr,
        operation: Some(Operation::Language),
        ..CallFacts::of_model("openai/gpt-5")
    }
}

#[test]
fn a_feature_is_refused_by_name_unless_a_fact_names_it() {
    let searched = ["web_search_20250305".to_owned()];
    let asked = CallFacts { features: &searched, ..zdr() };
    let refusal = offered(keeps(Vec::new())).plan(&asked).unwrap_err();
    assert!(refusal.to_string().contains("web_search_20250305"), "{refusal}");
    assert_eq!(refusal.demanded(), Some(ZdrTier::Zdr));
    let named = PartHandling {
        feature: Some("web_search_20250305".into()),
        ..part(Retention::None, Training::Never)
    };
    let plan = offered(keeps(vec![named.clone()])).plan(&asked).unwrap();
    let vouched: Vec<_> = plan.candidates[0].vouched.iter().map(|by| by.feature.as_deref()).collect();
    assert_eq!(vouched, [None, Some("web_search_20250305")]);
    for weak in [
        PartHandling { retention: Retention::Retains, ..named.clone() },
        PartHandling { expires_at: now(), ..named.clone() },
        PartHandling { feature: Some("web_search_20260209".into()), ..named },
    ] {
        assert!(offered(keeps(vec![weak.clone()])).plan(&asked).is_err(), "{weak:?}");
    }
    // Without a demand nothing needs to be known of it.
    let free = CallFacts { zdr_asked: ZdrTier::None, ..asked };
    assert!(offered(None).plan(&free).unwrap().candidates[0].vouched.is_empty());
}

#[test]
fn a_fact_of_the_operation_holds_before_the_general_one() {
    let batch =
        PartHandling { operation: Some(Operation::Embedding), ..part(Retention::Retains, Training::Never) };
    let feed = offered(keeps(vec![batch]));
    assert!(feed.plan(&zdr()).is_ok());
    assert!(feed.plan(&CallFacts { operation: Some(Operation::Embedding), ..zdr() }).is_err());
    // What is asked for is unknown: the weakest that could hold does.
    assert!(feed.plan(&CallFacts { operation: None, ..zdr() }).is_err());
}

#[test]
fn a_fact_of_a_region_holds_for_credentials_of_that_region() {
    let kept = PartHandling { region: Some("eu-central-1".into()), ..part(Retention::None, Training::Never) };
    let base = DataHandling { also: vec![kept], ..handling(Retention::Retains, Training::Never) };
    let mut feed = offered(Some(base));
    let at = |region: Option<&str>| {
        Resource::Credential(Credential {
            region: region.map(str::to_owned),
            ..credential(SYSTEM, 1, "openai", CredentialScope::System)
        })
    };
    for (region, served) in [(Some("eu-central-1"), true), (Some("us-east-1"), false), (None, false)] {
        feed.send_one(at(region));
        let planned = feed.plan(&zdr());
        assert_eq!(planned.is_ok(), served, "{region:?}");
        if let Err(refusal) = planned {
            let over = Some(CredentialId::from_u128(1));
            assert!(refusal.removed.iter().any(|removed| removed.credential == over), "{refusal:?}");
        }
    }
}

fn attested(tier: ZdrTier, from: i64, until: i64) -> Attestation {
    Attestation {
        tier,
        areas: Areas::NONE,
        statement: "contract 7".into(),
        by: "somebody".into(),
        attested_at: now().plus_millis(from),
        expires_at: now().plus_millis(until),
    }
}

#[test]
fn an_own_credential_counts_while_its_owner_attests_the_terms() {
    let mut feed = offered(None);
    let mut own = |attestation| {
        feed.send_one(Resource::Credential(Credential {
            attestation,
            ..credential(ORG, 21, "openai", CredentialScope::Organization)
        }));
        feed.plan(&zdr())
    };
    assert!(own(None).is_err());
    let plan = own(Some(attested(ZdrTier::Zdr, 0, 1))).unwrap();
    assert_eq!(summary(&plan), ["openai openai/gpt-5 cred21"]);
    assert_eq!(plan.candidates[0].vouched[0].source, "attested by somebody: contract 7");
    assert!(plan.candidates[0].is_vouched_at(now()));
    assert!(!plan.candidates[0].is_vouched_at(now().plus_millis(1)));
    for weak in [
        attested(ZdrTier::ZdrWithSafetyRetention, 0, 1),
        attested(ZdrTier::Zdr, -5, 0),
        attested(ZdrTier::Zdr, 1, 5),
    ] {
        assert!(own(Some(weak.clone())).is_err(), "{weak:?}");
    }
}

/// Facts of an offering, credentials and demands of one case.
#[derive(Debug, Clone)]
struct Case {
    facts: Vec<Option<DataHandling>>,
    credentials: Vec<Credential>,
    policies: Vec<(PolicyScope, ZdrTier)>,
    asked: ZdrTier,
    feature: bool,
    brought: Option<&'static str>,
    embedding: bool,
}

const PLACES: [(&str, &str); 4] = [
    ("openai/gpt-5", "openai"),
    ("openai/gpt-5", "azure"),
    ("anthropic/claude-sonnet-4.5", "anthropic"),
    ("anthropic/claude-sonnet-4.5", "bedrock"),
];
const FEATURE: &str = "search";

fn some_facts() -> impl Strategy<Value = Option<DataHandling>> {
    let retention = || prop::sample::select(vec![Retention::None, Retention::SafetyOnly, Retention::Retains]);
    let training = || prop::sample::select(vec![Training::Never, Training::Never, Training::May]);
    let dead = || prop::bool::weighted(0.2);
    let one = (
        prop::option::of(prop::sample::select(vec![Operation::Language, Operation::Embedding])),
        prop::option::weighted(0.6, prop::sample::select(vec![FEATURE, "other"])),
        prop::option::of(prop::sample::select(vec!["eu", "us"])),
        (retention(), training(), dead()),
    )
        .prop_map(|(operation, feature, region, (retention, training, dead))| PartHandling {
            operation,
            feature: feature.map(str::to_owned),
            region: region.map(str::to_owned),
            expires_at: now().plus_millis(i64::from(!dead)),
            ..part(retention, training)
        })
        .prop_filter("a part of something", |part| {
            part.operation.is_some() || part.feature.is_some() || part.region.is_some()
        });
    let base = (retention(), training(), dead(), prop::collection::vec(one, 0..4)).prop_map(
        |(retention, training, dead, also)| DataHandling {
            also,
            expires_at: now().plus_millis(i64::from(!dead)),
            ..handling(retention, training)
        },
    );
    prop::option::weighted(0.9, base)
}

fn some_credential() -> impl Strategy<Value = Credential> {
    let scope = prop::sample::select(vec![
        CredentialScope::System,
        CredentialScope::System,
        CredentialScope::Organization,
        CredentialScope::Team { team_id: TEAM },
        CredentialScope::Team { team_id: TeamId::from_u128(404) },
    ]);
    let attestation = (prop::sample::select(TIERS.to_vec()), -2..2i64, 0..3i64);
    (
        scope,
        0..4usize,
        prop::option::of(prop::sample::select(vec!["eu", "us"])),
        prop::option::of(attestation),
    )
        .prop_map(|(scope, provider, region, attestation)| {
            let owner = if scope == CredentialScope::System { SYSTEM } else { ORG };
            Credential {
                region: region.map(str::to_owned),
                attestation: attestation.map(|(tier, from, length)| attested(tier, from, from + length + 1)),
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
    let tier = || prop::sample::select(TIERS.to_vec());
    (
        prop::collection::vec(some_facts(), 4),
        prop::collection::vec(some_credential(), 1..8),
        prop::collection::vec((scope, tier()), 0..4),
        tier(),
        any::<bool>(),
        prop::option::weighted(0.2, prop::sample::select(vec!["openai", "anthropic"])),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(facts, credentials, policies, asked, feature, brought, embedding)| Case {
            facts,
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
            asked,
            feature,
            brought,
            embedding,
        })
}

impl Case {
    fn operation(&self) -> Operation {
        if self.embedding { Operation::Embedding } else { Operation::Language }
    }

    fn plan(&self) -> Option<Plan> {
        let mut feed = Feed::new();
        let system = catalogue().into_iter().filter(|one| !matches!(one, Resource::Credential(_)));
        feed.send(system.collect());
        feed.send(vec![organization(ORG), team(ORG, TEAM), key(ORG, KEY)]);
        for (place, (facts, (model, provider))) in self.facts.iter().zip(PLACES).enumerate() {
            let mut source = offering(SYSTEM, place as u128 + 1, model, provider, 1);
            source.data_handling.clone_from(facts);
            feed.send_one(Resource::Offering(source));
        }
        feed.send(self.credentials.iter().cloned().map(Resource::Credential).collect());
        for (place, (scope, zdr)) in self.policies.iter().enumerate() {
            feed.send_one(Resource::Policy(Policy {
                id: PolicyId::from_u128(place as u128 + 1),
                privacy: Privacy::of_tier(*zdr),
                ..policy(place as u128 + 1, *scope)
            }));
        }
        let fallbacks = vec![target("anthropic/claude-sonnet-4.5", 1)];
        feed.send_one(Resource::Route(route(1, "mix", vec![target("openai/gpt-5", 1)], fallbacks)));
        let features = [FEATURE.to_owned()];
        let brought: Vec<_> = self
            .brought
            .iter()
            .map(|slug| RequestCredential {
                credential: credential(ORG, 9_999, slug, CredentialScope::Team { team_id: TEAM }).into(),
                models: Vec::new(),
            })
            .collect();
        let models = ["anthropic/claude-sonnet-4.5".to_owned()];
        let facts = CallFacts {
            zdr_asked: self.asked,
            operation: Some(self.operation()),
            features: if self.feature { &features } else { &[] },
            credentials: &brought,
            wishes: Wishes { models: &models, ..Wishes::NONE },
            ..CallFacts::of_model("mix")
        };
        plan(&feed.view(), &facts, now(), 0).ok()
    }

    fn demanded(&self) -> ZdrTier {
        let mine = self.policies.iter().filter(|(scope, _)| match scope {
            PolicyScope::Organization => true,
            PolicyScope::Team { team_id } => *team_id == TEAM,
            PolicyScope::Key { key_id } => *key_id == KEY,
        });
        mine.map(|(_, zdr)| *zdr).max().unwrap_or_default().max(self.asked)
    }

    /// What is promised of a use, read from the facts as they are written.
    fn promised(&self, facts: &DataHandling, region: Option<&str>, feature: Option<&str>) -> ZdrTier {
        let tier = |retention, training, until: Timestamp| match (training, retention) {
            _ if until <= now() => ZdrTier::None,
            (Training::May, _) => ZdrTier::None,
            (Training::Never, Retention::Retains) => ZdrTier::NoTraining,
            (Training::Never, Retention::SafetyOnly) => ZdrTier::ZdrWithSafetyRetention,
            (Training::Never, Retention::None) => ZdrTier::Zdr,
        };
        // Each fact with how exactly it speaks of the use: surely, or only perhaps (`None`).
        let mut said: Vec<(Option<u8>, ZdrTier)> = Vec::new();
        if feature.is_none() {
            said.push((Some(0), tier(facts.retention, facts.training, facts.expires_at)));
        }
        for one in facts.also.iter().filter(|one| one.feature.as_deref() == feature) {
            let operation = one.operation.is_none_or(|operation| operation == self.operation());
            let elsewhere = match (&one.region, region) {
                (Some(named), Some(mine)) => named != mine,
                _ => false,
            };
            if !operation || elsewhere {
                continue;
            }
            let promised = tier(one.retention, one.training, one.expires_at);
            let perhaps = one.region.is_some() && region.is_none();
            let exact = u8::from(one.operation.is_some()) + u8::from(one.region.is_some());
            said.push(((!perhaps).then_some(exact), promised));
        }
        let Some(exact) = said.iter().filter_map(|(exact, _)| *exact).max() else { return ZdrTier::None };
        let holding = said.iter().filter(|(of, _)| of.is_none_or(|of| of == exact));
        holding.map(|(_, tier)| *tier).min().unwrap_or_default()
    }

    /// Whether an offering may be called over a credential, by the letter of the rules.
    fn eligible(&self, place: usize, credential: &Credential, paid_by: CredentialType) -> bool {
        let demanded = self.demanded();
        if demanded == ZdrTier::None {
            return true;
        }
        let region = credential.region.as_deref();
        let Some(facts) = &self.facts[place] else {
            return !self.feature && paid_by == CredentialType::Byok && self.attests(credential);
        };
        let feature = !self.feature || self.promised(facts, region, Some(FEATURE)) >= demanded;
        let own = paid_by != CredentialType::System;
        let terms = match paid_by {
            CredentialType::Byok if self.attests(credential) => true,
            _ if own && demanded >= ZdrTier::ZdrWithSafetyRetention => false,
            _ => self.promised(facts, region, None) >= demanded,
        };
        feature && terms
    }

    fn attests(&self, credential: &Credential) -> bool {
        credential.attestation.as_ref().is_some_and(|said| {
            said.attested_at <= now() && now() < said.expires_at && said.tier >= self.demanded()
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    /// Whatever policies, facts, attestations and fallbacks say: what is planned is eligible, candidate by
    /// candidate, so that no failure of one leads to another that is not; and what is eligible is planned.
    #[test]
    fn nothing_is_planned_that_is_not_eligible(case in cases()) {
        let planned = case.plan();
        let candidates = planned.as_ref().map_or(&[][..], |plan| &plan.candidates[..]);
        for candidate in candidates {
            let place = usize::try_from(candidate.offering.id.to_u128()).unwrap() - 1;
            let credential = candidate.credential.as_ref().unwrap();
            prop_assert!(case.eligible(place, credential, candidate.credential_type), "{}", candidate.reason());
            prop_assert_eq!(candidate.vouched.is_empty(), case.demanded() == ZdrTier::None);
            prop_assert!(candidate.is_vouched_at(now()));
        }
        for (place, (_, provider)) in PLACES.iter().enumerate() {
            let brings = case.brought == Some(*provider);
            for own in case.credentials.iter().filter(|own| own.provider.as_str() == *provider) {
                let paid_by = match own.scope {
                    CredentialScope::System => CredentialType::System,
                    CredentialScope::Team { team_id } if team_id != TEAM => continue,
                    _ if brings => continue,
                    _ => CredentialType::Byok,
                };
                let there = candidates.iter().any(|candidate| {
                    candidate.offering.id == OfferingId::from_u128(place as u128 + 1)
                        && candidate.credential.as_ref().is_some_and(|by| by.id == own.id)
                });
                prop_assert_eq!(there, case.eligible(place, own, paid_by), "{} over {}", provider, own.name);
            }
        }
        if let Some(plan) = &planned {
            prop_assert_eq!(plan.policy.zdr, case.demanded());
        }
    }
}

/// The property means something only where many cases serve and many refuse for the sake of data handling.
#[test]
fn the_cases_are_worth_their_time() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut served, mut refused) = (0, 0);
    for _ in 0..400 {
        let case = cases().new_tree(&mut runner).unwrap().current();
        let strict = case.demanded() > ZdrTier::None;
        match case.plan() {
            Some(plan) if strict => {
                served += 1;
                let for_data = |one: &tidegate_policy::Removed| {
                    matches!(one.filter, Filter::Zdr { .. } | Filter::Feature { .. } | Filter::Unattested)
                };
                refused += usize::from(plan.removed.iter().any(for_data));
            }
            _ => {}
        }
    }
    assert!(served > 60 && refused > 40, "{served} served, {refused} of them without some offerings");
}
