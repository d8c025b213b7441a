//! Configuration: from the feed, from the disk, and never from garbage.

use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tidegate_node::NodeError;
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::config::{Command, Delta, Heal, PoolKey, ResourceKey, VersionedResource, resource};
use tidegate_types::resource::KeyStatus;
use tidegate_types::{Digest, Secret, Shard};

use crate::control_plane::{FakeControl, delta};
use crate::fleet::{
    Tenant, config_logs, copy_of, end, free_address, get, get_from, settings, start, start_ready, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_enrols_takes_the_snapshot_and_follows_changes() {
    let control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    assert!(tenant.is_known_to(&node));
    let revision = control.shared.publish(&tenant.key(KeyStatus::Revoked));
    until("the change is acknowledged", || {
        control
            .shared
            .acks
            .lock()
            .iter()
            .any(|ack| ack.n == revision.n && ack.shard as usize == revision.shard.index())
    })
    .await;
    let ack = control.shared.acks.lock().last().cloned().unwrap();
    assert_eq!(ack.digest, node.config().digest(revision.shard).to_u128().to_be_bytes());
    assert!(ack.rejected.is_empty());
    until("it is told in heartbeats as applied and shipped", || {
        let heartbeats = control.shared.heartbeats.lock();
        heartbeats.last().is_some_and(|beat| {
            let reached = |positions: &[tidegate_proto::config::ShardPosition]| {
                positions.iter().any(|p| p.shard as usize == revision.shard.index() && p.n == revision.n)
            };
            reached(&beat.applied) && reached(&beat.shipped)
        })
    })
    .await;
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_told_anew_before_a_change_of_the_catalogue_is_acknowledged() {
    let control = FakeControl::start().await;
    control.shared.heartbeat_ms.store(10_000, Ordering::SeqCst);
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    let revision = control.shared.publish_together(Shard::SYSTEM, &[(Tenant::system(), false)]) + 1;
    let is_of = |shard: u32, n: u64| shard as usize == Shard::SYSTEM.index() && n == revision;
    until("the change is acknowledged", || {
        control.shared.acks.lock().iter().any(|ack| is_of(ack.shard, ack.n))
    })
    .await;
    let told = control.shared.heartbeats.lock().last().cloned().unwrap();
    assert!(told.applied.iter().any(|p| is_of(p.shard, p.n)), "a heartbeat of before: {told:?}");
    assert!(told.answers.is_some());
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_only_when_it_holds_everything() {
    let control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    control.shared.sends_feed.store(false, Ordering::SeqCst);
    tenant.publish(&control);
    let node = start(&control, state.path()).await.unwrap();
    until("it has said hello", || !control.shared.hellos.lock().is_empty()).await;
    assert_eq!(get(&node, "/livez").await.0, 200);
    assert_eq!(get(&node, "/readyz").await.0, 503);
    assert!(!node.is_ready());
    for shard in Shard::all() {
        control.shared.send(Control::Delta(Delta {
            synchronised: shard == Shard::SYSTEM,
            ..control.shared.snapshot(shard)
        }));
    }
    until("it is ready", || node.is_ready()).await;
    assert!(tenant.is_known_to(&node));
    assert_eq!(get(&node, "/readyz").await.0, 200);
    while !get(&node, "/metrics").await.1.contains("tidegate_config_keys 1") {}
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_resource_is_rejected_alone_and_named() {
    let control = FakeControl::start().await;
    let (state, tenant, other) = (TempDir::new().unwrap(), Tenant::new(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    let revision = control.shared.publish_as(&tenant.key(KeyStatus::Active), false, |wire| {
        if let Some(resource::Resource::Key(key)) = &mut wire.resource.as_mut().unwrap().resource {
            key.status = "no such status".into();
        }
    });
    other.publish(&control);
    until("the rejection is told", || {
        control.shared.acks.lock().iter().any(|ack| ack.rejected.iter().any(|one| one.n == revision.n))
    })
    .await;
    until("the other tenant is served", || other.is_known_to(&node)).await;
    assert!(tenant.is_known_to(&node), "the last good version stays");
    end(node).await;
    let node = start_ready(&control, state.path()).await;
    assert!(tenant.is_known_to(&node), "after a restart as well");
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_of_a_kind_that_only_a_later_release_knows_is_named_and_stops_nothing() {
    let control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    let shard = Shard::of(tenant.organization);
    let later = |control: &FakeControl, present: bool| {
        control.shared.publish_as(&tenant.team(), false, |wire| {
            wire.key.as_mut().unwrap().kind = "quota_of_tomorrow".into();
            wire.content_hash = if present { vec![5; 32] } else { Vec::new() };
            // What an older release sees of it.
            wire.resource = present.then(Default::default);
        })
    };
    let ack_of = async |n: u64| {
        let find = || control.shared.acks.lock().iter().find(|ack| ack.n == n).cloned();
        until("it is acknowledged", || find().is_some()).await;
        find().unwrap()
    };
    let revision = later(&control, true);
    let ack = ack_of(revision.n).await;
    assert_eq!(ack.rejected.len(), 1, "{ack:?}");
    let rejected = &ack.rejected[0];
    let key = rejected.key.as_ref().unwrap();
    assert_eq!((key.kind.as_str(), rejected.n), ("quota_of_tomorrow", revision.n));
    assert!(rejected.reason.contains("this release knows no resource"), "{}", rejected.reason);
    let mut digest = node.config().digest(shard);
    let name = format!("{}/{}/{}", key.organization_id, key.kind, key.id);
    digest.add(Digest::of_member(&name, revision, &[5; 32], false));
    assert_eq!(
        ack.digest,
        digest.to_u128().to_be_bytes(),
        "it is counted, so that it is not sent again and again"
    );
    let next = control.shared.publish(&tenant.key(KeyStatus::Active));
    assert_eq!(ack_of(next.n).await.rejected.len(), 1, "still");
    assert!(tenant.is_known_to(&node));

    end(node).await;
    control.shared.acks.lock().clear();
    let node = start_ready(&control, state.path()).await;
    assert!(tenant.is_known_to(&node));
    until("it is named to whoever meets the node anew", || {
        control.shared.acks.lock().iter().any(|ack| ack.rejected.len() == 1 && ack.n == next.n)
    })
    .await;
    let next = control.shared.publish(&tenant.key(KeyStatus::Active));
    assert_eq!(ack_of(next.n).await.rejected.len(), 1, "after a restart as well");
    let gone = later(&control, false);
    assert!(ack_of(gone.n).await.rejected.is_empty(), "until it is deleted");
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_resumes_where_it_was() {
    let mut control = FakeControl::start().await;
    let (state, tenant, later) = (TempDir::new().unwrap(), Tenant::new(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    control.stop().await;
    later.publish(&control);
    assert!(node.is_ready() && tenant.is_known_to(&node), "it serves without the control plane");
    control.restart().await;
    until("it has what came meanwhile", || later.is_known_to(&node)).await;
    let hello = control.shared.hellos.lock().last().cloned().unwrap();
    let shard = Shard::of(tenant.organization);
    assert!(hello.positions.iter().any(|p| p.shard as usize == shard.index() && p.n == 3));
    end(node).await;
}

/// The control plane that it comes to may be of another release than the one before, and compare differently.
#[tokio::test(flavor = "multi_thread")]
async fn each_stream_begins_with_what_is_held_of_every_shard_though_nothing_changed() {
    let mut control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    let shard = Shard::of(tenant.organization);
    until("it is there", || tenant.is_known_to(&node)).await;
    control.stop().await;
    control.shared.acks.lock().clear();
    control.restart().await;
    let told = || control.shared.acks.lock().iter().find(|ack| ack.shard as usize == shard.index()).cloned();
    until("it is acknowledged once more", || told().is_some()).await;
    let ack = told().unwrap();
    assert_eq!((ack.n, ack.rejected.len()), (3, 0));
    assert_eq!(ack.digest, node.config().digest(shard).to_u128().to_be_bytes());
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_differs_is_healed() {
    let control = FakeControl::start().await;
    let (state, tenant, gone) = (TempDir::new().unwrap(), Tenant::new(), Tenant::new());
    tenant.publish(&control);
    gone.publish(&control);
    let node = start_ready(&control, state.path()).await;
    until("both are known", || gone.is_known_to(&node)).await;
    let shard = Shard::of(gone.organization);
    control
        .shared
        .feed
        .lock()
        .retain(|_, one| one.key.as_ref().unwrap().organization_id != gone.organization.to_string());
    control.shared.send(Control::Heal(Heal { shard: shard.index() as u32 }));
    let whole = Delta { to: 9, ..control.shared.snapshot(shard) };
    control.shared.send(Control::Delta(whole));
    until("what the control plane does not have is gone", || !gone.is_known_to(&node)).await;
    assert!(tenant.is_known_to(&node));
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_healing_broke_off_is_asked_for_as_a_whole() {
    let mut control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    let shard = Shard::of(tenant.organization);
    let other = std::iter::repeat_with(Tenant::new).find(|one| Shard::of(one.organization) != shard).unwrap();
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    until("it is known", || tenant.is_known_to(&node)).await;
    control.shared.send(Control::Heal(Heal { shard: shard.index() as u32 }));
    other.publish(&control);
    until("the node has heard what was said after that", || other.is_known_to(&node)).await;
    let before = control.shared.hellos.lock().len();
    control.stop().await;
    control.restart().await;
    until("it comes back", || control.shared.hellos.lock().len() > before).await;
    let hello = control.shared.hellos.lock().last().cloned().unwrap();
    assert!(hello.positions.iter().all(|held| held.shard as usize != shard.index() || held.n == 0));
    assert!(hello.positions.iter().any(|held| held.n > 0), "all others go on from where they are");
    assert!(tenant.is_known_to(&node), "it serves what it had meanwhile");
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_from_its_disk_without_the_control_plane() {
    let mut control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    control.shared.publish(&tenant.budget());
    until("the last change is applied", || control.shared.acks.lock().iter().any(|ack| ack.n == 4)).await;
    end(node).await;
    control.stop().await;
    let mut alone = settings(&control, state.path());
    alone.join_token = None;
    let node = tidegate_node::Node::start(alone).await.unwrap();
    assert!(node.is_ready());
    assert!(tenant.is_known_to(&node));
    control.restart().await;
    until("it comes back", || control.shared.hellos.lock().len() > 1).await;
    let hello = control.shared.hellos.lock().last().cloned().unwrap();
    assert!(hello.positions.iter().any(|p| p.n == 4));
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_on_disk_is_refused_and_fetched_anew() {
    let mut control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    control.shared.publish(&tenant.key(KeyStatus::Revoked));
    until("the revocation is applied", || control.shared.acks.lock().iter().any(|ack| ack.n == 4)).await;
    end(node).await;
    control.stop().await;
    let log = config_logs(state.path())[0].clone();
    let length = std::fs::metadata(&log).unwrap().len() as usize;
    for offset in (0..length).step_by(length / 40) {
        let copy = copy_of(state.path());
        let log = copy.path().join("config").join(log.file_name().unwrap());
        let mut bytes = std::fs::read(&log).unwrap();
        bytes[offset] ^= 0x10;
        std::fs::write(&log, bytes).unwrap();
        let node = start(&control, copy.path()).await.unwrap();
        assert!(!node.is_ready(), "a flip at {offset} went unseen");
        assert!(!tenant.is_known_to(&node), "a flip at {offset} brought an older version back");
        drop(node);
    }
    let copy = copy_of(state.path());
    std::fs::write(config_logs(copy.path())[0].clone(), b"").unwrap();
    control.restart().await;
    let node = start_ready(&control, copy.path()).await;
    assert!(tenant.is_known_to(&node));
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_log_put_back_is_not_served() {
    let mut control = FakeControl::start().await;
    let (state, tenant) = (TempDir::new().unwrap(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    end(node).await;
    let old = copy_of(state.path());
    let node = start_ready(&control, state.path()).await;
    control.shared.publish(&tenant.key(KeyStatus::Revoked));
    until("the revocation is applied", || control.shared.acks.lock().iter().any(|ack| ack.n == 4)).await;
    end(node).await;
    control.stop().await;
    for log in config_logs(old.path()) {
        std::fs::copy(&log, state.path().join("config").join(log.file_name().unwrap())).unwrap();
    }
    let node = start(&control, state.path()).await.unwrap();
    assert!(!node.is_ready());
    assert!(!tenant.is_known_to(&node));
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_from_the_control_plane_ends_streams_and_nothing_else() {
    let control = FakeControl::start().await;
    let (state, tenant, after) = (TempDir::new().unwrap(), Tenant::new(), Tenant::new());
    tenant.publish(&control);
    let node = start_ready(&control, state.path()).await;
    let shard = Shard::of(tenant.organization);
    let nameless = VersionedResource { n: u64::MAX, tightens: true, ..VersionedResource::default() };
    let misnamed = VersionedResource {
        key: Some(ResourceKey { organization_id: "org_".into(), kind: "key".into(), id: "\u{0}".into() }),
        ..nameless.clone()
    };
    let garbage = [
        Control::Delta(Delta { shard: 9999, ..delta(shard, 0, 1, Vec::new()) }),
        Control::Delta(delta(shard, 77, u64::MAX, vec![nameless.clone()])),
        Control::Delta(delta(shard, 3, 3, vec![nameless, misnamed])),
        Control::Delta(Delta { last: false, ..delta(shard, 3, 4, Vec::new()) }),
        Control::Delta(Delta { replace: true, ..delta(shard, 3, 4, Vec::new()) }),
        Control::PoolKey(PoolKey { version: 9, sealed: vec![0; 3] }),
        Control::Heal(Heal { shard: u32::MAX }),
        Control::Command(Command { id: 1, command: None }),
    ];
    for message in garbage {
        until("a stream is there", || control.shared.is_connected()).await;
        control.shared.send(message);
        assert!(node.is_ready());
    }
    after.publish(&control);
    until("it follows changes again", || after.is_known_to(&node)).await;
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_join_token_is_refused_and_says_so() {
    let control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let mut wrong = settings(&control, state.path());
    wrong.join_token = Some(Secret::new("tgj_wrong"));
    assert!(matches!(tidegate_node::Node::start(wrong).await, Err(NodeError::Enrolment(_))));
    let mut none = settings(&control, state.path());
    none.join_token = None;
    assert!(matches!(tidegate_node::Node::start(none).await, Err(NodeError::NoJoinToken)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_serves_one_process_at_a_time() {
    let control = FakeControl::start().await;
    let state = TempDir::new().unwrap();
    let node = start(&control, state.path()).await.unwrap();
    assert!(matches!(start(&control, state.path()).await, Err(NodeError::InUse)));
    end(node).await;
    end(start(&control, state.path()).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_before_its_control_plane_enrols_when_it_comes() {
    let mut control = FakeControl::start().await;
    control.stop().await;
    let state = TempDir::new().unwrap();
    let mut early = settings(&control, state.path());
    early.metrics_listen = free_address();
    let metrics = early.metrics_listen;
    let early = tidegate_node::Node::start(early);
    let late = async {
        while tokio::net::TcpStream::connect(metrics).await.is_err() {}
        assert_eq!(get_from(metrics, "/livez").await.0, 200);
        assert_eq!(get_from(metrics, "/readyz").await.0, 503);
        control.restart().await;
    };
    let (node, ()) = tokio::join!(early, late);
    let node = node.unwrap();
    until("the node is ready", || node.is_ready()).await;
    end(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_with_a_foreign_certificate_learns_nothing() {
    let (control, impostor) = (FakeControl::start().await, FakeControl::start().await);
    let state = TempDir::new().unwrap();
    let mut misled = settings(&control, state.path());
    misled.control.url = format!("https://localhost:{}", impostor.address.port());
    misled.metrics_listen = free_address();
    let metrics = misled.metrics_listen;
    let start = tidegate_node::Node::start(misled);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(500), start).await.is_err());
    until("what had begun has ended", || std::net::TcpListener::bind(metrics).is_ok()).await;
    assert!(!state.path().join("identity").exists());
}
