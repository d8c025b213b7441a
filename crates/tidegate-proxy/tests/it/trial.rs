//! Trials of stored credentials: the cheapest call, told without the secret or the provider's words.

use tidegate_types::resource::{DialectName, Offering, Price, Resource};
use tidegate_types::{CredentialId, OfferingId, OrganizationId};

use crate::plain::{ANTHROPIC_ANSWER, OPENAI_ANSWER};
use crate::provider::{Provider as Peer, json as answer, whole};
use crate::world::{MODEL, ORG, Offer, World, anthropic, offering, openai};

const SYSTEM: OrganizationId = OrganizationId::SYSTEM;

fn id(n: u128) -> CredentialId {
    CredentialId::from_u128(n)
}

#[tokio::test]
async fn a_credential_that_works_is_accepted_by_the_smallest_call_and_nothing_is_recorded() {
    let peers =
        [Peer::start(vec![answer(OPENAI_ANSWER)]).await, Peer::start(vec![answer(ANTHROPIC_ANSWER)]).await];
    let world = World::start(&[openai("a", &peers[0]), anthropic("b", &peers[1])]).await;
    for (place, peer) in peers.iter().enumerate() {
        let trial = world.gateway.try_credential(SYSTEM, id(place as u128 + 1)).await;
        assert_eq!(
            (trial.ok, trial.status, trial.code, &*trial.model),
            (true, 200, "accepted", MODEL),
            "{trial:?}"
        );
        assert_eq!(peer.count(), 1);
        let asked = peer.last();
        assert!(asked.head.contains("sk-"), "{}", asked.head);
        let body = asked.json();
        assert_eq!(body["max_tokens"], 16, "{body}");
    }
    assert!(world.journal.events.lock().is_empty() && world.journal.calls.lock().is_empty());
}

#[tokio::test]
async fn what_the_provider_says_is_told_by_status_and_type_only() {
    let said = r#"{"error":{"message":"Incorrect API key provided: sk-a canary","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let peer = Peer::start(vec![whole(401, "", said)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    for (status, code) in [
        (401, "refused"),
        (403, "refused"),
        (429, "limited"),
        (404, "request_refused"),
        (500, "provider_failed"),
    ] {
        peer.script(vec![whole(status, "", said)]);
        let trial = world.gateway.try_credential(SYSTEM, id(1)).await;
        assert_eq!((trial.ok, trial.status, trial.code), (false, status, code), "{trial:?}");
        assert_eq!(trial.error_type, "invalid_request_error");
        let told = format!("{trial:?}");
        assert!(!told.contains("canary") && !told.contains("sk-a"), "{told}");
    }
}

#[tokio::test]
async fn what_cannot_be_tried_says_why() {
    let peer = Peer::start(vec![answer(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &peer)]).await;
    // Another organization's credential, or the system's, is not this one's.
    for (organization, credential) in [(SYSTEM, 99), (ORG, 1), (OrganizationId::from_u128(5), 1)] {
        let trial = world.gateway.try_credential(organization, id(credential)).await;
        assert_eq!((trial.ok, trial.code), (false, "unknown_credential"));
    }
    world.put(vec![Resource::Offering(Offering { enabled: false, ..offering(1, "a") })]);
    assert_eq!(world.gateway.try_credential(SYSTEM, id(1)).await.code, "no_model");
    assert_eq!(peer.count(), 0);
}

#[tokio::test]
async fn the_cheapest_offering_is_asked_in_the_providers_own_dialect() {
    let peer = Peer::start(vec![answer("{}")]).await;
    let offer = Offer { dialect: DialectName::Gemini, ..openai("a", &peer) };
    let world = World::start(&[offer]).await;
    let cheap = offering(2, "a");
    let prices: Vec<Price> = cheap
        .prices
        .iter()
        .cloned()
        .map(|mut price| {
            for part in price.tiers.iter_mut().flat_map(|tier| &mut tier.prices) {
                part.price = tidegate_types::PicoUsd::new(1);
            }
            price
        })
        .collect();
    let cheap = Offering { id: OfferingId::from_u128(2), upstream_name: "cheap".into(), prices, ..cheap };
    world.put(vec![Resource::Offering(cheap)]);
    assert!(world.gateway.try_credential(SYSTEM, id(1)).await.ok);
    let asked = peer.last();
    assert!(asked.head.contains("/models/cheap:generateContent"), "{}", asked.head);
    assert_eq!(asked.json()["generationConfig"]["maxOutputTokens"], 16);
}
