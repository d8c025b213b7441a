//! Any history of changes, cut into any batches, ends as one fresh snapshot does; bad ones never widen.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_policy::{CallFacts, Config, Incoming, Part, models_for, plan};
use tidegate_types::resource::*;
use tidegate_types::{Digest, KeyId, Revision, Shard};

use crate::fixtures::*;

const MODELS: [&str; 2] = ["openai/gpt-5", "anthropic/claude-sonnet-4.5"];
const PROVIDERS: [&str; 4] = ["openai", "azure", "anthropic", "bedrock"];
const ASKED: [&str; 6] = ["openai/gpt-5", "claude-sonnet-4-5", "r1", "r2", "gpt-latest", "nothing"];
const KEYS: [KeyId; 3] = [KEY, KeyId::from_u128(2), KeyId::from_u128(3)];

fn some_models() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(prop_oneof![Just("openai/*"), Just(MODELS[0]), Just(MODELS[1])], 0..3)
        .prop_map(|models| models.into_iter().map(Into::into).collect())
}

fn some_scope() -> impl Strategy<Value = PolicyScope> {
    prop_oneof![
        Just(PolicyScope::Organization),
        Just(PolicyScope::Team { team_id: TEAM }),
        Just(PolicyScope::Key { key_id: KEY }),
    ]
}

/// A resource of the organization; `good` decides whether it compiles.
fn resources(good: bool) -> impl Strategy<Value = Resource> {
    let bad = move |text: &str| if good { text.to_owned() } else { String::new() };
    prop_oneof![
        (0..3usize, some_models(), any::<bool>()).prop_map(move |(which, models, paused)| {
            let mut key = virtual_key(ORG, KEYS[which]);
            (key.name, key.allow.models) = (bad("key"), models);
            key.status = if paused { KeyStatus::Paused } else { KeyStatus::Active };
            Resource::Key(key)
        }),
        (1..4u128, some_scope(), some_models(), 0..4usize).prop_map(move |(id, scope, models, provider)| {
            let mut policy = policy(id, scope);
            (policy.name, policy.allow_models) = (bad("policy"), models);
            if provider < 2 {
                policy.allow_providers =
                    vec![PROVIDERS[provider].parse().unwrap(), PROVIDERS[provider + 1].parse().unwrap()];
            }
            Resource::Policy(policy)
        }),
        (1..4u128, 1..3u128, 0..2usize, 0..2usize).prop_map(move |(id, name, first, second)| {
            let targets = if good { vec![target(MODELS[first], 1)] } else { vec![] };
            Resource::Route(route(id, &format!("r{name}"), targets, vec![target(MODELS[second], 1)]))
        }),
        (1..4u128, any::<bool>(), 0..2usize).prop_map(move |(id, of_key, model)| {
            let scope = Scope {
                key: of_key.then_some(KEY),
                model: (!of_key).then(|| MODELS[model].parse().unwrap()),
                ..Scope::default()
            };
            Resource::Budget(Budget { name: bad("budget"), ..budget(id, scope) })
        }),
        (20..23u128, 0..4usize, any::<bool>()).prop_map(move |(id, provider, enabled)| {
            let source = credential(ORG, id, PROVIDERS[provider], CredentialScope::Organization);
            Resource::Credential(Credential { name: bad("own"), enabled, ..source })
        }),
        any::<bool>().prop_map(move |paused| {
            let Resource::Team(source) = team(ORG, TEAM) else { unreachable!() };
            Resource::Team(Team { name: bad("team"), paused, ..source })
        }),
    ]
}

/// What calls meet, in words that can be compared.
fn observe(config: &Config) -> Vec<String> {
    let mut seen = Vec::new();
    for key in KEYS {
        let Some(view) = config.view(key) else {
            seen.push("unknown".to_owned());
            continue;
        };
        seen.push(format!("{:?}", view.admit(now(), std::net::IpAddr::from([127, 0, 0, 1]))));
        let listed = models_for(&view, now());
        seen.push(listed.iter().map(|listed| listed.name.to_string()).collect::<Vec<_>>().join(" "));
        for asked in ASKED {
            seen.push(match plan(&view, &CallFacts::of_model(asked), now(), 1 << 63) {
                Ok(plan) => {
                    let budgets = plan
                        .candidates
                        .iter()
                        .map(|c| c.budgets.iter().map(|b| b.budget.id).collect::<Vec<_>>());
                    format!("{:?} {:?} {:?}", summary(&plan), budgets.collect::<Vec<_>>(), plan.removed)
                }
                Err(refusal) => format!("{refusal} {:?}", refusal.removed),
            });
        }
    }
    seen
}

fn start() -> Feed {
    let mut feed = Feed::new();
    feed.send(catalogue());
    feed.send(vec![organization(ORG)]);
    feed
}

/// A history: each step a new version of a resource, or its deletion.
fn history() -> impl Strategy<Value = Vec<(Resource, bool)>> {
    proptest::collection::vec((resources(true), prop::bool::weighted(0.2)), 1..40)
}

fn numbered(feed: &mut Feed, history: &[(Resource, bool)]) -> Vec<Incoming> {
    let version = |(resource, deleted): &(Resource, bool)| match deleted {
        true => feed.deletion(resource),
        false => feed.version(resource.clone()),
    };
    history.iter().map(version).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_of_the_changes_equals_one_fresh_snapshot(history in history(), cuts in proptest::collection::vec(1..6usize, 40)) {
        let shard = Shard::of(ORG);
        let mut feed = start();
        let changes = numbered(&mut feed, &history);
        let mut rest = changes.clone();
        for cut in cuts {
            let batch: Vec<Incoming> = rest.drain(..cut.min(rest.len())).collect();
            feed.config.apply(shard, batch, Part::Delta);
        }
        feed.config.apply(shard, rest, Part::Delta);

        let fresh = start();
        // Compacted as the store does it: the newest version of each resource, in order.
        let mut newest: BTreeMap<ResourceKey, Incoming> = BTreeMap::new();
        newest.extend(changes.into_iter().map(|change| (change.key.clone(), change)));
        let mut newest: Vec<Incoming> = newest.into_values().collect();
        newest.sort_by_key(|change| change.n);
        fresh.config.apply(shard, newest.clone(), Part::Delta);
        prop_assert_eq!(observe(&feed.config), observe(&fresh.config));
        prop_assert_eq!(feed.config.digest(shard), fresh.config.digest(shard));

        // And a snapshot in place of everything, in parts and in any order.
        let whole = Config::new(POOL);
        let mut source = Feed::new();
        for change in source.versions(catalogue()) {
            whole.apply(Shard::SYSTEM, vec![change], Part::Delta);
        }
        whole.apply(shard, vec![source.version(key(ORG, KeyId::from_u128(77)))], Part::Delta);
        let own = Incoming::from(Versioned {
            key: organization(ORG).key(),
            revision: Revision { shard, n: 1 },
            tightens: false,
            resource: Some(organization(ORG)),
        });
        newest.push(own);
        newest.reverse();
        let tail = newest.split_off(newest.len() / 2);
        whole.apply(shard, newest, Part::Snapshot { first: true, last: false });
        whole.apply(shard, tail, Part::Snapshot { first: false, last: true });
        prop_assert_eq!(observe(&whole), observe(&feed.config));
        prop_assert_eq!(whole.digest(shard), feed.config.digest(shard));
    }

    #[test]
    fn the_digest_equals_an_independent_computation(
        history in proptest::collection::vec((resources(true), resources(false), 0..3u8), 1..40)
    ) {
        let shard = Shard::of(ORG);
        let mut feed = start();
        let mut members: BTreeMap<ResourceKey, Digest> = BTreeMap::new();
        let first = Revision { shard, n: 1 };
        let own = organization(ORG);
        members.insert(own.key(), Digest::of_member(&own.key().to_string(), first, &content_hash(&own), true));
        for (good, bad, step) in history {
            let (resource, kept) = if step == 1 { (bad, false) } else { (good, true) };
            let change = if step == 2 { feed.deletion(&resource) } else { feed.version(resource.clone()) };
            let revision = Revision { shard, n: change.n };
            members.remove(&resource.key());
            if step != 2 {
                let text = resource.key().to_string();
                members.insert(resource.key(), Digest::of_member(&text, revision, &content_hash(&resource), kept));
            }
            let applied = feed.apply_one(change);
            let mut wanted = Digest::default();
            members.values().for_each(|member| wanted.add(*member));
            prop_assert_eq!(applied.digest, wanted);
        }
    }

    #[test]
    fn a_bad_resource_never_widens_what_may_be_called(history in history(), bad in resources(false), tightens: bool) {
        let mut feed = start();
        let changes = numbered(&mut feed, &history);
        feed.config.apply(Shard::of(ORG), changes, Part::Delta);
        let before = callable(&feed.config);
        let change = if tightens { feed.tightening(bad) } else { feed.version(bad) };
        prop_assert_eq!(feed.apply_one(change).rejected.len(), 1);
        let after = callable(&feed.config);
        if !tightens {
            prop_assert_eq!(&after, &before);
        }
        for call in &after {
            prop_assert!(before.contains(call), "{:?} became possible", call);
        }
    }
}

/// Every (key, name, candidate) that a call may reach, apart from the order of credentials.
fn callable(config: &Config) -> Vec<(KeyId, String, String)> {
    let mut calls = Vec::new();
    for key in KEYS {
        let Some(view) = config.view(key) else { continue };
        if view.admit(now(), std::net::IpAddr::from([127, 0, 0, 1])).is_err() {
            continue;
        }
        for asked in ASKED {
            if let Ok(plan) = plan(&view, &CallFacts::of_model(asked), now(), 0) {
                calls.extend(summary(&plan).into_iter().map(|candidate| (key, asked.to_owned(), candidate)));
            }
        }
    }
    calls
}
