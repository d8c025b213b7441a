//! What earlier releases said is still understood, all of it.

use std::collections::BTreeSet;

use prost::Message;
use tidegate_proto::config::{ControlMessage, NodeMessage, control_message, node_message};
use tidegate_proto::usage::{ReportRequest, ReportResponse, journal_record::Record};
use tidegate_proto::{budget, digest_from_wire, positions_from_wire, query, versioned_from_wire};
use tidegate_types::Shard;
use tidegate_types::usage::{BillingEvent, CallRecord};

use crate::frames::{Side, recorded};

/// Reads a message, and sees that nothing of it is lost by that.
fn read<M: Message + Default + std::fmt::Debug>(bytes: &[u8]) -> M {
    let message = M::decode(bytes).unwrap();
    assert_eq!(message.encode_to_vec(), bytes, "{message:?}");
    message
}

fn keeps<M: Message + Default + std::fmt::Debug>(bytes: &[u8]) {
    read::<M>(bytes);
}

fn heard_of_control(message: ControlMessage, kinds: &mut BTreeSet<String>) {
    let Some(message) = message.message else { panic!("a message that nobody knows any more") };
    match message {
        control_message::Message::Delta(delta) => {
            let shard = Shard::new(u8::try_from(delta.shard).unwrap()).unwrap();
            for one in delta.resources {
                kinds.insert(one.key.as_ref().unwrap().kind.clone());
                let (n, hash) = (one.n, one.content_hash.clone());
                let read =
                    versioned_from_wire(shard, one).unwrap_or_else(|(key, error)| panic!("{key:?}: {error}"));
                assert_eq!((read.revision.n, hash.is_empty()), (n, read.resource.is_none()));
            }
        }
        control_message::Message::Welcome(_) => drop(kinds.insert("Welcome".into())),
        control_message::Message::PoolKey(_) => drop(kinds.insert("PoolKey".into())),
        control_message::Message::Current(_) => drop(kinds.insert("Current".into())),
        control_message::Message::Command(_) | control_message::Message::Heal(_) => {}
    }
}

fn heard_of_node(message: NodeMessage, kinds: &mut BTreeSet<String>) {
    match message.message.unwrap() {
        node_message::Message::Hello(hello) => {
            assert_eq!(hello.protocol_version, tidegate_proto::PROTOCOL_VERSION);
            positions_from_wire(&hello.positions).unwrap();
            kinds.insert("Hello".into());
        }
        node_message::Message::Ack(ack) => {
            digest_from_wire(&ack.digest).unwrap();
            assert!(ack.rejected.is_empty(), "{ack:?}");
            kinds.insert("Ack".into());
        }
        node_message::Message::Heartbeat(beat) => {
            positions_from_wire(&beat.applied).unwrap();
            positions_from_wire(&beat.shipped).unwrap();
            kinds.insert("Heartbeat".into());
        }
        node_message::Message::CommandResult(_) => {}
    }
}

fn reported(request: &ReportRequest, kinds: &mut BTreeSet<String>) {
    for record in &request.records {
        match record.record.as_ref().unwrap() {
            Record::Event(event) => {
                BillingEvent::try_from(event).unwrap();
                kinds.insert("event".into());
            }
            Record::Call(call) => {
                CallRecord::try_from(call).unwrap();
                kinds.insert("call".into());
            }
        }
    }
}

/// Reads one side of a call; what of it there was.
fn understand(side: &Side) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    for bytes in &side.messages {
        match (side.call.as_str(), side.is_node) {
            ("config.v1.ConfigService.Stream", true) => heard_of_node(read(bytes), &mut kinds),
            ("config.v1.ConfigService.Stream", false) => heard_of_control(read(bytes), &mut kinds),
            ("usage.v1.UsageService.Report", true) => reported(&read(bytes), &mut kinds),
            ("usage.v1.UsageService.Report", false) => keeps::<ReportResponse>(bytes),
            ("budget.v1.BudgetService.OpenEpoch", true) => keeps::<budget::OpenEpochRequest>(bytes),
            ("budget.v1.BudgetService.OpenEpoch", false) => keeps::<budget::OpenEpochResponse>(bytes),
            ("budget.v1.BudgetService.ConfirmEpoch", true) => keeps::<budget::ConfirmEpochRequest>(bytes),
            ("budget.v1.BudgetService.ConfirmEpoch", false) => keeps::<budget::ConfirmEpochResponse>(bytes),
            ("budget.v1.BudgetService.AllowGrants", true) => keeps::<budget::AllowGrantsRequest>(bytes),
            ("budget.v1.BudgetService.AllowGrants", false) => keeps::<budget::AllowGrantsResponse>(bytes),
            ("budget.v1.BudgetService.ReturnGrants", true) => keeps::<budget::ReturnGrantsRequest>(bytes),
            ("budget.v1.BudgetService.ReturnGrants", false) => keeps::<budget::ReturnGrantsResponse>(bytes),
            ("budget.v1.BudgetService.ReturnGrantsOf", true) => keeps::<budget::ReturnGrantsOfRequest>(bytes),
            ("budget.v1.BudgetService.ReturnGrantsOf", false) => keeps::<budget::ReturnGrantsResponse>(bytes),
            ("budget.v1.BudgetService.ReviewHolds", true) => keeps::<budget::ReviewHoldsRequest>(bytes),
            ("budget.v1.BudgetService.ReviewHolds", false) => keeps::<budget::ReviewHoldsResponse>(bytes),
            ("query.v1.QueryService.Credits", true) => keeps::<query::CreditsRequest>(bytes),
            ("query.v1.QueryService.Credits", false) => keeps::<query::CreditsResponse>(bytes),
            (call, _) => panic!("{call} has no reader here"),
        }
    }
    kinds
}

#[test]
fn what_earlier_releases_said_is_understood_and_nothing_of_it_is_lost() {
    let sides = recorded();
    let releases: BTreeSet<&str> = sides.iter().map(|side| side.release.as_str()).collect();
    for release in releases {
        let of = sides.iter().filter(|side| side.release == release);
        let seen: BTreeSet<String> = of.flat_map(understand).collect();
        for part in ["Hello", "Ack", "Heartbeat", "Welcome", "PoolKey", "Current", "call", "event"] {
            assert!(seen.contains(part), "{release} has no {part}: {seen:?}");
        }
        for kind in
            ["organization", "team", "key", "credential", "provider", "model", "offering", "route", "policy"]
        {
            assert!(seen.contains(kind), "{release} has no {kind}: {seen:?}");
        }
        for kind in ["budget", "budget_epoch", "pool"] {
            assert!(seen.contains(kind), "{release} has no {kind}: {seen:?}");
        }
    }
}

#[test]
#[should_panic(expected = "assertion")]
fn a_field_that_is_lost_would_be_found() {
    // Field 1000 of a type that no release has.
    read::<tidegate_proto::config::Heal>(&[0x08, 0x07, 0xc0, 0x3e, 0x01]);
}
