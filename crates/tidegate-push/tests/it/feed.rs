//! The feed: snapshots, deltas, resuming, healing.

use std::sync::Arc;

use tidegate_push::PushSettings;
use tidegate_store::{keys, teams};
use tidegate_types::resource::{KeyStatus, Resource, ResourceKey};
use tidegate_types::{OrganizationId, Revision, Shard};
use tonic::Code;

use crate::fake_node::{FakeNode, Held, Stream};
use crate::plane::{DEADLINE, Plane, commit, eventually};
use crate::samples;

fn key_of(resource: &tidegate_types::resource::VirtualKey) -> ResourceKey {
    Resource::Key(resource.clone()).key()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_gets_its_pool_key_and_everything_there_is() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let key = samples::key(organization, team, "one");
    let mut change = plane.change(organization).await;
    keys::insert(&mut change, &key).await.unwrap();
    commit(change).await;

    let node = FakeNode::enrol(&plane).await;
    let stream = node.synchronised().await;
    assert_eq!(stream.held.resources.len(), 3, "organization, team, key");
    assert_eq!(stream.held.resources[&key_of(&key)].resource, Some(Resource::Key(key)));
    assert!(stream.deltas.iter().all(|delta| delta.replace || delta.resources.is_empty()));
    let secrets = node.open(stream.pool_key.as_ref().unwrap());
    assert!(secrets.key.expose() == plane.material.pools["default"].key.expose());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_a_connected_node_within_five_seconds() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let mut key = samples::key(organization, team, "one");
    let mut change = plane.change(organization).await;
    keys::insert(&mut change, &key).await.unwrap();
    commit(change).await;
    stream.holds(&key_of(&key)).await;
    key.status = KeyStatus::Revoked;
    let mut change = plane.change(organization).await;
    keys::update(&mut change, &key, None, true).await.unwrap();
    commit(change).await;
    let committed = std::time::Instant::now();
    let revoked = Some(Resource::Key(key.clone()));
    stream.until("the revocation", |s| s.held.resources[&key_of(&key)].resource == revoked).await;
    assert!(committed.elapsed() < std::time::Duration::from_secs(5), "{:?}", committed.elapsed());
    assert!(stream.held.resources[&key_of(&key)].tightens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_resumes_from_where_it_was_without_a_snapshot() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let gone = samples::key(organization, team, "gone");
    let node = FakeNode::enrol(&plane).await;
    let mut change = plane.change(organization).await;
    teams::insert(
        &mut change,
        &tidegate_types::resource::Team { name: "x".into(), ..samples::team(organization) },
    )
    .await
    .unwrap();
    keys::insert(&mut change, &gone).await.unwrap();
    commit(change).await;
    let mut first = node.synchronised().await;
    first.holds(&key_of(&gone)).await;
    let (held, before) = (first.held.clone(), first.held.resources.len());
    drop(first);

    // More changes than are kept in memory, then a few: both ways of catching up.
    let mut change = plane.change(organization).await;
    for n in 0..300 {
        keys::insert(&mut change, &samples::key(organization, team, &format!("k{n}"))).await.unwrap();
    }
    commit(change).await;
    let twin = plane.twin().await;
    for plane in [&plane, &twin] {
        let channel = node.at(plane).await;
        let mut stream = node.stream_from(held.clone(), channel).await.unwrap();
        stream.until("synchronised", |stream| stream.synchronised).await;
        assert!(stream.deltas.iter().all(|delta| !delta.replace), "no shard was sent whole");
        let sent: usize = stream.deltas.iter().map(|delta| delta.resources.len()).sum();
        assert_eq!(sent, 300);
        assert_eq!(stream.held.resources.len(), before + 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_shard_is_cut_into_parts_that_fit_a_message() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let mut change = plane.change(organization).await;
    for n in 0..1200 {
        let mut key = samples::key(organization, team, &format!("k{n}"));
        key.tags = (0..20).map(|tag| (format!("tag{tag}"), "v".repeat(100))).collect();
        keys::insert(&mut change, &key).await.unwrap();
    }
    commit(change).await;
    let node = FakeNode::enrol(&plane).await;
    let stream = node.synchronised().await;
    let shard = Shard::of(organization).index() as u32;
    let parts: Vec<_> = stream.deltas.iter().filter(|delta| delta.shard == shard).collect();
    assert!(parts.len() > 2, "{} parts", parts.len());
    assert!(parts.iter().rev().skip(1).all(|part| !part.last && part.replace) && parts.last().unwrap().last);
    assert_eq!(stream.held.resources.len(), 1202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_holds_something_else_is_healed() {
    let plane = Plane::start().await;
    let (organization, _) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let before = stream.held.resources.clone();
    let shard = Shard::of(organization);

    // Positive control: an honest node is left alone.
    let n = stream.held.position.get(shard);
    eventually("its digests were compared", || async { plane.metrics.compared.get() > 0 }).await;
    assert_eq!(plane.metrics.heals.get(), 0);

    stream.held.error = 1;
    stream.held.resources.retain(|key, _| key.organization_id != organization);
    stream.acknowledge(shard, n).await;
    stream
        .until("healed", |stream| stream.healed == [shard.index() as u32] && stream.held.resources == before)
        .await;
    assert_eq!(plane.metrics.heals.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_resource_that_cannot_be_read_is_left_out_alone() {
    let plane = Plane::start().await;
    let (acme, team) = plane.organization("acme").await;
    let (globex, _) = plane.organization("globex").await;
    plane.tamper(&format!(
        "UPDATE config_resources SET content = '{{\"resource\": \"team\"}}' WHERE id = '{team}'"
    ));
    let node = FakeNode::enrol(&plane).await;
    let stream = node.synchronised().await;
    let of = |organization: OrganizationId| {
        stream.held.resources.keys().filter(|key| key.organization_id == organization).count()
    };
    assert_eq!((of(acme), of(globex)), (1, 2), "only the unreadable team is missing");
    assert_eq!(plane.metrics.unreadable.get(), 1);
    // Its digest differs for ever: that must not make an endless loop of healing.
    let shards = stream.deltas.iter().filter(|delta| delta.replace).count() as u64;
    eventually("all digests were compared", || async { plane.metrics.compared.get() >= shards }).await;
    assert_eq!(plane.metrics.heals.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_change_does_not_hold_up_the_following_ones() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let shard = Shard::of(organization).index();
    plane.tamper(&format!(
        "BEGIN; UPDATE feed_head SET n = n + 1 WHERE shard = {shard};
         UPDATE config_resources SET content = '{{}}', n = (SELECT n FROM feed_head WHERE shard = {shard})
         WHERE id = '{team}'; COMMIT"
    ));
    let key = samples::key(organization, team, "after");
    let mut change = plane.change(organization).await;
    keys::insert(&mut change, &key).await.unwrap();
    commit(change).await;
    stream.holds(&key_of(&key)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_control_planes_serve_the_same_feed() {
    let plane = Plane::start().await;
    let twin = plane.twin().await;
    let (organization, team) = plane.organization("acme").await;
    let (one, two) = (FakeNode::enrol(&plane).await, FakeNode::enrol(&twin).await);
    let (mut first, mut second) = (one.synchronised().await, two.synchronised().await);
    assert_eq!(first.held.resources, second.held.resources);
    let key = samples::key(organization, team, "one");
    let mut change = twin.change(organization).await;
    keys::insert(&mut change, &key).await.unwrap();
    commit(change).await;
    first.holds(&key_of(&key)).await;
    second.holds(&key_of(&key)).await;
    // A node enrolled at one control plane is at home at the other, and goes on where it was.
    let mut moved = one.stream_from(first.held.clone(), one.at(&twin).await).await.unwrap();
    moved.until("synchronised", |stream| stream.synchronised).await;
    assert!(moved.deltas.iter().all(|delta| delta.resources.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_from_a_control_plane_that_has_seen_more_is_never_taken_back() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    // The node has the newest change before this control plane's next look at the feed.
    for n in 0..5 {
        let stream = node.synchronised().await;
        let mut held = stream.held.clone();
        let key = samples::key(organization, team, &format!("k{n}"));
        let mut change = plane.change(organization).await;
        keys::insert(&mut change, &key).await.unwrap();
        let revision = commit(change).await.revision.unwrap();
        held.position.advance(revision);
        let mut resumed = node.stream_from(held, node.channel.clone()).await.unwrap();
        resumed.until("synchronised", |stream| stream.synchronised).await;
        assert!(resumed.deltas.iter().all(|delta| !delta.replace), "round {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_ahead_of_the_database_gets_everything_under_numbers_beyond_its_own() {
    let plane = Plane::start().await;
    let (organization, _) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut other = node.synchronised().await;
    let shard = Shard::of(organization);
    let ahead = |n| {
        let mut held = Held::default();
        held.position.advance(Revision { shard, n });
        held
    };
    let twin = FakeNode::enrol(&plane).await;
    let mut stream = twin.stream_from(ahead(1_000_000), twin.channel.clone()).await.unwrap();
    stream.until("synchronised", |stream| stream.synchronised).await;
    let is_beyond = |version: &tidegate_types::resource::Versioned| version.revision.n > 1_000_000;
    let of = |stream: &Stream| {
        let all =
            stream.held.resources.values().filter(|version| version.key.organization_id == organization);
        all.map(is_beyond).collect::<Vec<_>>()
    };
    assert_eq!(of(&stream), [true, true], "organization and team");
    other.until("the others get them too", |stream| of(stream) == [true, true]).await;
    assert_eq!(plane.metrics.renewals.get(), 1);
    // Who only says so has the shard sent whole, and nothing else happens to anybody.
    let mut liar = twin.stream_from(ahead(1 << 60), twin.channel.clone()).await.unwrap();
    liar.until("synchronised", |stream| stream.synchronised).await;
    assert!(liar.deltas.iter().any(|delta| delta.replace && delta.shard == shard.index() as u32));
    assert_eq!(plane.metrics.renewals.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_keeps_although_it_was_sent_anew_is_renewed() {
    let plane = Plane::start().await;
    let (organization, _) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let shard = Shard::of(organization);
    let n = stream.held.position.get(shard);
    stream.held.error = 1;
    stream.held.stubborn = true;
    stream.acknowledge(shard, n).await;
    stream.until("renewed", |stream| stream.held.position.get(shard) > n + 1_000_000).await;
    assert_eq!((plane.metrics.heals.get(), plane.metrics.renewals.get()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_its_last_changes_while_nodes_were_connected_is_followed() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let shard = Shard::of(organization);
    let add = async |name| {
        let key = samples::key(organization, team, name);
        let mut change = plane.change(organization).await;
        keys::insert(&mut change, &key).await.unwrap();
        commit(change).await;
        key_of(&key)
    };
    stream.holds(&add("before").await).await;
    // As a standby that was promoted without it.
    plane.tamper(&format!("UPDATE feed_head SET n = n - 1 WHERE shard = {}", shard.index()));
    eventually("the feed has seen it", || async { plane.metrics.renewals.get() > 0 }).await;
    stream.holds(&add("after").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_every_stream_so_that_nodes_go_elsewhere() {
    let plane = Plane::start().await;
    plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    plane.stop.cancel();
    assert_eq!(stream.end().await.map(|status| status.code()), Some(Code::Unavailable));
    drop((stream, node));
    tokio::time::timeout(DEADLINE, plane.serving).await.expect("the server ends").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_is_told_to_come_back_later() {
    let plane = Plane::start().await;
    let settings = PushSettings { streams_per_second: 5, streams_burst: 2, ..PushSettings::default() };
    let small = Plane::start_over(plane.database.clone(), plane.kek.clone(), settings).await;
    let node = FakeNode::enrol(&small).await;
    let mut refused = 0;
    for _ in 0..6 {
        match node.stream_from(Held::default(), node.channel.clone()).await {
            Ok(stream) => drop(stream),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted);
                refused += 1;
            }
        }
    }
    assert!(refused >= 2, "{refused} of 6 refused");
    let (node, small) = (Arc::new(node), Arc::new(small));
    eventually("admitted again", || {
        let node = Arc::clone(&node);
        async move { node.stream_from(Held::default(), node.channel.clone()).await.is_ok() }
    })
    .await;
    small.stop.cancel();
}
