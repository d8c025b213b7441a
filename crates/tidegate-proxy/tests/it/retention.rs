//! Zero data retention on the wire: nothing reaches a provider that is not eligible, whatever fails; what can
//! be taken back is taken back, and what cannot is refused by name.

use serde_json::{Value, json};
use tidegate_types::Timestamp;
use tidegate_types::resource::*;

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider as Peer, Step, Turn, json as answer, whole};
use crate::world::{MODEL, Offer, World, offering, openai, policy};

fn facts(retention: Retention, training: Training, expires_in_ms: i64) -> DataHandling {
    let kept = offering(1, "a").data_handling.unwrap();
    let expires_at = tidegate_types::Clock::now(&tidegate_telemetry::SystemClock).plus_millis(expires_in_ms);
    DataHandling { retention, training, expires_at, ..kept }
}

const LONG: i64 = 3_600_000;

async fn strict(world: &World, extra: Value) -> (u16, String) {
    let mut body = json!({"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}],
        "providerOptions": {"gateway": {"order": ["a", "b", "c"]}}});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    let reply = world.chat(&body.to_string()).await;
    (reply.status, reply.body)
}

/// Every way to fail before the first event, and to answer.
fn turns() -> Vec<Turn> {
    let error = |status| whole(status, "", r#"{"error":{"message":"m","type":"server_error"}}"#);
    vec![
        answer(OPENAI_ANSWER),
        error(500),
        error(429),
        error(401),
        error(404),
        vec![Step::Close],
        vec![Step::Reset],
        answer("{}"),
    ]
}

#[tokio::test]
async fn whatever_fails_no_request_reaches_a_provider_that_is_not_eligible() {
    let tiers = [ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];
    // What each handling is good for; the last ones for nothing.
    let handlings = [
        (Some(facts(Retention::None, Training::Never, LONG)), 3),
        (Some(facts(Retention::SafetyOnly, Training::Never, LONG)), 2),
        (Some(facts(Retention::Retains, Training::Never, LONG)), 1),
        (Some(facts(Retention::None, Training::May, LONG)), 0),
        (Some(facts(Retention::None, Training::Never, -1)), 0),
        (None, 0),
    ];
    for (first, turn) in turns().into_iter().enumerate() {
        let peers = [
            Peer::start(vec![turn.clone()]).await,
            Peer::start(vec![turn.clone()]).await,
            Peer::start(vec![turn]).await,
        ];
        let offers: Vec<Offer<'_>> =
            ["a", "b", "c"].into_iter().zip(&peers).map(|(slug, peer)| openai(slug, peer)).collect();
        let world = World::start(&offers).await;
        for round in 0..handlings.len() {
            // Each of the three gets another handling in each round.
            let given: Vec<_> = (0..3).map(|at| &handlings[(round + at + first) % handlings.len()]).collect();
            for (place, (slug, (handling, _))) in ["a", "b", "c"].into_iter().zip(&given).enumerate() {
                let offering = offering(place as u128 + 1, slug);
                world.put(vec![Resource::Offering(Offering { data_handling: handling.clone(), ..offering })]);
            }
            for (rank, tier) in tiers.into_iter().enumerate() {
                world.put(vec![Resource::Policy(Policy { privacy: Privacy::of_tier(tier), ..policy() })]);
                let before: Vec<usize> = peers.iter().map(Peer::count).collect();
                let (status, body) = strict(&world, json!({})).await;
                let asked: Vec<usize> =
                    peers.iter().zip(&before).map(|(peer, before)| peer.count() - before).collect();
                for (asked, (handling, good_for)) in asked.iter().zip(&given) {
                    assert!(*asked == 0 || *good_for > rank, "{tier:?} asked {handling:?}: {asked}");
                }
                let any = given.iter().any(|(_, good_for)| *good_for > rank);
                assert!(any || body.contains("data handling tier"), "{tier:?}: {status} {body}");
            }
        }
        // Positive control: without a demand all of them are good.
        world.put(vec![Resource::Policy(Policy { privacy: Privacy::of_tier(ZdrTier::None), ..policy() })]);
        let before: usize = peers.iter().map(Peer::count).sum();
        strict(&world, json!({})).await;
        assert!(peers.iter().map(Peer::count).sum::<usize>() > before);
    }
}

#[tokio::test]
async fn what_the_gateway_can_take_back_it_takes_back() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let zdr = json!({"gateway": {"zeroDataRetention": true}});
    let asked = json!({"providerOptions": zdr, "store": true, "prompt_cache_retention": "24h"});
    assert_eq!(strict(&world, asked.clone()).await.0, 200);
    let sent = peer.last().json();
    assert_eq!((&sent["store"], &sent["prompt_cache_retention"]), (&json!(false), &Value::Null));
    // Without a demand they are the caller's own.
    let asked = json!({"store": true, "prompt_cache_retention": "24h"});
    assert_eq!(strict(&world, asked).await.0, 200);
    let sent = peer.last().json();
    assert_eq!((&sent["store"], &sent["prompt_cache_retention"]), (&json!(true), &json!("24h")));
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_refused_by_name() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let zdr = json!({"gateway": {"zeroDataRetention": true}});
    let file = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]);
    for (extra, named) in [
        (json!({"tools": [{"type": "web_search_20260209"}]}), "web_search_20260209"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"messages": file}), "file_id"),
        (json!({"prompt_cache_options": {"mode": "x"}}), "prompt_cache_options"),
        (json!({"a_field_of_tomorrow": 1}), "a_field_of_tomorrow"),
    ] {
        let mut asked = extra.clone();
        asked["providerOptions"] = zdr.clone();
        let (status, body) = strict(&world, asked).await;
        assert!(status == 400 && body.contains(named), "{extra}: {status} {body}");
    }
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("background", json!(true)),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "pmpt_1"})),
        ("tools", json!([{"type": "code_interpreter", "container": {"type": "auto"}}])),
        ("tools", json!([{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}])),
    ] {
        let mut body = json!({"model": MODEL, "input": "hi", "providerOptions": zdr});
        body[field] = value;
        let reply = world.post("/v1/responses", &body.to_string()).await;
        let kind = body["tools"][0]["type"].as_str().unwrap_or(field).to_owned();
        assert!(
            reply.status == 400 && reply.body.contains(&kind),
            "{field}: {} {}",
            reply.status,
            reply.body
        );
    }
    assert_eq!(peer.count(), 0);
    // Positive control: the same without a demand goes out.
    strict(&world, json!({"tools": [{"type": "web_search_20260209"}]})).await;
    assert_eq!(strict(&world, json!({})).await.0, 200);
    assert!(peer.count() > 0);
}

#[tokio::test]
async fn the_record_says_what_was_demanded_and_by_what_it_was_met() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    let plain = world.recorded(1).await;
    assert_eq!((plain.zdr, plain.attempts[0].evidence.len()), (ZdrTier::None, 0));
    let zdr = json!({"gateway": {"zeroDataRetention": true}});
    assert_eq!(strict(&world, json!({"providerOptions": zdr})).await.0, 200);
    let record = world.recorded(2).await;
    let evidence = &record.attempts[0].evidence[0];
    assert_eq!((record.zdr, evidence.tier, &*evidence.source), (ZdrTier::Zdr, ZdrTier::Zdr, "test"));
    assert!(evidence.read_at == Timestamp::from_micros(0) && evidence.expires_at > record.at);
    world.forget_facts();
    assert!(strict(&world, json!({"providerOptions": zdr})).await.0 >= 400);
    let refused = world.recorded(3).await;
    assert_eq!((refused.zdr, refused.attempts.len()), (ZdrTier::Zdr, 0));
}
