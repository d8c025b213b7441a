//! Where Postgres and Redis are.

use serde::{Deserialize, Serialize};

/// Three logins of one database; none of them is a superuser.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Database {
    /// The management API's login: owns nothing, sees one organization at a time.
    pub(crate) url: Option<String>,
    /// The feed's login: reads across organizations, inserts events.
    pub(crate) feed_url: Option<String>,
    /// The owner's login, for `tidegate migrate` only.
    pub(crate) migrate_url: Option<String>,
}

/// The counters of a pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redis {
    /// `redis://` or `rediss://` URL. Absent: counters live in the node's memory, for a single node.
    pub(crate) url: Option<String>,
    /// Roots that vouch for a `rediss://` server, a PEM file, in place of those of the public web.
    pub(crate) ca_file: Option<std::path::PathBuf>,
    /// Sentinels that say where the primary is, in place of the URL's host and port.
    pub(crate) sentinel: Option<Sentinel>,
    /// Nodes of a Redis Cluster, in place of the URL's host and port.
    pub(crate) cluster: Option<RedisCluster>,
    /// How long Redis may be silent before calls go on without it, in milliseconds.
    pub(crate) decision_timeout_ms: u64,
}

/// A Redis Cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedisCluster {
    /// `host:port` of some of its nodes: any that answers says where the others are.
    pub(crate) addresses: Vec<String>,
}

/// Sentinels that watch over a group of servers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sentinel {
    /// `host:port` of each.
    pub(crate) addresses: Vec<String>,
    /// The group's name.
    pub(crate) group: String,
    /// Their own user, where they have one.
    pub(crate) user: Option<String>,
    /// Their own password.
    pub(crate) password: Option<String>,
    /// File with it.
    pub(crate) password_file: Option<std::path::PathBuf>,
    /// Whether they are spoken to by TLS; `redis.ca_file` vouches for them, too.
    pub(crate) tls: bool,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: None, ca_file: None, sentinel: None, cluster: None, decision_timeout_ms: 25 }
    }
}
