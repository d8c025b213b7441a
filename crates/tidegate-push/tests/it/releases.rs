//! Nodes of an older release: what they do not know is named for them, and nobody tries to heal it. And a control
//! plane of an older release, beside one that has stored what it does not know.

use std::collections::BTreeMap;

use tidegate_store::{keys, trust_rules};
use tidegate_telemetry::entropy;
use tidegate_types::resource::{Resource, ResourceKey, ResourceKind, TrustRule};
use tidegate_types::{KeyId, OrganizationId, Shard, TeamId};

use crate::fake_node::{FakeNode, Held};
use crate::plane::{Plane, commit, eventually, now};
use crate::samples;

fn trust_rule(organization_id: OrganizationId, key_id: KeyId) -> TrustRule {
    TrustRule {
        organization_id,
        id: entropy::new_id(now()),
        name: "ci".to_owned(),
        key_id,
        issuer: "https://issuer.example".to_owned(),
        audience: "tidegate".to_owned(),
        claims: BTreeMap::new(),
        principal_claim: None,
        longest_life_seconds: 3600,
        discovered: true,
        keys: Vec::new(),
    }
}

/// An organization with a trust rule.
async fn trusting(plane: &Plane) -> (OrganizationId, ResourceKey) {
    let (organization, team) = plane.organization("acme").await;
    let key = samples::key(organization, team, "ci");
    let rule = trust_rule(organization, key.id);
    let mut change = plane.change(organization).await;
    keys::insert(&mut change, &key).await.unwrap();
    trust_rules::insert(&mut change, &rule).await.unwrap();
    commit(change).await;
    (organization, Resource::TrustRule(rule).key())
}

/// Holds everything but trust rules, of which it says nothing.
fn passing_over() -> Held {
    Held { passes_over: [ResourceKind::TrustRule].into(), ..Held::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_node_passes_over_is_named_for_it_and_not_sent_again_and_again() {
    let plane = Plane::start().await;
    let (organization, rule) = trusting(&plane).await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.stream_from(passing_over(), node.channel.clone()).await.unwrap();
    stream.until("synchronised", |stream| stream.synchronised).await;
    assert!(stream.held.resources.keys().all(|key| key.kind != ResourceKind::TrustRule));
    let named = async || plane.fleet(node.id).await.heartbeat.rejections;
    eventually("the rule is named", || async { !named().await.is_empty() }).await;
    let rejections = named().await;
    assert_eq!((rejections.len(), &rejections[0].key), (1, &rule));
    assert!(rejections[0].reason.contains("upgrade the node"), "{}", rejections[0].reason);

    // Compared once more, after a change of something else: still right.
    let compared = plane.metrics.compared.get();
    let n = stream.held.position.get(Shard::of(organization));
    stream.acknowledge(Shard::of(organization), n).await;
    eventually("it was compared again", || async { plane.metrics.compared.get() > compared }).await;
    assert_eq!(plane.metrics.heals.get(), 0);

    // Positive control: what it does know must be there.
    stream.held.resources.retain(|key, _| key.kind != ResourceKind::Key);
    stream.acknowledge(Shard::of(organization), n).await;
    stream
        .until("healed", |stream| stream.held.resources.keys().any(|key| key.kind == ResourceKind::Key))
        .await;
    assert_eq!(plane.metrics.heals.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_would_name_what_it_does_not_know_is_healed_when_it_says_nothing() {
    let plane = Plane::start().await;
    trusting(&plane).await;
    let node = FakeNode::enrol(&plane).await;
    let held = Held { features: vec![tidegate_proto::NAMES_KINDS.to_owned()], ..passing_over() };
    let mut stream = node.stream_from(held, node.channel.clone()).await.unwrap();
    stream.until("it is sent anew", |stream| !stream.healed.is_empty()).await;
}

/// What a later release might store: a team with a demand that must not be left out, and a kind of its own.
fn store_as_a_later_release(plane: &Plane, organization: OrganizationId, team: TeamId) {
    let shard = Shard::of(organization).index();
    plane.tamper(&format!(
        "BEGIN; UPDATE feed_head SET n = n + 2 WHERE shard = {shard};
         UPDATE config_resources SET requires = '{{residency,tomorrow}}', content = content || '{{\"tomorrow\": true}}',
             n = (SELECT n - 1 FROM feed_head WHERE shard = {shard}) WHERE id = '{team}';
         INSERT INTO config_resources (organization_id, kind, id, shard, n, tightens, version, created_at, updated_at,
                                       content, content_hash)
         SELECT organization_id, 'quota_of_tomorrow', 'x', shard, n + 1, false, 1, now(), now(), '{{}}', decode(repeat('05', 32), 'hex')
         FROM config_resources WHERE id = '{team}'; COMMIT"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_later_release_understands_is_passed_on_as_what_nobody_can_apply() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let known = stream.held.resources.keys().find(|key| key.kind == ResourceKind::Team).unwrap().clone();

    store_as_a_later_release(&plane, organization, team);
    let key = samples::key(organization, team, "after");
    let mut change = plane.change(organization).await;
    keys::insert(&mut change, &key).await.unwrap();
    commit(change).await;
    // Neither holds up what comes after it.
    let after = Resource::Key(key).key();
    stream.until("the following key", |stream| stream.held.resources.contains_key(&after)).await;
    assert!(stream.held.refused.contains_key(&known), "{:?}", stream.held.refused);
    let sent = stream.deltas.iter().flat_map(|delta| &delta.resources);
    let sent: Vec<_> = sent.filter(|one| one.key.as_ref().is_some_and(|key| key.kind == "team")).collect();
    let last = sent.last().unwrap();
    let shell = last.resource.as_ref().unwrap();
    assert!(last.tightens && shell.resource.is_none(), "no node goes on as if it had it whole: {last:?}");
    assert_eq!(shell.requires, ["tomorrow"], "what is missing here, and nothing else");

    // A node that begins afresh is told as well, and nobody is healed for ever.
    let other = FakeNode::enrol(&plane).await;
    let afresh = other.synchronised().await;
    assert!(afresh.held.refused.contains_key(&known) && afresh.held.resources.contains_key(&after));
    let named = async || plane.fleet(other.id).await.heartbeat.rejections;
    eventually("it is named in the fleet", || async { named().await.iter().any(|one| one.key == known) })
        .await;
    assert_eq!((plane.metrics.heals.get(), plane.metrics.unreadable.get()), (0, 1));
}

/// The team as this release could have stored it, once more.
fn take_back(plane: &Plane, organization: OrganizationId, team: TeamId) {
    let shard = Shard::of(organization).index();
    plane.tamper(&format!(
        "BEGIN; UPDATE feed_head SET n = n + 1 WHERE shard = {shard};
         UPDATE config_resources SET requires = NULL, content = content - 'tomorrow',
             n = (SELECT n FROM feed_head WHERE shard = {shard}) WHERE id = '{team}'; COMMIT"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_healed_again_once_everything_in_it_can_be_read_whatever_a_later_release_has_there() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let shard = Shard::of(organization);
    let node = FakeNode::enrol(&plane).await;
    let mut stream = node.synchronised().await;
    let known = stream.held.resources.keys().find(|key| key.kind == ResourceKind::Team).unwrap().clone();
    store_as_a_later_release(&plane, organization, team);
    stream.until("the team is refused", |stream| stream.held.refused.contains_key(&known)).await;
    take_back(&plane, organization, team);
    stream.until("the team is back", |stream| !stream.held.refused.contains_key(&known)).await;
    assert_eq!(plane.metrics.heals.get(), 0);

    // It loses something: the kind that only a later release knows is still there.
    stream.held.resources.remove(&known);
    let n = stream.held.position.get(shard);
    stream.acknowledge(shard, n).await;
    stream.until("it is healed", |stream| stream.held.resources.contains_key(&known)).await;
    assert_eq!(plane.metrics.heals.get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_later_release_keeps_what_only_its_own_control_planes_can_send() {
    let plane = Plane::start().await;
    let (organization, team) = plane.organization("acme").await;
    let shard = Shard::of(organization);
    store_as_a_later_release(&plane, organization, team);
    take_back(&plane, organization, team);
    let node = FakeNode::enrol(&plane).await;
    let later = tidegate_proto::known_kinds() + ",quota_of_tomorrow";
    let features = vec![tidegate_proto::NAMES_KINDS.to_owned(), later];
    let held = Held { features, ..Held::default() };
    let mut stream = node.stream_from(held, node.channel.clone()).await.unwrap();
    stream.until("synchronised", |stream| stream.synchronised).await;

    // It has a version of the later kind that is not in the store any more: nobody here can say what it should be.
    stream.held.error = 5;
    let n = stream.held.position.get(shard);
    stream.acknowledge(shard, n).await;
    // What it acknowledges after that is compared after it.
    stream.held.error = 0;
    let compared = plane.metrics.compared.get();
    stream.acknowledge(Shard::SYSTEM, stream.held.position.get(Shard::SYSTEM)).await;
    eventually("the next one is compared", || async { plane.metrics.compared.get() > compared }).await;
    assert_eq!(plane.metrics.heals.get(), 0);

    // Positive control: a node that does not know of it is healed of the same.
    let plain = FakeNode::enrol(&plane).await;
    let mut stream = plain.synchronised().await;
    stream.held.error = 5;
    stream.acknowledge(shard, n).await;
    stream.until("it is sent anew", |stream| !stream.healed.is_empty()).await;
    assert_eq!(plane.metrics.heals.get(), 1, "and the other one was not");
}
