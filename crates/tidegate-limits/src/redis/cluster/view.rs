//! What a node says of its cluster: which primary has which slots, and how new its knowledge is.
//!
//! Formats of `CLUSTER INFO` and `CLUSTER SLOTS`: Redis' command reference (a host may be empty or null: the one that was
//! asked; `?`: unknown, its IP is among the further facts), read November 2026.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, Pipeline, ServerErrorKind, Value};
use tokio::time::timeout;

use crate::redis::finder::Address;
use crate::redis::link::info;

/// Longest time for a node to be connected to and to answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// Slots of one primary that follow one another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) primary: Address,
}

/// What one node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Grows with each failover and, as a rule, with each slot that moves.
    pub(super) epoch: u64,
    /// Whether the cluster counts, as this node sees it.
    pub(super) stands: bool,
    pub(super) ranges: Vec<Range>,
    /// Every node that has slots, or follows one that has.
    pub(super) nodes: Vec<Address>,
}

/// Why a node says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Silence {
    #[error("it cannot be reached")]
    Away,
    #[error("it refuses the user or the password, or asks for one")]
    Stranger,
    #[error("it is no node of a cluster")]
    NoCluster,
    #[error("it refuses CLUSTER SLOTS or CLUSTER INFO to this user")]
    Refused,
    #[error("its answer cannot be read, or it knows of no slots")]
    Unreadable,
}

/// Both questions.
pub(super) fn question() -> Pipeline {
    let mut both = Pipeline::with_capacity(2);
    both.cmd("CLUSTER").arg("INFO");
    both.cmd("CLUSTER").arg("SLOTS");
    both
}

/// Asks a node to which there is no connection.
pub(super) async fn ask(client: &Client, asked: &Address) -> Result<View, Silence> {
    let all = async {
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = made.map_err(|error| match error.kind() {
            redis::ErrorKind::AuthenticationFailed => Silence::Stranger,
            _ => Silence::Away,
        })?;
        let replies = connection.send_packed_commands(&question(), 0, 2).await;
        read(&replies.map_err(|_| Silence::Away)?, &asked.host)
    };
    timeout(PATIENCE, all).await.unwrap_or(Err(Silence::Away))
}

/// Reads the answers to [`question`].
pub(super) fn read(replies: &[Value], asked: &str) -> Result<View, Silence> {
    for reply in replies {
        if let Value::ServerError(error) = reply {
            let none = error.details().is_some_and(|said| said.contains("cluster support disabled"));
            return Err(match (error.kind(), error.code()) {
                (_, "NOAUTH") => Silence::Stranger,
                (Some(ServerErrorKind::NoPerm), _) => Silence::Refused,
                _ if none => Silence::NoCluster,
                _ => Silence::Unreadable,
            });
        }
    }
    let [told, Value::Array(slots)] = replies else { return Err(Silence::Unreadable) };
    let epoch = epoch(told).ok_or(Silence::Unreadable)?;
    let (mut ranges, mut nodes) = (Vec::with_capacity(slots.len()), Vec::new());
    for range in slots {
        let Value::Array(parts) = range else { return Err(Silence::Unreadable) };
        let [Value::Int(first), Value::Int(last), serving @ ..] = parts.as_slice() else {
            return Err(Silence::Unreadable);
        };
        let slot = |number: &i64| usize::try_from(*number).ok().filter(|slot| *slot < super::SLOTS);
        let (Some(first), Some(last)) = (slot(first), slot(last)) else { return Err(Silence::Unreadable) };
        let mut here = serving.iter().map(|node| address(node, asked));
        let primary = here.next().flatten().ok_or(Silence::Unreadable)?;
        nodes.push(primary.clone());
        nodes.extend(here.flatten());
        ranges.push(Range { first, last, primary });
    }
    ranges.sort();
    nodes.sort();
    nodes.dedup();
    if ranges.is_empty() {
        return Err(Silence::Unreadable);
    }
    Ok(View { epoch, stands: stands(told), ranges, nodes })
}

/// How new the knowledge of who gave this `CLUSTER INFO` is.
pub(super) fn epoch(told: &Value) -> Option<u64> {
    info(told, "cluster_current_epoch:")?.parse().ok()
}

/// Whether the cluster counts, as who gave this `CLUSTER INFO` sees it.
pub(super) fn stands(told: &Value) -> bool {
    info(told, "cluster_state:") == Some("ok")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// One node: its preferred host, its port, its id, and further facts.
fn address(node: &Value, asked: &str) -> Option<Address> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), facts @ ..] = parts.as_slice() else { return None };
    let port = u16::try_from(*port).ok()?;
    let host = match text(host).as_deref() {
        None | Some("") => asked.to_owned(),
        Some("?") => facts.iter().find_map(ip)?,
        Some(host) => host.to_owned(),
    };
    Some(Address { host, port })
}

/// The IP among a node's further facts, which are names and values in turns, or a map.
fn ip(facts: &Value) -> Option<String> {
    match facts {
        Value::Array(facts) => {
            let pair =
                facts.chunks_exact(2).find(|pair| pair.first().and_then(text).as_deref() == Some("ip"));
            pair?.get(1).and_then(text)
        }
        Value::Map(facts) => {
            facts.iter().find(|(name, _)| text(name).as_deref() == Some("ip")).and_then(|(_, ip)| text(ip))
        }
        _ => None,
    }
}

/// The newest of these. Of equally new ones those count by which the cluster counts, then those that most agree on.
pub(super) fn newest(views: &[View]) -> Option<&View> {
    let agree = |view: &View| views.iter().filter(|other| other.ranges == view.ranges).count();
    views.iter().max_by_key(|view| (view.epoch, view.stands, agree(view)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64, facts: Value) -> Value {
        Value::Array(vec![host, Value::Int(port), bulk("id"), facts])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
    }

    fn told(epoch: u64, state: &str) -> Value {
        bulk(&format!("cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n"))
    }

    fn at(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn hosts_are_those_that_the_cluster_announces() {
        let none = || Value::Array(vec![]);
        let facts = Value::Array(vec![bulk("ip"), bulk("10.0.0.3")]);
        let mapped = Value::Map(vec![(bulk("ip"), bulk("10.0.0.4"))]);
        let slots = Value::Array(vec![
            range(0, 99, vec![node(bulk("redis-0.example"), 6379, none()), node(bulk("::1"), 6380, none())]),
            range(100, 199, vec![node(Value::Nil, 6381, none())]),
            range(200, 299, vec![node(bulk("?"), 6382, facts)]),
            range(300, 16_383, vec![node(bulk("?"), 6383, mapped), node(bulk("?"), 1, none())]),
        ]);
        let view = read(&[told(7, "ok"), slots], "seed").unwrap();
        let hosts: Vec<_> = view.ranges.iter().map(|range| range.primary.clone()).collect();
        let expected =
            [at("redis-0.example", 6379), at("seed", 6381), at("10.0.0.3", 6382), at("10.0.0.4", 6383)];
        assert_eq!(hosts, expected);
        assert_eq!((view.epoch, view.stands, view.nodes.len()), (7, true, 5));
        assert_eq!(at("::1", 6380).to_string(), "[::1]:6380");
    }

    #[test]
    fn what_is_no_view_is_none() {
        let good = || Value::Array(vec![range(0, 1, vec![node(bulk("a"), 1, Value::Nil)])]);
        assert!(read(&[told(1, "ok"), good()], "a").is_ok());
        let beyond = Value::Array(vec![range(0, 16_384, vec![node(bulk("a"), 1, Value::Nil)])]);
        let nobody = Value::Array(vec![range(0, 1, vec![])]);
        for slots in [Value::Array(vec![]), beyond, nobody, Value::Nil] {
            assert_eq!(read(&[told(1, "ok"), slots], "a"), Err(Silence::Unreadable));
        }
        assert_eq!(read(&[bulk("cluster_state:ok"), good()], "a"), Err(Silence::Unreadable));
        assert_eq!(read(&[told(1, "ok")], "a"), Err(Silence::Unreadable));
    }

    #[test]
    fn the_newest_view_counts_then_the_one_that_stands_then_the_one_that_most_share() {
        let view = |epoch, stands, port| View {
            epoch,
            stands,
            ranges: vec![Range { first: 0, last: 9, primary: at("a", port) }],
            nodes: vec![],
        };
        let chosen = |views: &[View]| newest(views).unwrap().ranges[0].primary.port;
        assert_eq!(chosen(&[view(2, true, 1), view(3, false, 2), view(1, true, 3)]), 2);
        assert_eq!(chosen(&[view(3, false, 1), view(3, true, 2), view(3, false, 1)]), 2);
        assert_eq!(chosen(&[view(3, true, 1), view(3, true, 2), view(3, true, 1), view(2, true, 2)]), 1);
        assert_eq!(newest(&[]), None);
    }
}
