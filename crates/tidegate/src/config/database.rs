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
    /// How long Redis may be silent before calls go on without it, in milliseconds.
    pub(crate) decision_timeout_ms: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: None, ca_file: None, decision_timeout_ms: 25 }
    }
}
