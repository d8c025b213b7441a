//! What nodes of earlier releases said, a control plane of this one takes: their streams last, their journals are
//! stored and acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use tidegate_proto::config::control_message::Message as Control;
use tidegate_proto::config::{ControlMessage, NodeMessage, VersionedResource, node_message::Message as Said};
use tidegate_proto::usage::{ReportRequest, journal_record::Record};
use tidegate_proto::versioned_from_wire;
use tidegate_store::{budgets, keys, offerings, organizations, teams};
use tidegate_types::resource::Resource;
use tidegate_types::{OrganizationId, Shard};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::fake_node::{FakeNode, Held, message};
use crate::frames::{Side, recorded};
use crate::plane::{Plane, commit, eventually};

/// The newest version of every resource that the recorded node was told of.
fn resources(sides: &[Side]) -> Vec<Resource> {
    let mut newest = BTreeMap::new();
    for bytes in sides.iter().filter(|side| !side.is_node).flat_map(|side| &side.messages) {
        if let Some(Control::Delta(delta)) = ControlMessage::decode(bytes.as_slice()).unwrap().message {
            let shard = Shard::new(u8::try_from(delta.shard).unwrap()).unwrap();
            let read = |one: VersionedResource| versioned_from_wire(shard, one).unwrap();
            newest.extend(delta.resources.into_iter().map(read).map(|one| (one.key.clone(), one)));
        }
    }
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_by_key(|one| one.revision.n);
    newest.into_iter().filter_map(|one| one.resource).collect()
}

/// The books need the organization, its team, keys and budgets, and what the models cost.
async fn restore(plane: &Plane, resources: &[Resource]) {
    let mut system = plane.change(OrganizationId::SYSTEM).await;
    for resource in resources {
        if let Resource::Offering(offering) = resource {
            offerings::insert(&mut system, offering).await.unwrap();
        }
    }
    commit(system).await;
    let organizations: Vec<_> = resources
        .iter()
        .filter_map(|resource| match resource {
            Resource::Organization(organization) => Some(organization),
            _ => None,
        })
        .collect();
    for organization in organizations {
        let mut change = plane.change(organization.id).await;
        organizations::insert(&mut change, organization).await.unwrap();
        let of = |resource: &&Resource| resource.key().organization_id == organization.id;
        for resource in resources.iter().filter(of) {
            match resource {
                Resource::Team(team) => teams::insert(&mut change, team).await.unwrap(),
                Resource::Key(key) => keys::insert(&mut change, key).await.unwrap(),
                Resource::Budget(budget) => budgets::insert(&mut change, budget).await.unwrap(),
                _ => {}
            }
        }
        commit(change).await;
    }
}

/// Sends a recorded stream, message by message.
async fn say_again(plane: &Plane, node: &FakeNode, side: &Side) {
    let mut said =
        side.messages.iter().map(|bytes| NodeMessage::decode(bytes.as_slice()).unwrap().message.unwrap());
    let Some(Said::Hello(hello)) = said.next() else { panic!("the first message is Hello") };
    let held = Held { features: hello.features, ..Held::default() };
    let mut stream = node.stream_from(held, node.channel.clone()).await.unwrap();
    let mut beat = None;
    for one in said {
        if let Said::Heartbeat(heartbeat) = &one {
            beat = Some(heartbeat.clone());
        }
        stream.say.send(message(one)).await.unwrap();
    }
    stream.until("the stream lasts", |stream| stream.synchronised).await;
    let beat = beat.unwrap();
    eventually("its last heartbeat is in the fleet", || async {
        let known = plane.fleet(node.id).await.heartbeat;
        known.limiter_mode == beat.limiter_mode && known.draining == beat.draining
    })
    .await;
    assert_eq!(plane.metrics.malformed.get(), 0);
}

/// Ships a recorded journal; how many records of it were stored.
async fn ship_again(node: &FakeNode, side: &Side) -> usize {
    let (say, said) = mpsc::channel(4);
    let mut answers = node.usage().report(ReceiverStream::new(said)).await.unwrap().into_inner();
    let (mut wanted, mut records) = (BTreeMap::new(), 0);
    for bytes in &side.messages {
        let mut request = ReportRequest::decode(bytes.as_slice()).unwrap();
        // The seal is signed by the key of the node that was recorded, which this one has not.
        request.seal = None;
        records += request.records.len();
        wanted.extend(request.records.iter().map(|one| ((one.boot, one.lane), one.sequence)));
        say.send(request).await.unwrap();
    }
    let acknowledge = async {
        while !wanted.is_empty() {
            let answer = answers.message().await.unwrap().expect("the stream lasts");
            for lane in answer.acknowledged {
                if wanted.get(&(lane.boot, lane.lane)).is_some_and(|last| *last <= lane.sequence) {
                    wanted.remove(&(lane.boot, lane.lane));
                }
            }
        }
    };
    assert!(tokio::time::timeout(crate::plane::DEADLINE, acknowledge).await.is_ok(), "never acknowledged");
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_hears_what_an_earlier_node_said_and_stores_what_it_shipped() {
    let mut releases: BTreeMap<String, Vec<Side>> = BTreeMap::new();
    for side in recorded() {
        releases.entry(side.release.clone()).or_default().push(side);
    }
    for (release, sides) in releases {
        let (streams, others): (Vec<_>, Vec<_>) =
            sides.into_iter().partition(|side| side.call.ends_with("ConfigService.Stream"));
        let plane = Plane::start().await;
        restore(&plane, &resources(&streams)).await;
        let node = FakeNode::enrol(&plane).await;
        let said = streams.iter().find(|side| side.is_node).unwrap();
        say_again(&plane, &node, said).await;
        let mut records = 0;
        let reports = others.iter().filter(|side| side.call.ends_with("UsageService.Report") && side.is_node);
        for side in reports {
            records += ship_again(&node, side).await;
        }
        assert!(records > 0, "{release}");
        let calls: BTreeSet<Vec<u8>> = others.iter().filter(|side| side.is_node).flat_map(calls).collect();
        let stored = format!("SELECT 1 / (SELECT count(*) = {} FROM call_records)::int", calls.len());
        plane.tamper(&stored);
    }
}

/// Ids of the calls that were shipped.
fn calls(side: &Side) -> Vec<Vec<u8>> {
    if !side.call.ends_with("UsageService.Report") {
        return Vec::new();
    }
    let requests = side.messages.iter().map(|bytes| ReportRequest::decode(bytes.as_slice()).unwrap());
    let calls = requests.flat_map(|request| request.records).filter_map(|record| match record.record {
        Some(Record::Call(call)) => Some(call.call_id.to_vec()),
        _ => None,
    });
    calls.collect()
}
