//! A Redis Cluster of a test's own, whose primaries can be killed, whose replicas can be promoted, and whose slots can be
//! moved step by step.

use anyhow::{Context as _, Result, ensure};

use crate::port;
use crate::process::wait_until;
use crate::redis::Server;

/// How many slots there are.
pub const SLOTS: usize = 16_384;

/// What it is made of.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Primaries, which share the slots evenly, in order.
    pub primaries: usize,
    /// Whether each of them has a replica.
    pub replicated: bool,
    /// How long a node may be silent before it is thought to have failed; then its replica is promoted.
    pub node_timeout_ms: u32,
    /// Whether nobody serves while somebody's slots are not served.
    pub full_coverage: bool,
    /// Further arguments of every node.
    pub arguments: Vec<String>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicated: false,
            // Nobody is promoted but on request.
            node_timeout_ms: 300_000,
            full_coverage: false,
            arguments: Vec::new(),
        }
    }
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Primaries, as it was started.
    pub primaries: Vec<Server>,
    /// The replica of each, where there is one.
    pub replicas: Vec<Server>,
}

impl Cluster {
    /// Starts it and waits until every node serves.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(shape: &Shape) -> Result<Self> {
        let replicas = if shape.replicated { shape.primaries } else { 0 };
        let mut nodes = Vec::with_capacity(shape.primaries + replicas);
        for index in 0..shape.primaries + replicas {
            let bus = port::free()?;
            let node = node(shape, bus)?;
            told(&node, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            if index < shape.primaries {
                let (first, last) = share(index, shape.primaries);
                told(&node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            }
            nodes.push((node, bus));
        }
        let ((first, _), others) = nodes.split_first().context("no nodes")?;
        for (other, bus) in others {
            let (port, bus) = (other.port().to_string(), bus.to_string());
            told(first, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        // Without full coverage a node thinks the cluster well before it has heard whose all slots are.
        let (known, assigned) =
            (format!("cluster_known_nodes:{}", nodes.len()), format!("cluster_slots_assigned:{SLOTS}"));
        wait_until("the nodes know one another and serve", || {
            nodes.iter().all(|(node, _)| {
                let info = node.command(&["CLUSTER", "INFO"]).unwrap_or_default();
                [known.as_str(), &assigned, "cluster_state:ok"].iter().all(|said| info.contains(said))
            })
        })?;
        let mut primaries: Vec<Server> = nodes.into_iter().map(|(node, _)| node).collect();
        let replicas = primaries.split_off(shape.primaries);
        let cluster = Self { primaries, replicas };
        cluster.replicate()?;
        Ok(cluster)
    }

    fn replicate(&self) -> Result<()> {
        for (replica, primary) in self.replicas.iter().zip(&self.primaries) {
            told(replica, &["CLUSTER", "REPLICATE", &id(primary)?])?;
        }
        for replica in &self.replicas {
            let role = format!("{} 127.0.0.1:{}@", id(replica)?, replica.port());
            wait_until("the replica follows, and everybody knows", || {
                let follows = replica.command(&["INFO", "replication"]).unwrap_or_default();
                follows.contains("master_link_status:up")
                    && self.nodes().all(|node| {
                        let all = node.command(&["CLUSTER", "NODES"]).unwrap_or_default();
                        all.lines().any(|line| line.starts_with(&role) && line.contains("slave"))
                    })
            })?;
        }
        Ok(())
    }

    fn nodes(&self) -> impl Iterator<Item = &Server> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// `host:port` of every node, primaries first.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.nodes().map(|node| format!("127.0.0.1:{}", node.port())).collect()
    }

    /// Which primary had this slot when it was started.
    #[must_use]
    pub fn owner(&self, slot: usize) -> usize {
        let all = self.primaries.len();
        (0..all).find(|index| (share(*index, all).0..=share(*index, all).1).contains(&slot)).unwrap_or(0)
    }

    /// The slot of a key.
    ///
    /// # Errors
    /// When no node answers.
    pub fn slot(&self, key: &str) -> Result<usize> {
        let asked = self.nodes().find_map(|node| node.command(&["CLUSTER", "KEYSLOT", key]).ok());
        Ok(asked.context("nobody answers")?.parse()?)
    }

    /// Keeps a primary's replica from hearing of anything that is written from now on.
    ///
    /// # Errors
    /// When they do not answer.
    pub fn make_stale(&self, index: usize) -> Result<()> {
        let (primary, replica) = (&self.primaries[index], &self.replicas[index]);
        told(primary, &["ACL", "SETUSER", "default", "-psync", "-sync"])?;
        primary.command(&["CLIENT", "KILL", "TYPE", "replica"])?;
        wait_until("the replica has lost its primary", || {
            replica
                .command(&["INFO", "replication"])
                .is_ok_and(|told| told.contains("master_link_status:down"))
        })
    }

    /// Makes a primary's replica the primary of its slots, at once and by its word alone, and waits until all that live know.
    ///
    /// # Errors
    /// When it does not become one.
    pub fn promote(&self, index: usize) -> Result<()> {
        let replica = &self.replicas[index];
        told(replica, &["CLUSTER", "FAILOVER", "TAKEOVER"])?;
        let (first, last) = share(index, self.primaries.len());
        let slots = format!("{first}-{last}");
        let line = id(replica)?;
        wait_until("everybody knows the new primary", || {
            self.nodes().filter_map(|node| node.command(&["CLUSTER", "NODES"]).ok()).all(|all| {
                all.lines()
                    .any(|told| told.starts_with(&line) && told.contains("master") && told.contains(&slots))
            })
        })
    }

    /// Begins to move a slot: from now on `from` refuses what it does not have all keys of.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn begin_move(&self, slot: usize, from: &Server, to: &Server) -> Result<()> {
        let slot = slot.to_string();
        told(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)?])?;
        told(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)?])
    }

    /// Moves at most so many keys of the slot; how many went.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn move_keys(&self, slot: usize, from: &Server, to: &Server, most: usize) -> Result<usize> {
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), &most.to_string()])?;
        let keys: Vec<String> = keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect();
        self.move_these(&keys, from, to)?;
        Ok(keys.len())
    }

    /// Moves these keys.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn move_these(&self, keys: &[String], from: &Server, to: &Server) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let port = to.port().to_string();
        let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "20000", "KEYS"];
        words.extend(keys.iter().map(String::as_str));
        let said = from.command(&words)?;
        ensure!(said == "OK" || said == "NOKEY", "MIGRATE: {said}");
        Ok(())
    }

    /// Ends a move in its middle: the slot stays where it was, and the keys wherever they are.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn break_off(&self, slot: usize, from: &Server, to: &Server) -> Result<()> {
        let slot = slot.to_string();
        told(from, &["CLUSTER", "SETSLOT", &slot, "STABLE"])?;
        told(to, &["CLUSTER", "SETSLOT", &slot, "STABLE"])
    }

    /// Moves what is left of the slot and says whose it is.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn end_move(&self, slot: usize, from: &Server, to: &Server) -> Result<()> {
        let (number, owner) = (slot.to_string(), id(to)?);
        told(to, &["CLUSTER", "SETSLOT", &number, "NODE", &owner])?;
        // While it is being moved, somebody may write one more key.
        wait_until("the slot has moved", || {
            let _moved = self.move_keys(slot, from, to, 1_000);
            told(from, &["CLUSTER", "SETSLOT", &number, "NODE", &owner]).is_ok()
        })
    }
}

fn node(shape: &Shape, bus: u16) -> Result<Server> {
    let coverage = if shape.full_coverage { "yes" } else { "no" };
    let (bus, timeout) = (bus.to_string(), shape.node_timeout_ms.to_string());
    let mut arguments = vec![
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        &timeout,
        "--cluster-require-full-coverage",
        coverage,
        "--cluster-allow-replica-migration",
        "no",
    ];
    arguments.extend(shape.arguments.iter().map(String::as_str));
    Server::start_with(&arguments)
}

/// First and last slot of one of so many primaries.
const fn share(index: usize, all: usize) -> (usize, usize) {
    (index * SLOTS / all, (index + 1) * SLOTS / all - 1)
}

fn id(node: &Server) -> Result<String> {
    node.command(&["CLUSTER", "MYID"])
}

/// Says something that is answered by OK.
fn told(node: &Server, words: &[&str]) -> Result<()> {
    let said = node.command(words)?;
    ensure!(said == "OK", "{words:?}: {said}");
    Ok(())
}
