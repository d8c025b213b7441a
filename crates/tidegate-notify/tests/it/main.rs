//! Deliveries to a real receiver on loopback: signed, tried again, never to where they may not go.
#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tidegate_store::webhooks::DeliveryState;
use tidegate_testkit::receiver::{Heard, Receiver};

use crate::world::{SECRET, World};

/// The receiver's own check, as the specification describes it.
fn is_signed(heard: &Heard, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, at) = (heard.header("webhook-id"), heard.header("webhook-timestamp"));
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(&heard.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    heard.header("webhook-signature").split(' ').any(|signature| *signature == expected)
}

#[tokio::test]
async fn a_notice_arrives_signed_and_is_not_brought_twice() {
    let world = World::start(&["200 OK"]).await;
    world.webhook("pager", &world.receiver.url("/hooks?team=1")).await;
    let notice = world.raise("one").await;
    assert_eq!(world.notifier().look().await.unwrap(), 1);
    assert_eq!(world.notifier().look().await.unwrap(), 0);
    let heard = world.receiver.heard();
    assert_eq!((heard.len(), heard[0].target.as_str()), (1, "POST /hooks?team=1 HTTP/1.1"));
    assert_eq!(heard[0].header("webhook-id"), notice.to_string());
    assert!(is_signed(&heard[0], SECRET));
    // The positive control of the check: another secret, or another body, does not pass.
    assert!(!is_signed(&heard[0], "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    assert!(!is_signed(&Heard { body: [&heard[0].body[..], b" "].concat(), ..heard[0].clone() }, SECRET));
    let body: Value = serde_json::from_slice(&heard[0].body).unwrap();
    assert_eq!(
        (body["type"].as_str(), body["data"]["subject"].as_str()),
        (Some("budget.threshold"), Some("one"))
    );
    assert!(body["timestamp"].is_string());
    let delivery = world.deliveries().await.remove(0);
    assert_eq!(
        (delivery.state, delivery.attempts, delivery.last_status),
        (DeliveryState::Delivered, 1, Some(200))
    );
}

#[tokio::test]
async fn a_failed_delivery_comes_again_under_its_id_with_growing_pauses() {
    let world = World::start(&["503 Service Unavailable", "500 Oops", "204 No Content"]).await;
    world.webhook("pager", &world.receiver.url("/")).await;
    world.raise("one").await;
    let notifier = world.notifier();
    assert_eq!(notifier.look().await.unwrap(), 1);
    let waiting = world.deliveries().await.remove(0);
    assert_eq!((waiting.state, waiting.last_status), (DeliveryState::Pending, Some(503)));
    assert_eq!(waiting.last_error.as_deref(), Some("status"));
    world.clock.forward(4);
    assert_eq!(notifier.look().await.unwrap(), 0, "not before its pause");
    world.clock.forward(11);
    assert_eq!(notifier.look().await.unwrap(), 1);
    world.clock.forward(60);
    assert_eq!(notifier.look().await.unwrap(), 0, "pauses grow");
    world.clock.forward(600);
    assert_eq!(notifier.look().await.unwrap(), 1);
    let heard = world.receiver.heard();
    assert_eq!(heard.len(), 3);
    assert!(heard.windows(2).all(|two| two[0].header("webhook-id") == two[1].header("webhook-id")));
    assert!(heard.iter().all(|heard| is_signed(heard, SECRET)));
    assert_eq!(world.deliveries().await.remove(0).state, DeliveryState::Delivered);
}

#[tokio::test]
async fn what_never_succeeds_is_given_up_and_said_so() {
    let world = World::start(&["500 Oops"]).await;
    world.webhook("pager", &world.receiver.url("/")).await;
    world.raise("one").await;
    let notifier = world.notifier();
    for _ in 0..20 {
        notifier.look().await.unwrap();
        world.clock.forward(200_000);
    }
    let given_up = world.deliveries().await.remove(0);
    assert_eq!((given_up.state, given_up.attempts), (DeliveryState::Failed, 10));
    assert_eq!(world.receiver.heard().len(), 10);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Receiver::start(&["200 OK"]).await.unwrap();
    let moved = format!("302 Found\r\nlocation: {}", other.url("/"));
    let world = World::start(&[moved.leak()]).await;
    world.webhook("pager", &world.receiver.url("/")).await;
    world.raise("one").await;
    world.notifier().look().await.unwrap();
    let delivery = world.deliveries().await.remove(0);
    assert_eq!((delivery.state, delivery.last_error.as_deref()), (DeliveryState::Pending, Some("redirect")));
    assert!(other.heard().is_empty());
}

#[tokio::test]
async fn private_and_metadata_targets_are_never_called_unless_the_process_lists_them() {
    let world = World::start(&["200 OK"]).await;
    let port = world.receiver.port();
    for (n, url) in [
        world.receiver.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://0x7f.1:{port}/"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ]
    .into_iter()
    .enumerate()
    {
        world.webhook(&format!("hook {n}"), &url).await;
    }
    world.raise("one").await;
    assert_eq!(world.closed_notifier().look().await.unwrap(), 5);
    assert!(world.receiver.heard().is_empty());
    let errors: Vec<_> =
        world.deliveries().await.into_iter().filter_map(|delivery| delivery.last_error).collect();
    assert_eq!(errors.len(), 5);
    assert!(
        errors.iter().all(|error| matches!(error.as_str(), "forbidden_address" | "url" | "dns")),
        "{errors:?}"
    );
    // The positive control: listed, the first of them is called.
    world.clock.forward(600);
    world.notifier().look().await.unwrap();
    assert!(!world.receiver.heard().is_empty());
}

#[tokio::test]
async fn a_receiver_that_is_gone_switches_its_webhook_off() {
    let world = World::start(&["410 Gone"]).await;
    let hook = world.webhook("pager", &world.receiver.url("/")).await;
    world.raise("one").await;
    world.notifier().look().await.unwrap();
    assert!(!world.stored(hook).await.webhook.enabled);
    world.raise("two").await;
    assert_eq!(world.deliveries().await.len(), 1, "nothing goes there any more");
}

#[tokio::test]
async fn two_control_planes_bring_each_delivery_once() {
    let world = World::start(&["200 OK"]).await;
    world.webhook("pager", &world.receiver.url("/")).await;
    for n in 0..40 {
        world.raise(&format!("{n}")).await;
    }
    let (one, other) = (world.notifier(), world.notifier());
    let (a, b) = tokio::join!(one.look(), other.look());
    assert_eq!(a.unwrap() + b.unwrap(), 40);
    let heard = world.receiver.heard();
    let ids: BTreeSet<&str> = heard.iter().map(|heard| heard.header("webhook-id")).collect();
    assert_eq!((ids.len(), heard.len()), (40, 40));
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_while() {
    let world = World::start(&["200 OK"]).await;
    let hook = world.webhook("pager", &world.receiver.url("/")).await;
    let new = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD2FVsBQIhrsc=";
    world.rotate(hook, new, 3_600).await;
    world.raise("one").await;
    world.notifier().look().await.unwrap();
    let heard = world.receiver.heard();
    assert!(is_signed(&heard[0], new) && is_signed(&heard[0], SECRET));
    world.clock.forward(3_601);
    world.raise("two").await;
    world.notifier().look().await.unwrap();
    let heard = world.receiver.heard();
    assert!(is_signed(&heard[1], new) && !is_signed(&heard[1], SECRET));
}
