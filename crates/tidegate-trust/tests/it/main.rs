//! Real issuers over HTTP, a real store, a clock that is moved by hand.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use tidegate_types::resource::IssuerKey;
use world::World;

fn names(keys: &[IssuerKey]) -> Vec<(&str, bool)> {
    keys.iter().map(|key| (key.kid.as_str(), key.until.is_some())).collect()
}

#[tokio::test]
async fn keys_come_from_the_discovery_document_and_are_an_audited_change() {
    let world = World::start().await;
    let rule = world.rule("one", world.issuer.url()).await;
    assert_eq!(world.look().await, 1);
    assert_eq!(names(&world.keys(rule).await), [("first", false)]);
    assert_eq!(world.audited("trust_rule.keys").await, 1);
    let state = world.state(rule).await;
    assert!(state.fetched_at.is_some() && state.last_error.is_none());
    // Not due again, and when it is, nothing changed.
    assert_eq!(world.look().await, 0);
    world.forward(900);
    assert_eq!(world.look().await, 1);
    assert_eq!(world.audited("trust_rule.keys").await, 1);
    assert_eq!(world.issuer.sets_served(), 2);
}

#[tokio::test]
async fn a_rotation_overlaps_and_ends() {
    let world = World::start().await;
    let rule = world.rule("one", world.issuer.url()).await;
    world.look().await;
    world.issuer.publish("second").unwrap();
    world.issuer.withdraw("first");
    world.forward(900);
    world.look().await;
    assert_eq!(names(&world.keys(rule).await), [("second", false), ("first", true)]);
    world.forward(3_600);
    world.look().await;
    assert_eq!(names(&world.keys(rule).await), [("second", false)]);
}

#[tokio::test]
async fn an_issuer_that_fails_or_poses_as_another_takes_no_key_away() {
    let world = World::start().await;
    let rule = world.rule("one", world.issuer.url()).await;
    world.look().await;
    world.issuer.set_broken(true);
    world.forward(900);
    world.look().await;
    assert_eq!(world.state(rule).await.last_error.as_deref(), Some("status"));
    // Tried again soon, and later each time.
    world.forward(29);
    assert_eq!(world.look().await, 0);
    world.forward(1);
    assert_eq!(world.look().await, 1);
    world.issuer.set_broken(false);
    world.issuer.pose_as("https://accounts.example.com");
    world.forward(60);
    assert_eq!(world.look().await, 1);
    assert_eq!(world.state(rule).await.last_error.as_deref(), Some("issuer"));
    assert_eq!(names(&world.keys(rule).await), [("first", false)]);
}

#[tokio::test]
async fn private_issuers_are_not_asked_unless_the_operator_lists_them() {
    let world = World::start().await;
    let port = world.issuer.port();
    let elsewhere = world.rule("loopback", &format!("http://localhost:{port}/realm")).await;
    let metadata = world.rule("metadata", "http://169.254.169.254/realm").await;
    let hidden = world.strict_look().await;
    assert_eq!(hidden, 2);
    for rule in [elsewhere, metadata] {
        assert!(world.state(rule).await.last_error.is_some());
        assert!(world.keys(rule).await.is_empty());
    }
    assert_eq!(world.issuer.sets_served(), 0);
}

#[tokio::test]
async fn a_node_that_met_an_unknown_key_has_it_fetched_but_not_all_the_time() {
    let world = World::start().await;
    let rule = world.rule("one", world.issuer.url()).await;
    world.look().await;
    world.issuer.publish("second").unwrap();
    world.wanted(rule, "default").await;
    assert_eq!(world.look().await, 0, "it was fetched a moment ago");
    world.forward(31);
    world.wanted(rule, "foreign").await;
    assert_eq!(world.look().await, 0, "the organization is not served in that pool");
    world.wanted(rule, "default").await;
    assert_eq!(world.look().await, 1);
    assert_eq!(names(&world.keys(rule).await), [("first", false), ("second", false)]);
}
