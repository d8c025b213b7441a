//! The plan against a naive reading of the rules: straight from the resources, without indexes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tidegate_policy::{CallFacts, Condition, Filter, Measured, Vitals, Wishes, plan};
use tidegate_types::resource::*;
use tidegate_types::{ModelId, PicoUsd, ProviderId, TeamId};

use crate::fixtures::*;

const MODELS: [&str; 3] = ["openai/gpt-5", "anthropic/claude-sonnet-4.5", "acme/llama"];
const PROVIDERS: [&str; 5] = ["openai", "azure", "anthropic", "bedrock", "in-house"];
const TIERS: [ZdrTier; 4] =
    [ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];

/// Everything of one case.
#[derive(Debug, Clone)]
pub(crate) struct World {
    providers: Vec<Provider>,
    models: Vec<Model>,
    offerings: Vec<Offering>,
    credentials: Vec<Credential>,
    policies: Vec<Policy>,
    key: VirtualKey,
    targets: Vec<RouteTarget>,
    pub(crate) facts: CallFacts<'static>,
}

fn names(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(all, 0..=all.len()).prop_flat_map(|some| {
        // Half of the lists are empty, which allows everything.
        prop_oneof![Just(Vec::new()), Just(some)]
    })
}

fn lists() -> impl Strategy<Value = (Vec<String>, Vec<tidegate_types::ProviderSlug>)> {
    (names(&MODELS), any::<bool>(), names(&PROVIDERS)).prop_map(|(models, creators, providers)| {
        let pattern = |name: &str| {
            if creators { format!("{}/*", name.split('/').next().unwrap()) } else { name.to_owned() }
        };
        (
            models.into_iter().map(pattern).collect(),
            providers.iter().map(|slug| slug.parse().unwrap()).collect(),
        )
    })
}

fn some_policy() -> impl Strategy<Value = Policy> {
    let scopes = prop_oneof![
        Just(PolicyScope::Organization),
        Just(PolicyScope::Team { team_id: TEAM }),
        Just(PolicyScope::Key { key_id: KEY }),
        Just(PolicyScope::Team { team_id: TeamId::from_u128(404) }),
    ];
    (scopes, lists(), 0..6usize, prop::bool::weighted(0.3), prop::option::weighted(0.3, any::<bool>()))
        .prop_map(|(scope, (allow_models, allow_providers), zdr, ceiling, allow_system_credentials)| Policy {
            allow_models,
            allow_providers,
            privacy: Privacy::of_tier(TIERS[zdr.saturating_sub(2)]),
            ceiling_price: ceiling.then_some(PicoUsd::new(9)),
            allow_system_credentials,
            ..policy(0, scope)
        })
}

fn some_offering() -> impl Strategy<Value = Offering> {
    let facts = prop_oneof![
        Just(None),
        Just(Some(handling(Retention::None, Training::Never))),
        Just(Some(handling(Retention::SafetyOnly, Training::Never))),
        Just(Some(handling(Retention::Retains, Training::Never))),
        Just(Some(handling(Retention::None, Training::May))),
        Just(Some(DataHandling { expires_at: now(), ..handling(Retention::None, Training::Never) })),
    ];
    (
        prop::bool::weighted(0.3),
        0..3usize,
        0..5usize,
        facts,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.9),
        prop::option::of(10..50u32),
    )
        .prop_map(|(own, model, provider, data_handling, priced, enabled, max_output_tokens)| {
            let owner = if own { ORG } else { SYSTEM };
            let mut source = offering(owner, 0, MODELS[model], PROVIDERS[provider], 7);
            if !priced {
                source.prices.clear();
            }
            Offering { data_handling, enabled, max_output_tokens, ..source }
        })
}

fn some_credential() -> impl Strategy<Value = Credential> {
    let scopes = prop_oneof![
        Just(CredentialScope::System),
        Just(CredentialScope::System),
        Just(CredentialScope::Organization),
        Just(CredentialScope::Team { team_id: TEAM }),
        Just(CredentialScope::Team { team_id: TeamId::from_u128(404) }),
    ];
    let weight = prop::option::of(1..5u32);
    (scopes, 0..5usize, prop::bool::weighted(0.85), weight).prop_map(|(scope, provider, enabled, weight)| {
        let owner = if scope == CredentialScope::System { SYSTEM } else { ORG };
        Credential { enabled, weight, ..credential(owner, 0, PROVIDERS[provider], scope) }
    })
}

/// Names that live as long as the tests.
fn kept(names: Vec<&str>) -> &'static [String] {
    Box::leak(names.into_iter().map(str::to_owned).collect())
}

fn some_wishes() -> impl Strategy<Value = Wishes<'static>> {
    const HOMES: [&[&str]; 8] = [&[], &[], &[], &[], &[], &["US"], &["!US", "!DE"], &["DE", "FR"]];
    let only = prop_oneof![2 => Just(Vec::new()), 1 => names(&PROVIDERS)];
    (only, names(&PROVIDERS), names(&MODELS), prop::bool::weighted(0.1), 0..HOMES.len()).prop_map(
        |(only, order, models, tools, home)| Wishes {
            only: kept(only),
            order: kept(order),
            models: kept(models.into_iter().rev().collect()),
            has: Capabilities { tools, ..Capabilities::default() },
            headquarters: kept(HOMES[home].to_vec()),
            ..Wishes::NONE
        },
    )
}

/// Providers whose number is divisible by three are down, those by two degraded.
#[derive(Debug)]
struct Numbers;

impl Measured for Numbers {
    fn vitals(&self, provider: ProviderId, _: ModelId) -> Vitals {
        let condition = match bits(provider) {
            id if id.is_multiple_of(3) => Condition::Down,
            id if id.is_multiple_of(2) => Condition::Degraded,
            _ => Condition::Fine,
        };
        Vitals { condition, ..Vitals::default() }
    }
}

fn some_facts() -> impl Strategy<Value = CallFacts<'static>> {
    (0..4usize, prop::bool::weighted(0.3), prop::option::of(1..60u32), 0..8usize, some_wishes()).prop_map(
        |(asked, tools, max_output_tokens, zdr, wishes)| CallFacts {
            wishes,
            measured: &Numbers,
            needs: Capabilities { tools, ..Capabilities::default() },
            max_output_tokens,
            zdr_asked: TIERS[zdr.saturating_sub(4)],
            ..CallFacts::of_model(["mix", MODELS[0], MODELS[1], MODELS[2]][asked])
        },
    )
}

pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let providers =
        proptest::collection::vec((any::<bool>(), prop::bool::weighted(0.9), prop::bool::weighted(0.2)), 10);
    let models = proptest::collection::vec(any::<bool>(), 3);
    let targets = proptest::collection::vec((0..3usize, 0..3u32, names(&PROVIDERS)), 1..4);
    (
        providers,
        models,
        proptest::collection::vec(some_offering(), 1..10),
        proptest::collection::vec(some_credential(), 0..10),
        proptest::collection::vec(some_policy(), 0..3),
        lists(),
        targets,
        some_facts(),
    )
        .prop_map(
            |(
                providers,
                models,
                offerings,
                credentials,
                policies,
                (allow_models, allow_providers),
                targets,
                facts,
            )| {
                let mut key = virtual_key(ORG, KEY);
                key.allow =
                    AllowList { models: allow_models, providers: allow_providers, ..AllowList::default() };
                let mut targets: Vec<RouteTarget> = targets
                    .into_iter()
                    .map(|(model, weight, providers)| RouteTarget {
                        providers: providers.iter().map(|slug| slug.parse().unwrap()).collect(),
                        ..target(MODELS[model], weight)
                    })
                    .collect();
                targets[0].weight = targets[0].weight.max(1);
                World {
                    providers: some_providers(&providers),
                    models: MODELS
                        .iter()
                        .zip(models)
                        .zip(1..)
                        .map(|((name, tools), id)| Model {
                            capabilities: Capabilities { tools, ..Capabilities::default() },
                            ..model(SYSTEM, id, name)
                        })
                        .collect(),
                    offerings: offerings
                        .into_iter()
                        .zip(1..)
                        .map(|(o, id)| Offering { id: tidegate_types::OfferingId::from_u128(id), ..o })
                        .collect(),
                    credentials: credentials
                        .into_iter()
                        .zip(1..)
                        .map(|(c, id)| Credential { id: tidegate_types::CredentialId::from_u128(id), ..c })
                        .collect(),
                    policies: policies
                        .into_iter()
                        .zip(1..)
                        .map(|(p, id)| Policy { id: tidegate_types::PolicyId::from_u128(id), ..p })
                        .collect(),
                    key,
                    targets,
                    facts,
                }
            },
        )
}

/// The first five are the system's, the rest the organization's own; some exist.
fn some_providers(choices: &[(bool, bool, bool)]) -> Vec<Provider> {
    let named = PROVIDERS.iter().cycle().zip(1u128..).zip(choices);
    named
        .filter(|((_, id), (exists, _, _))| *id <= 5 || *exists)
        .map(|((slug, id), (_, enabled, open))| {
            let owner = if id <= 5 { SYSTEM } else { ORG };
            let auth = if *open { AuthScheme::None } else { AuthScheme::Bearer };
            let headquarters =
                [None, Some("US"), Some("DE"), Some("CN")][(id % 4) as usize].map(str::to_owned);
            Provider { enabled: *enabled, auth, headquarters, ..provider(owner, id, slug) }
        })
        .collect()
}

impl World {
    pub(crate) fn feed(&self) -> Feed {
        let mut feed = Feed::new();
        let mut all: Vec<Resource> =
            vec![organization(ORG), team(ORG, TEAM), Resource::Key(self.key.clone())];
        all.extend(self.providers.iter().cloned().map(Resource::Provider));
        all.extend(self.models.iter().cloned().map(Resource::Model));
        all.extend(self.offerings.iter().cloned().map(Resource::Offering));
        all.extend(self.credentials.iter().cloned().map(Resource::Credential));
        all.extend(self.policies.iter().cloned().map(Resource::Policy));
        all.push(Resource::Route(route(1, "mix", self.targets.clone(), vec![target(MODELS[1], 1)])));
        for applied in feed.send(all) {
            assert_eq!(applied.rejected, []);
        }
        feed
    }

    fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().filter(|policy| match policy.scope {
            PolicyScope::Organization => true,
            PolicyScope::Team { team_id } => team_id == TEAM,
            PolicyScope::Key { key_id } => key_id == KEY,
        })
    }

    fn listed(patterns: &[String], model: &str) -> bool {
        patterns.is_empty()
            || patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(creator) => model.starts_with(creator),
                None => pattern == model,
            })
    }

    fn may(&self, offering: &Offering) -> bool {
        let (model, provider) = (offering.model.as_str(), &offering.provider);
        let one_of = |list: &[tidegate_types::ProviderSlug]| list.is_empty() || list.contains(provider);
        Self::listed(&self.key.allow.models, model)
            && one_of(&self.key.allow.providers)
            && self
                .policies()
                .all(|policy| Self::listed(&policy.allow_models, model) && one_of(&policy.allow_providers))
    }

    fn tier(&self) -> ZdrTier {
        self.policies().map(|policy| policy.privacy.zdr).max().unwrap_or_default().max(self.facts.zdr_asked)
    }

    fn private_enough(&self, offering: &Offering) -> bool {
        let facts = offering.data_handling.as_ref().filter(|facts| now() < facts.expires_at);
        match self.tier() {
            ZdrTier::None => true,
            ZdrTier::NoTraining => facts.is_some_and(|facts| facts.training == Training::Never),
            ZdrTier::ZdrWithSafetyRetention => facts.is_some_and(|facts| {
                facts.training == Training::Never && facts.retention != Retention::Retains
            }),
            ZdrTier::Zdr => facts
                .is_some_and(|facts| facts.training == Training::Never && facts.retention == Retention::None),
        }
    }

    /// The provider that an offering is at: the system's for the system's, else the own one first.
    fn provider_of(&self, offering: &Offering) -> Option<&Provider> {
        let by =
            |owner| self.providers.iter().find(|p| p.slug == offering.provider && p.organization_id == owner);
        if offering.organization_id == SYSTEM { by(SYSTEM) } else { by(ORG).or_else(|| by(SYSTEM)) }
    }

    fn usable(&self, credential: &Credential, offering: &Offering, provider: &Provider) -> bool {
        if !credential.enabled || credential.provider != provider.slug {
            return false;
        }
        let own_name = self.providers.iter().any(|p| p.slug == provider.slug && p.organization_id == ORG);
        let meant = provider.organization_id == ORG || !own_name;
        let own_price = offering.organization_id == SYSTEM
            && self.offerings.iter().any(|own| {
                let same = own.model == offering.model && own.provider == offering.provider;
                own.organization_id == ORG && same && own.enabled && !own.prices.is_empty()
            });
        let attested = offering.organization_id == ORG || self.tier() < ZdrTier::ZdrWithSafetyRetention;
        match credential.scope {
            CredentialScope::System => {
                offering.organization_id == SYSTEM
                    && self.policies().all(|policy| policy.allow_system_credentials != Some(false))
            }
            CredentialScope::Organization => meant && attested && !own_price,
            CredentialScope::Team { team_id } => team_id == TEAM && meant && attested && !own_price,
        }
    }

    /// Offering and credential of everybody who may answer.
    fn candidates(&self) -> BTreeSet<(u128, Option<u128>)> {
        let mut found = BTreeSet::new();
        let fallback = target(MODELS[1], 1);
        let direct =
            MODELS.iter().map(|name| target(name, 1)).find(|t| t.model.as_str() == self.facts.model_asked);
        let mut targets: Vec<&RouteTarget> = match &direct {
            Some(direct) => vec![direct],
            None => self.targets.iter().chain([&fallback]).filter(|target| target.weight > 0).collect(),
        };
        let wishes = &self.facts.wishes;
        let wished: Vec<RouteTarget> = wishes.models.iter().map(|name| target(name, 1)).collect();
        targets.extend(&wished);
        for offering in &self.offerings {
            let asked = targets.iter().any(|target| {
                target.model == offering.model
                    && (target.providers.is_empty() || target.providers.contains(&offering.provider))
            });
            let model = self.models.iter().find(|model| model.name == offering.model).unwrap();
            let most = offering.max_output_tokens.unwrap_or(model.max_output_tokens);
            let tools = self.facts.needs.tools || wishes.has.tools;
            let able = (!tools || model.capabilities.tools)
                && self.facts.max_output_tokens.is_none_or(|asked| asked <= most);
            let priced =
                !offering.prices.is_empty() || self.policies().any(|policy| policy.ceiling_price.is_some());
            let Some(provider) = self.provider_of(offering) else { continue };
            let enabled = provider.enabled && offering.enabled;
            let home = provider.headquarters.as_deref();
            let wanted = |code: &String| match code.strip_prefix('!') {
                Some(code) => home.is_some_and(|home| home != code),
                None => home == Some(&**code),
            };
            let excluding = wishes.headquarters.iter().all(|code| code.starts_with('!'));
            let at_home = match excluding {
                true => wishes.headquarters.iter().all(wanted),
                false => wishes.headquarters.iter().any(wanted),
            };
            let meant =
                wishes.only.is_empty() || wishes.only.iter().any(|slug| slug == offering.provider.as_str());
            if !(at_home && meant) {
                continue;
            }
            if !(asked && able && priced && enabled && self.may(offering) && self.private_enough(offering)) {
                continue;
            }
            if provider.auth == AuthScheme::None {
                found.insert((bits(offering.id), None));
                continue;
            }
            let usable =
                self.credentials.iter().filter(|credential| self.usable(credential, offering, provider));
            found.extend(usable.map(|credential| (bits(offering.id), Some(bits(credential.id)))));
        }
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_plan_has_exactly_the_candidates_that_the_rules_allow(world in worlds(), draw: u64) {
        let wanted = world.candidates();
        match plan(&world.feed().view(), &world.facts, now(), draw) {
            Err(refusal) => prop_assert!(wanted.is_empty(), "{refusal}: {wanted:?} were allowed"),
            Ok(plan) => {
                let found: Vec<_> = plan
                    .candidates
                    .iter()
                    .map(|c| (bits(c.offering.id), c.credential.as_ref().map(|credential| bits(credential.id))))
                    .collect();
                let distinct: BTreeSet<_> = found.iter().copied().collect();
                prop_assert_eq!(distinct.len(), found.len(), "nobody comes twice");
                prop_assert_eq!(distinct, wanted);
                // Within one model: those that are down last, and before that the caller's order.
                for pair in plan.candidates.windows(2).filter(|pair| pair[0].model.id == pair[1].model.id) {
                    if pair[0].role != pair[1].role {
                        continue;
                    }
                    let key = |c: &tidegate_policy::Candidate| {
                        let slug = c.provider.slug.as_str();
                        let order = world.facts.wishes.order.iter().position(|name| name == slug);
                        (c.vitals.condition == Condition::Down, order.unwrap_or(usize::MAX))
                    };
                    prop_assert!(key(&pair[0]) <= key(&pair[1]), "{:?}", summary(&plan));
                }
                let unwanted = plan.removed.iter().filter(|removed| removed.filter == Filter::Only);
                for removed in unwanted {
                    let slug = removed.provider.as_ref().unwrap().as_str();
                    prop_assert!(world.facts.wishes.only.iter().all(|name| name != slug));
                }
                let removed = plan.removed.iter().filter(|removed| removed.credential.is_some());
                prop_assert!(removed.count() <= world.credentials.len() * world.offerings.len() * 4);
            }
        }
    }

    #[test]
    fn the_same_arguments_give_the_same_plan(world in worlds(), draw: u64) {
        let (one, other) = (world.feed(), world.feed());
        let text = |feed: &Feed| match plan(&feed.view(), &world.facts, now(), draw) {
            Ok(plan) => format!("{:?} {:?}", summary(&plan), plan.removed),
            Err(refusal) => format!("{refusal} {:?}", refusal.removed),
        };
        prop_assert_eq!(text(&one), text(&other));
    }
}

/// The comparison above means something only if many cases have candidates.
#[test]
fn the_cases_are_worth_comparing() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = worlds();
    let served = (0..400)
        .filter(|_| {
            let world = strategy.new_tree(&mut runner).unwrap().current();
            !world.candidates().is_empty()
        })
        .count();
    assert!((40..360).contains(&served), "{served} of 400 cases have candidates");
}
