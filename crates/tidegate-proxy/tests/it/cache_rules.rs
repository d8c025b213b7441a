//! The response cache's rules: who shares, what it costs, what limits it, and that nothing is kept where
//! nothing may be kept.

use serde_json::json;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers, issue};
use tidegate_types::resource::*;
use tidegate_types::usage::{EventKind, MeterMethod, Outcome};
use tidegate_types::{BudgetId, KeyId, NanoUsd, OrganizationId, PolicyId, TeamId};

use crate::cache::{ON, on, rules, told, wished};
use crate::client::{Reply, request, send};
use crate::plain::{OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider as Peer, Step, json as answer};
use crate::stage::own_credential;
use crate::world::{KEY, ORG, TEAM, World, anthropic, budget, openai, organization, policy, team};

const CHAT: &str = "/v1/chat/completions";

/// A further key: its text.
fn key(world: &World, organization_id: OrganizationId, team_id: TeamId, id: u128) -> String {
    let peppers = Peppers::new(&[PepperBytes { version: 1, bytes: [3; 32] }]).unwrap();
    let id = KeyId::from_u128(id);
    let (text, kept) = issue(id, [9; 32], &peppers);
    let key = VirtualKey { organization_id, id, team_id, secrets: vec![kept], ..world.virtual_key() };
    world.put(vec![Resource::Key(key)]);
    text.expose().to_owned()
}

/// Another team of an organization, which may be another one.
fn tenant(world: &World, organization_id: OrganizationId, team_id: TeamId) {
    if organization_id != ORG {
        let Resource::Organization(other) = organization() else { unreachable!() };
        world.put(vec![Resource::Organization(Organization {
            id: organization_id,
            slug: "other".into(),
            ..other
        })]);
    }
    let Resource::Team(other) = team(KeyLimits::default()) else { unreachable!() };
    world.put(vec![Resource::Team(Team { organization_id, id: team_id, name: "another".into(), ..other })]);
}

async fn ask_with(world: &World, key: &str) -> Reply {
    let bearer = format!("Bearer {key}");
    send(world.address, &request("POST", CHAT, &[("authorization", &bearer), ON], &ask())).await
}

#[tokio::test]
async fn organizations_never_share_and_teams_and_keys_as_the_rules_say() {
    let (other, their_team, team_b) =
        (OrganizationId::from_u128(0xB2), TeamId::from_u128(8), TeamId::from_u128(9));
    for (sharing, same_team, other_team) in [
        (None, "hit", "hit"),
        (Some(CacheSharing::Organization), "hit", "hit"),
        (Some(CacheSharing::Team), "hit", "miss"),
        (Some(CacheSharing::Key), "miss", "miss"),
    ] {
        let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
        let world = World::start(&[openai("a", &peer)]).await;
        // The other organization has the same hash key, as if somebody had copied it.
        tenant(&world, other, their_team);
        tenant(&world, ORG, team_b);
        world.put(rules(CacheRules { sharing, ..CacheRules::default() }));
        let near = key(&world, ORG, TEAM, 21);
        let far = key(&world, ORG, team_b, 22);
        let foreign = key(&world, other, their_team, 23);
        assert_eq!(told(&ask_with(&world, &world.key).await), "miss");
        assert_eq!(told(&ask_with(&world, &world.key).await), "hit");
        assert_eq!(told(&ask_with(&world, &near).await), same_team, "{sharing:?}");
        assert_eq!(told(&ask_with(&world, &far).await), other_team, "{sharing:?}");
        assert_eq!(told(&ask_with(&world, &foreign).await), "miss", "never across organizations");
        let given = world.journal.calls.lock().clone();
        assert!(given.iter().all(|call| call.cached_from.is_none_or(|_| call.organization_id == ORG)));
    }
}

#[tokio::test]
async fn what_a_key_may_not_ask_it_does_not_get_from_the_cache() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let near = key(&world, ORG, TEAM, 21);
    assert_eq!(told(&ask_with(&world, &world.key).await), "miss");
    assert_eq!(told(&ask_with(&world, &near).await), "hit");
    let allow = AllowList { models: vec!["acme/other".into()], ..AllowList::default() };
    let limited = |allow, status| Resource::Key(VirtualKey { allow, status, ..world.virtual_key() });
    world.put(vec![limited(allow, KeyStatus::Active)]);
    assert_eq!(wished(&world, CHAT, &ask()).await.status, 403);
    world.put(vec![limited(AllowList::default(), KeyStatus::Revoked)]);
    assert_eq!(wished(&world, CHAT, &ask()).await.status, 401, "a revoked key gets nothing");
    let elsewhere = Policy { allow_providers: vec!["b".parse().unwrap()], ..policy() };
    world.put(vec![Resource::Policy(elsewhere)]);
    assert_ne!(ask_with(&world, &near).await.status, 200, "nor what its provider may not answer");
    assert_eq!(peer.count(), 1);
}

#[tokio::test]
async fn where_nothing_may_be_kept_nothing_is_kept_and_what_was_goes() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let kept = || world.metrics.render().contains("cache_answers 1\n");
    let strict =
        |zdr| vec![Resource::Policy(Policy { privacy: Privacy::of_tier(zdr), cache: on(), ..policy() })];
    for tier in [ZdrTier::Zdr, ZdrTier::ZdrWithSafetyRetention] {
        world.put(strict(tier));
        for _ in 0..2 {
            assert_eq!(told(&wished(&world, CHAT, &ask()).await), "bypass", "{tier:?}");
        }
        assert!(!kept(), "{tier:?}");
        // One that may be kept is kept, and goes as soon as it may not be.
        world.put(strict(ZdrTier::NoTraining));
        assert_eq!(told(&wished(&world, CHAT, &ask()).await), "miss");
        assert!(kept());
        world.put(strict(tier));
        world.until(|| !kept()).await;
    }
    assert!(world.metrics.render().contains("cache_purged_total 2\n"));
    // A request that demands it alone is asked anew, and leaves nothing.
    world.put(rules(on()));
    let zdr = ask()
        .replace(r#""messages""#, r#""providerOptions":{"gateway":{"zeroDataRetention":true}},"messages""#);
    assert_eq!((told(&wished(&world, CHAT, &zdr).await), kept()), ("bypass", false));
    // A key's own tier takes out what its calls left, and nothing else.
    let near = key(&world, ORG, TEAM, 21);
    assert_eq!(told(&ask_with(&world, &near).await), "miss");
    let of_key = Policy {
        id: PolicyId::from_u128(2),
        name: "strict key".into(),
        scope: PolicyScope::Key { key_id: KEY },
        privacy: Privacy::of_tier(ZdrTier::Zdr),
        ..policy()
    };
    world.put(vec![Resource::Policy(of_key)]);
    assert_eq!(told(&wished(&world, CHAT, &ask()).await), "bypass", "nor is it given what others left");
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(told(&ask_with(&world, &near).await), "hit");
}

#[tokio::test]
async fn a_charged_answer_is_booked_by_its_part_and_within_its_budget() {
    // 12 input and 3 output tokens cost 18 nano-USD.
    for (percent, charge) in [(100, 18), (50, 9), (1, 1)] {
        let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
        let world = World::start(&[openai("a", &peer)]).await;
        world.put(rules(CacheRules { charge_percent: Some(percent), ..on() }));
        world.put(vec![Resource::Budget(budget(1, "0.1"))]);
        let asked = ask().replace(r#""messages""#, r#""max_tokens":100,"messages""#);
        assert_eq!((told(&world.chat(&asked).await), told(&world.chat(&asked).await)), ("miss", "hit"));
        world.assert_settled(Some(BudgetId::from_u128(1))).await;
        let given = world.recorded(2).await;
        assert_eq!((given.cost, peer.count()), (NanoUsd::new(charge), 1));
        let booked: Vec<_> =
            world.finals().into_iter().filter(|event| event.cached_percent.is_some()).collect();
        let [event] = booked.as_slice() else { panic!("{booked:?}") };
        assert_eq!(
            (event.call_id, event.cached_percent, event.kind),
            (given.call_id, Some(percent), EventKind::Final)
        );
        assert_eq!((event.outcome, event.method), (Outcome::Completed, MeterMethod::Reported));
        assert_eq!(
            (event.cost, event.usage.input_tokens, event.usage.output_tokens),
            (NanoUsd::new(charge), 12, 3)
        );
        let spent = world.balance(BudgetId::from_u128(1)).await.spent;
        assert_eq!(spent, NanoUsd::new(18 + charge), "{percent} %");
        // Whoever asks for the cost in the body finds the charge there.
        let body: serde_json::Value =
            serde_json::from_str(&world.chat(&asked).await.body.replace("1e400", "1")).unwrap();
        assert_eq!(body["usage"]["cost"], json!(charge as f64 / 1e9));
    }
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses_what_is_charged_and_not_what_is_free() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(rules(on()));
    assert_eq!(told(&world.chat(&ask()).await), "miss");
    world.put(vec![Resource::Budget(budget(1, "0.000000010"))]);
    assert_eq!(told(&world.chat(&ask()).await), "hit", "what costs nothing needs no money");
    world.put(rules(CacheRules { charge_percent: Some(100), ..on() }));
    let refused = world.chat(&ask()).await;
    assert_eq!((refused.status, peer.count()), (402, 1), "{refused:?}");
}

#[tokio::test]
async fn what_the_organization_pays_itself_is_given_again_for_nothing() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(rules(CacheRules { charge_percent: Some(100), ..on() }));
    world.put(vec![Resource::Credential(own_credential())]);
    assert_eq!((told(&world.chat(&ask()).await), told(&world.chat(&ask()).await)), ("miss", "hit"));
    assert_eq!((world.recorded(2).await.cost, world.finals().len()), (NanoUsd::ZERO, 1));
}

#[tokio::test]
async fn answers_from_the_cache_count_against_rates_and_use_no_tokens() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(rules(on()));
    let limits =
        KeyLimits { requests_per_minute: Some(3), tokens_per_minute: Some(100_000), concurrency: Some(5) };
    world.put(vec![Resource::Key(VirtualKey { limits, ..world.virtual_key() })]);
    assert_eq!(told(&world.chat(&ask()).await), "miss");
    let given = world.chat(&ask()).await;
    assert_eq!((told(&given), given.header("x-ratelimit-remaining-requests")), ("hit", "1"));
    assert_eq!(told(&world.chat(&ask()).await), "hit");
    let refused = world.chat(&ask()).await;
    assert_eq!((refused.status, peer.count()), (429, 1), "{refused:?}");
}

#[tokio::test]
async fn cache_markers_of_providers_are_put_in_where_rules_say_so() {
    let peer = Peer::start(vec![answer(crate::plain::ANTHROPIC_ANSWER)]).await;
    let world = World::start(&[anthropic("a", &peer)]).await;
    let marked = async || {
        assert_eq!(world.messages(&ask_anthropic()).await.status, 200);
        assert_eq!(world.chat(&ask()).await.status, 200);
        let asked = peer.asked.lock().clone();
        asked.iter().rev().take(2).filter(|asked| asked.body.contains("cache_control")).count()
    };
    assert_eq!(marked().await, 0);
    let said = |scope, id: u128, markers| {
        let id = PolicyId::from_u128(id);
        let name = format!("policy {id}");
        vec![Resource::Policy(Policy { id, name, scope, prompt_cache_markers: Some(markers), ..policy() })]
    };
    for scope in
        [PolicyScope::Organization, PolicyScope::Team { team_id: TEAM }, PolicyScope::Key { key_id: KEY }]
    {
        world.put(said(scope, 5, true));
        assert_eq!(marked().await, 2, "{scope:?}: in both dialects");
    }
    world.put(said(PolicyScope::Organization, 6, false));
    assert_eq!(marked().await, 0, "no wins");
}

#[tokio::test]
async fn equal_calls_at_once_are_all_asked_and_all_billed() {
    let slow = [vec![Step::Pause(std::time::Duration::from_millis(300))], answer(OPENAI_ANSWER)].concat();
    let peer = Peer::start(vec![slow]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    world.put(vec![Resource::Budget(budget(1, "1"))]);
    let body = ask();
    let asked = || wished(&world, CHAT, &body);
    let (one, other) = tokio::join!(asked(), asked());
    assert_eq!((told(&one), told(&other), peer.count()), ("miss", "miss", 2));
    world.recorded(2).await;
    world.assert_settled(Some(budget(1, "1").id)).await;
    assert_eq!(world.balance(budget(1, "1").id).await.spent, NanoUsd::new(36));
    // Those who come later are given what was kept.
    assert_eq!((told(&asked().await), peer.count()), ("hit", 2));
}
