//! How long a node serves without its control plane.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tidegate_node::{Node, RunningNode};
use tidegate_proto::config::Current;
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::usage::RefusalCause;
use tidegate_proto::usage::journal_record::Record;
use tidegate_types::resource::{Organization, Resource};
use tidegate_types::{Clock as _, Secret};

use crate::control_plane::FakeControl;
use crate::fleet::{Moved, Tenant, copy_of, end, settings_with_clock, until};
use crate::gateway::call;
use crate::support::PATIENCE;

const HOUR: i64 = 3_600_000;

/// A node under a clock that can be moved, and two tenants: one asks for an hour, one for nothing.
struct Scene {
    control: FakeControl,
    clock: Arc<Moved>,
    state: TempDir,
    strict: Secret,
    patient: Secret,
    node: RunningNode,
}

impl Scene {
    async fn start() -> Self {
        let control = FakeControl::start().await;
        let (state, clock) = (TempDir::new().unwrap(), Arc::new(Moved::default()));
        let strict = publish(&control, Some(3600));
        let patient = publish(&control, None);
        let node = start(&control, &state, &clock).await;
        until("the node is ready", || node.is_ready()).await;
        Self { control, clock, state, strict, patient, node }
    }

    fn advance(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// The state folder as `kill -9` leaves it once what the node holds is on its disk, which is written behind
    /// what is served: a node that starts from it is ready at once.
    async fn killed(&self) -> TempDir {
        let kept = async {
            loop {
                let copy = copy_of(self.state.path());
                let tried = copy_of(copy.path());
                if start(&self.control, &tried, &self.clock).await.is_ready() {
                    return copy;
                }
            }
        };
        tokio::time::timeout(PATIENCE, kept).await.unwrap()
    }

    /// The statuses that the strict and the patient tenant get. 404: served, and no such model.
    async fn statuses(&self) -> (u16, u16) {
        (call(&self.node, self.strict.expose()).await.0, call(&self.node, self.patient.expose()).await.0)
    }
}

fn publish(control: &FakeControl, max_staleness_seconds: Option<u32>) -> Secret {
    let tenant = Tenant::new();
    let (key, text) = tenant.issue(control);
    let Resource::Organization(organization) = tenant.organization() else { unreachable!() };
    let organization = Resource::Organization(Organization { max_staleness_seconds, ..organization });
    for resource in [organization, tenant.team(), key] {
        control.shared.publish(&resource);
    }
    text
}

async fn start(control: &FakeControl, state: &TempDir, clock: &Arc<Moved>) -> RunningNode {
    Node::start(settings_with_clock(control, state.path(), clock.clone())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_control_plane_each_organization_is_served_as_long_as_it_allows() {
    let mut scene = Scene::start().await;
    scene.control.stop().await;
    assert_eq!(scene.statuses().await, (404, 404));
    scene.advance(HOUR - 60_000);
    assert_eq!(scene.statuses().await, (404, 404));
    scene.advance(2 * 60_000);
    assert_eq!(scene.statuses().await, (503, 404));
    let (_, answer) = call(&scene.node, scene.strict.expose()).await;
    assert!(answer.contains("retry-after: 5\r\n"), "{answer}");
    assert!(answer.contains("configuration_stale") && answer.contains("control plane"), "{answer}");
    scene.advance(70 * HOUR);
    assert_eq!(scene.statuses().await, (503, 404), "72 hours where nothing else is asked for");
    scene.advance(2 * HOUR);
    assert_eq!(scene.statuses().await, (503, 503));
    assert!(scene.node.is_ready(), "which organizations are served is not the node's readiness");

    scene.control.restart().await;
    until("it is back", || scene.control.shared.hellos.lock().len() > 1).await;
    while scene.statuses().await != (404, 404) {}
    until("the refusals are reported", || {
        let stored = scene.control.shared.stored();
        let refused = |record: &Record| {
            matches!(record, Record::Call(call) if call.refusal_cause() == RefusalCause::Unavailable)
        };
        stored.values().any(|record| record.record.as_ref().is_some_and(refused))
    })
    .await;
    end(scene.node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_begin_the_time_anew() {
    let mut scene = Scene::start().await;
    scene.control.stop().await;
    scene.advance(HOUR / 2);
    // As `kill -9` leaves the folder, and as an orderly end does.
    let killed = scene.killed().await;
    end(scene.node).await;
    for state in [killed, scene.state] {
        let node = start(&scene.control, &state, &scene.clock).await;
        assert!(node.is_ready());
        assert_eq!(call(&node, scene.strict.expose()).await.0, 404, "half an hour is allowed");
        scene.clock.0.fetch_add(HOUR / 2, Ordering::SeqCst);
        assert_eq!(call(&node, scene.strict.expose()).await.0, 503, "the half before counts");
        assert_eq!(call(&node, scene.patient.expose()).await.0, 404);
        scene.clock.0.fetch_sub(HOUR / 2, Ordering::SeqCst);
        // An orderly end would wait for a control plane to take its records.
        let state = copy_of(state.path());
        drop(node);
        // Without the file nobody knows: nothing is served before the first contact.
        std::fs::remove_file(state.path().join("contact")).unwrap();
        let node = start(&scene.control, &state, &scene.clock).await;
        assert_eq!(call(&node, scene.patient.expose()).await.0, 503);
        drop(node);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_is_no_contact_but_a_word_on_it_is() {
    let scene = Scene::start().await;
    scene.advance(2 * HOUR);
    assert_eq!(scene.statuses().await, (503, 404), "the stream is open and nobody vouches for it");
    scene.control.shared.send(Control::Current(Current::default()));
    while scene.statuses().await != (404, 404) {}
    scene.advance(2 * HOUR);
    assert_eq!(scene.statuses().await, (503, 404));
    publish(&scene.control, None);
    while scene.statuses().await != (404, 404) {}
    end(scene.node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_counts_only_once_it_has_brought_everything() {
    let mut scene = Scene::start().await;
    scene.control.stop().await;
    scene.advance(2 * HOUR);
    scene.control.shared.sends_feed.store(false, Ordering::SeqCst);
    scene.control.restart().await;
    until("it is back", || scene.control.shared.is_connected()).await;
    scene.control.shared.send(Control::Current(Current::default()));
    let beats = scene.control.shared.heartbeats.lock().len();
    until("it was heard", || scene.control.shared.heartbeats.lock().len() > beats + 3).await;
    assert_eq!(scene.statuses().await.0, 503, "a revocation could still be on its way");
    assert!(scene.clock.now().millis_since(scene.node.config().confirmed_at()) > HOUR);
    end(scene.node).await;
}
