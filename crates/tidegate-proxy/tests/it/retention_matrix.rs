//! All permutations of who may be asked, of how each provider fails and of who demands it: no request reaches a
//! provider that is not eligible, at any hop, on any surface; and those who are eligible are asked.

use serde_json::json;
use tidegate_proxy::Settings;
use tidegate_types::resource::*;
use tidegate_types::{Clock as _, PolicyId};

use crate::plain::OPENAI_ANSWER;
use crate::provider::{Asked, Provider as Peer, Step, Turn, json as answer, stream, whole};
use crate::streams::OPENAI_STREAM;
use crate::world::{KEY, MODEL, Offer, TEAM, World, offering, openai, policy, upstreams_to_all};

const SLUGS: [&str; 3] = ["a", "b", "c"];

/// An answer, as it was asked for.
fn whole_or_streamed(asked: &Asked) -> Turn {
    if asked.body.contains("\"stream\":true") { stream(&OPENAI_STREAM) } else { answer(OPENAI_ANSWER) }
}

/// How a provider takes a request. None of these makes it be left alone afterwards.
fn turns() -> [Turn; 4] {
    let error = |status| whole(status, "", r#"{"error":{"message":"m","type":"server_error"}}"#);
    [vec![Step::Reply(whole_or_streamed)], error(500), vec![Step::Close], answer("{}")]
}

/// What each provider is good for.
const PROMISES: [(Retention, Training); 4] = [
    (Retention::None, Training::Never),
    (Retention::SafetyOnly, Training::Never),
    (Retention::Retains, Training::Never),
    (Retention::None, Training::May),
];
const TIERS: [ZdrTier; 3] = [ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];

/// Whether a promise meets a demand, by the words of the documentation.
fn meets(promise: usize, tier: ZdrTier) -> bool {
    match (promise, tier) {
        (0, _) | (1, ZdrTier::NoTraining | ZdrTier::ZdrWithSafetyRetention) => true,
        (_, tier) => promise == 2 && tier == ZdrTier::NoTraining,
    }
}

/// Everything that a provider's own handling may be in one round.
fn put_promises(world: &World, promises: [usize; 3]) {
    for (place, (slug, promise)) in SLUGS.into_iter().zip(promises).enumerate() {
        let (retention, training) = PROMISES[promise];
        let kept = offering(place as u128 + 1, slug);
        let known = kept.data_handling.clone().unwrap();
        let expires_at = tidegate_telemetry::SystemClock.now().plus_millis(3_600_000);
        let data_handling = Some(DataHandling { retention, training, expires_at, ..known });
        world.put(vec![Resource::Offering(Offering { data_handling, ..kept })]);
    }
}

/// Who demands a tier: the policy of the organization, of the team, of the key; all else demand nothing.
fn put_policies(world: &World, demands: usize, tier: ZdrTier) {
    let scopes =
        [PolicyScope::Organization, PolicyScope::Team { team_id: TEAM }, PolicyScope::Key { key_id: KEY }];
    for (place, scope) in scopes.into_iter().enumerate() {
        let zdr = if place == demands { tier } else { ZdrTier::None };
        world.put(vec![Resource::Policy(Policy {
            id: PolicyId::from_u128(place as u128 + 1),
            name: format!("policy {place}"),
            scope,
            privacy: Privacy { zdr, ..Privacy::default() },
            ..policy()
        })]);
    }
}

/// One call on one of the surfaces; who was asked.
async fn asked(world: &World, peers: &[Peer; 3], round: usize) -> [usize; 3] {
    let before = [0, 1, 2].map(|place: usize| peers[place].count());
    let options = json!({"gateway": {"order": SLUGS}});
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": MODEL, "max_tokens": 10, "messages": messages, "providerOptions": options,
        "stream": round.is_multiple_of(2)});
    let path = ["/v1/chat/completions", "/v1/messages"][round / 2 % 2];
    world.post(path, &body.to_string()).await;
    [0, 1, 2].map(|place: usize| peers[place].count() - before[place])
}

/// Calls that reached somebody who is not eligible.
fn violations(asked: [usize; 3], promises: [usize; 3], tier: ZdrTier) -> usize {
    let not = asked.into_iter().zip(promises).filter(|(_, promise)| !meets(*promise, tier));
    not.map(|(asked, _)| asked).sum()
}

fn full() -> bool {
    std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_all_permutations_of_policies_and_failures_nobody_is_asked_who_is_not_eligible() {
    let upstreams = upstreams_to_all();
    let (mut rounds, mut reached, mut wrong, mut hops) = (0, 0, Vec::new(), 0);
    let turns = turns();
    // 64 permutations of failures, 64 of promises, 3 tiers, 3 who demand. All of them take minutes: without
    // `TIDEGATE_FULL` each permutation of failures meets a tenth of the others, another one each.
    for failures in 0..turns.len().pow(3) {
        let each = [failures % 4, failures / 4 % 4, failures / 16];
        let peers = [
            Peer::start(vec![turns[each[0]].clone()]).await,
            Peer::start(vec![turns[each[1]].clone()]).await,
            Peer::start(vec![turns[each[2]].clone()]).await,
        ];
        let offers: Vec<Offer<'_>> =
            SLUGS.into_iter().zip(&peers).map(|(slug, peer)| openai(slug, peer)).collect();
        let world = World::over(&offers, Settings::default(), upstreams.clone()).await;
        for permutation in 0..PROMISES.len().pow(3) * 9 {
            if !full() && (permutation * 7 + failures) % 61 != 0 {
                continue;
            }
            let promises = [permutation % 4, permutation / 4 % 4, permutation / 16 % 4];
            let (tier, demands) = (TIERS[permutation / 64 % 3], permutation / 192);
            put_promises(&world, promises);
            put_policies(&world, demands, tier);
            let asked = asked(&world, &peers, rounds).await;
            rounds += 1;
            reached += asked.iter().sum::<usize>();
            hops += usize::from(asked.iter().filter(|count| **count > 0).count() > 1);
            if violations(asked, promises, tier) > 0 {
                wrong.push((each, promises, tier, demands, asked));
            }
            let served = promises.iter().any(|promise| meets(*promise, tier));
            assert_eq!(served, asked.iter().any(|count| *count > 0), "{promises:?} {tier:?}: {asked:?}");
        }
        world.end().await;
        peers.iter().for_each(Peer::end);
    }
    println!(
        "{rounds} calls, {reached} requests, {hops} calls with further hops, {} not eligible",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{} of {rounds}: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(rounds > 500 && reached > 300 && hops > 20, "{rounds} calls, {reached} asked, {hops} with hops");
}

#[tokio::test]
async fn the_judge_of_retention_sees_a_provider_whose_facts_are_not_what_it_does() {
    // The planted fault: the gateway is told that all keep nothing, the judge knows of one that does.
    let failing = whole(500, "", r#"{"error":{"message":"m","type":"server_error"}}"#);
    let peers = [
        Peer::start(vec![failing]).await,
        Peer::start(vec![answer(OPENAI_ANSWER)]).await,
        Peer::start(vec![answer(OPENAI_ANSWER)]).await,
    ];
    let offers: Vec<Offer<'_>> =
        SLUGS.into_iter().zip(&peers).map(|(slug, peer)| openai(slug, peer)).collect();
    let world = World::start(&offers).await;
    put_promises(&world, [0, 0, 0]);
    put_policies(&world, 0, ZdrTier::Zdr);
    let seen = asked(&world, &peers, 1).await;
    assert_eq!(violations(seen, [0, 0, 0], ZdrTier::Zdr), 0);
    assert!(violations(seen, [0, 2, 0], ZdrTier::Zdr) > 0, "as the next hop: {seen:?}");
    assert!(violations(seen, [1, 0, 0], ZdrTier::Zdr) > 0, "as the first: {seen:?}");
    assert!(TIERS.iter().all(|tier| meets(0, *tier) && !meets(3, *tier)));
}
