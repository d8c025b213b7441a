//! A control plane that runs for longer than its certificate holds.

use std::sync::Arc;

use tidegate_push::PushSettings;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::{HandClock, TestDatabase};
use tidegate_types::Clock as _;
use tokio::net::TcpListener;

use crate::fake_node::{FakeNode, dial};
use crate::plane::{Plane, now};

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_reach_a_control_plane_that_was_started_more_than_a_year_ago() {
    let database = TestDatabase::create().await.unwrap();
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", tidegate_testkit::port::free().unwrap())).await.unwrap();
    let clock = HandClock::new();
    clock.forward(now().as_seconds() - clock.now().as_seconds() - 370 * DAY);
    let settings = PushSettings::default();
    let plane = Plane::start_by(Arc::clone(&clock) as _, listener, database, kek, settings, None).await;
    let reached = || async { dial(plane.address, &plane.material.roots_pem(), None).await };
    // The positive control: what was made a year ago has ended, and nodes look at that.
    assert!(reached().await.is_err(), "its clock has not moved: the certificate ended five days ago");
    // A third of a year later nobody has been shown the first one for long.
    clock.forward(130 * DAY);
    assert!(reached().await.is_ok(), "renewed 240 days ago, until in 125 days");
    // It has not come once more until now, when that has ended, too.
    clock.forward(240 * DAY);
    FakeNode::enrol(&plane).await.synchronised().await;
    // A clock that was ahead is set back.
    clock.forward(500 * DAY);
    assert!(reached().await.is_err(), "not valid yet");
    clock.forward(-500 * DAY);
    assert!(reached().await.is_ok());
}
