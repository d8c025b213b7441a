//! What is measured of revocations on their way.

use std::time::{Duration, Instant};

use tidegate_store::keys;
use tidegate_types::resource::{KeyStatus, Resource};

use crate::fake_node::{FakeNode, Stream};
use crate::plane::{Plane, commit, eventually};
use crate::samples;

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_late_until_every_connected_node_has_acknowledged_it() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let late = || plane.metrics.revocations_unacknowledged.get();
    let (deaf, hearing) = (FakeNode::enrol(&plane).await, FakeNode::enrol(&plane).await);
    let (mut deaf, mut hearing) = (deaf.synchronised().await, hearing.synchronised().await);
    let [one, two] = ["one", "two"].map(|name| samples::key(organization, team, name));
    let mut change = plane.change(organization).await;
    keys::insert(&mut change, &one).await.unwrap();
    keys::insert(&mut change, &two).await.unwrap();
    commit(change).await;
    hearing.holds(&Resource::Key(two.clone()).key()).await;
    // What is no revocation is not waited for, although one of them reads nothing.
    let began = Instant::now();
    eventually("two seconds", || async {
        assert_eq!(late(), 0);
        began.elapsed() > Duration::from_secs(2)
    })
    .await;

    let revoke = |mut key: tidegate_types::resource::VirtualKey| {
        let plane = &plane;
        async move {
            key.status = KeyStatus::Revoked;
            let mut change = plane.change(organization).await;
            keys::update(&mut change, &key, None, true).await.unwrap();
            commit(change).await;
            Resource::Key(key)
        }
    };
    let has = |stream: &Stream, revoked: &Resource| {
        stream.held.resources.get(&revoked.key()).is_some_and(|held| held.resource.as_ref() == Some(revoked))
    };
    let revoked = revoke(one).await;
    hearing.until("the revocation", |stream| has(stream, &revoked)).await;
    eventually("late", || async { late() >= 2 }).await;
    deaf.until("the revocation", |stream| has(stream, &revoked)).await;
    eventually("acknowledged", || async { late() == 0 }).await;

    // Who goes is not waited for.
    let revoked = revoke(two).await;
    hearing.until("the revocation", |stream| has(stream, &revoked)).await;
    eventually("late again", || async { late() >= 1 }).await;
    drop(deaf);
    eventually("nobody is waited for", || async { late() == 0 }).await;
}
