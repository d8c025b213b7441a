//! Where calls may be processed, on the wire: whatever fails, nothing reaches an offering that is elsewhere or
//! of which it is not known, a cached answer is no way around, and the record says by what it was allowed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_types::resource::*;
use tidegate_types::{Clock, CredentialId, OrganizationId, Secret};
use tidegate_upstream::SignIn;

use crate::cache::{on, told};
use crate::plain::{ANTHROPIC_ANSWER, OPENAI_ANSWER, ask, ask_anthropic};
use crate::provider::{Provider as Peer, Step, Turn, json as answer, whole};
use crate::world::{KEY, Offer, World, anthropic, offering, openai, policy, provider};

fn fact(areas: &[Area], expires_in_ms: i64) -> Location {
    let now = tidegate_telemetry::SystemClock.now();
    Location {
        operation: None,
        region: None,
        areas: areas.iter().copied().collect(),
        regional: false,
        source: "https://provider.example/where".into(),
        read_at: now.plus_millis(-60_000),
        expires_at: now.plus_millis(expires_in_ms),
    }
}

const LONG: i64 = 3_600_000;

/// An offering with these facts.
fn placed(place: u128, slug: &str, locations: Vec<Location>) -> Resource {
    Resource::Offering(Offering { locations, ..offering(place, slug) })
}

/// The test's key may be served in these areas only.
fn only(regions: &[Area]) -> Policy {
    Policy {
        name: "eu-only".into(),
        scope: PolicyScope::Key { key_id: KEY },
        privacy: Privacy { inference_regions: regions.iter().copied().collect(), ..Privacy::default() },
        ..policy()
    }
}

/// Every way to fail before the first event, and to answer.
fn turns() -> Vec<Turn> {
    let error = |status| whole(status, "", r#"{"error":{"message":"m","type":"server_error"}}"#);
    vec![
        error(500),
        error(429),
        error(401),
        error(404),
        vec![Step::Close],
        vec![Step::Reset],
        answer("{}"),
        answer(OPENAI_ANSWER),
    ]
}

#[tokio::test]
async fn whatever_fails_in_the_union_no_request_leaves_it() {
    let mut replaced = 0;
    for (fails, turn) in turns().into_iter().enumerate() {
        let here = Peer::start(vec![turn]).await;
        let others = [
            Peer::start(vec![answer(OPENAI_ANSWER)]).await,
            Peer::start(vec![answer(OPENAI_ANSWER)]).await,
            Peer::start(vec![answer(OPENAI_ANSWER)]).await,
            Peer::start(vec![answer(OPENAI_ANSWER)]).await,
        ];
        let mut offers: Vec<Offer<'_>> = vec![openai("a", &here)];
        offers.extend(["b", "c", "d", "e"].into_iter().zip(&others).map(|(slug, peer)| openai(slug, peer)));
        let world = World::start(&offers).await;
        world.put(vec![
            placed(1, "a", vec![fact(&[Area::Eu], LONG)]),
            placed(2, "b", vec![fact(&[Area::Us], LONG)]),
            placed(3, "c", vec![]),
            placed(4, "d", vec![fact(&[Area::Eu], -1)]),
            placed(5, "e", vec![fact(&[Area::Eu, Area::Us], LONG)]),
            Resource::Policy(only(&[Area::Eu])),
        ]);
        let reply = world.chat(&ask()).await;
        let elsewhere: Vec<usize> = others.iter().map(Peer::count).collect();
        assert_eq!(elsewhere, [0, 0, 0, 0], "{fails}: {reply:?}");
        assert!(here.count() > 0, "{fails}: {reply:?}");
        let record = world.recorded(1).await;
        assert_eq!(record.inference_regions, Some(Area::Eu.into()));
        for attempt in &record.attempts {
            let evidence = &attempt.evidence[0];
            let by = (attempt.offering_id.to_u128(), evidence.areas, &*evidence.source);
            assert_eq!(by, (1, Area::Eu.into(), "https://provider.example/where"));
        }
        let plan = record.plan.unwrap();
        let for_place = tidegate_types::usage::FilterName::Residency;
        assert_eq!(plan.removed.iter().filter(|removed| removed.filter == for_place).count(), 4);
        // Positive control: without the demand the others answer for it.
        world.put(vec![Resource::Policy(only(&[]))]);
        world.chat(&ask()).await;
        replaced += others.iter().map(Peer::count).sum::<usize>();
    }
    assert!(replaced > 4, "{replaced} calls were answered by others");
}

#[tokio::test]
async fn the_refusal_names_the_setting_in_the_callers_dialect() {
    let (a, b) =
        (Peer::start(vec![answer(OPENAI_ANSWER)]).await, Peer::start(vec![answer(ANTHROPIC_ANSWER)]).await);
    let world = World::start(&[openai("a", &a), anthropic("b", &b)]).await;
    world.put(vec![Resource::Policy(only(&[Area::Eu])), placed(1, "a", vec![fact(&[Area::Us], LONG)])]);
    let setting = "`privacy.inference_regions` of policy 'eu-only' allows inference in eu only";
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let gemini_path = format!("/v1beta/models/{}:generateContent", crate::world::MODEL.replace('/', "%2F"));
    for (reply, kind) in [
        (world.chat(&ask()).await, "invalid_request_error"),
        (world.messages(&ask_anthropic()).await, "invalid_request_error"),
        (world.post(&gemini_path, gemini).await, "INVALID_ARGUMENT"),
    ] {
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.body.contains(setting) && reply.body.contains(kind), "{reply:?}");
    }
    let refused = world.recorded(1).await;
    assert_eq!((refused.inference_regions, refused.attempts.len()), (Some(Area::Eu.into()), 0));
    // What a request wishes is named as the request's.
    world.put(vec![Resource::Policy(only(&[]))]);
    let wish = json!({"gateway": {"inferenceRegion": {"scope": "zone", "geoRegion": "eu"}}});
    let body = ask().replace(r#""messages""#, &format!(r#""providerOptions":{wish},"messages""#));
    let reply = world.chat(&body).await;
    assert!(
        reply.status == 400 && reply.body.contains("providerOptions.gateway.inferenceRegion"),
        "{reply:?}"
    );
    assert_eq!((a.count(), b.count()), (0, 0));
}

#[tokio::test]
async fn a_fact_that_expires_after_the_plan_was_made_is_asked_for_again_before_the_next_hop() {
    let (slow, next) =
        (Peer::start(vec![answer("{}")]).await, Peer::start(vec![answer(OPENAI_ANSWER)]).await);
    let world = World::start(&[openai("a", &slow), openai("b", &next)]).await;
    // The first one answers when the second one's fact is over.
    let until = tidegate_telemetry::SystemClock.now().plus_millis(900);
    let short = Location { expires_at: until, ..fact(&[Area::Eu], LONG) };
    slow.script(vec![vec![Step::Pause(Duration::from_millis(1_200)), Step::Close]]);
    world.put(vec![
        placed(1, "a", vec![fact(&[Area::Eu], LONG)]),
        placed(2, "b", vec![short]),
        Resource::Policy(Policy { max_attempts: Some(2), ..only(&[Area::Eu]) }),
    ]);
    let reply = world.chat(&ask()).await;
    assert!(reply.status >= 400, "{reply:?}");
    assert_eq!(next.count(), 0);
}

#[tokio::test]
async fn an_answer_that_was_made_elsewhere_is_not_given_again() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    let base_url = format!("http://{}/{{region}}", peer.address);
    let over = |id: u128, region: &str, enabled: bool| {
        let secret = Secret::new(json!({"api_key": "sk", "region": region}).to_string());
        let opened = SignIn::open(SecretForm::ApiKey, &secret).unwrap();
        world.opened.lock().insert(CredentialId::from_u128(id), Arc::new(opened));
        Resource::Credential(Credential {
            organization_id: OrganizationId::SYSTEM,
            id: CredentialId::from_u128(id),
            name: format!("c{id}"),
            scope: CredentialScope::System,
            provider: "a".parse().unwrap(),
            form: SecretForm::ApiKey,
            enabled,
            position: i32::try_from(id).unwrap(),
            weight: None,
            sealed: Vec::new(),
            region: Some(region.into()),
            attestation: None,
        })
    };
    world.put(vec![
        Resource::Provider(Provider { base_url, ..provider(1, &openai("a", &peer)) }),
        placed(1, "a", vec![Location { regional: true, areas: Areas::NONE, ..fact(&[], LONG) }]),
        over(1, "us-east-1", true),
        over(2, "eu-central-1", false),
        Resource::Policy(Policy { cache: on(), ..only(&[]) }),
    ]);
    assert_eq!(told(&world.chat(&ask()).await), "miss");
    assert_eq!(told(&world.chat(&ask()).await), "hit");
    assert!(peer.last().head.starts_with("POST /us-east-1/"), "{}", peer.last().head);
    // Now the union only, where the same offering answers over another credential.
    world.put(vec![
        over(1, "us-east-1", true),
        over(2, "eu-central-1", true),
        Resource::Policy(Policy { cache: on(), ..only(&[Area::Eu]) }),
    ]);
    assert_eq!(told(&world.chat(&ask()).await), "miss");
    assert_eq!(peer.count(), 2);
    assert!(peer.last().head.starts_with("POST /eu-central-1/"), "{}", peer.last().head);
    assert_eq!(told(&world.chat(&ask()).await), "hit");
}
