//! How a limiter is set up. Defaults are the product's promises; tests shorten them.

use std::time::Duration;

use tidegate_types::Secret;

use crate::error::LimitError;

/// Spans of time that the stores keep.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// After a hold's deadline, before it becomes unresolved.
    pub grace: Duration,
    /// How long an ended attempt is remembered, so that what was asked for it earlier and arrives
    /// later (its hold, one more step) finds it ended. Longer than a question can be on its way: the
    /// asking side gives up within a second and closes the connection. What is settled under an
    /// epoch needs no memory to count once: only a hold that is there is turned into a cost. So long in
    /// Redis; in memory a quarter of a second at most, and 30 s on grants, where nothing is under way for longer.
    pub ended: Duration,
    /// Between two sweeps for overdue holds.
    pub sweep: Duration,
    /// Life of a concurrency slot that is not renewed.
    pub lease: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            ended: Duration::from_secs(120),
            sweep: Duration::from_secs(10),
            lease: Duration::from_secs(30),
        }
    }
}

/// How much of budgets a node takes in advance, once [`crate::Limiter::allow_grants`] permits it.
#[derive(Debug, Clone, Copy)]
pub struct GrantSettings {
    /// How much traffic a grant is for.
    pub ahead: Duration,
    /// A budget unused for so long gives its grant back.
    pub idle: Duration,
    /// Between two reports of what was used.
    pub report: Duration,
    /// How long a refused call waits for what other nodes have in advance, in all.
    pub recall: Duration,
    /// So many calls in a second are worth a grant; a window or bucket that is asked less often gets none.
    pub often: u32,
    /// Whether rates are taken in advance as well; they need no permission.
    pub rates: bool,
    /// Whether a call waits for a grant when there is none, instead of asking for itself alone.
    pub eager: bool,
}

impl Default for GrantSettings {
    fn default() -> Self {
        Self {
            ahead: Duration::from_secs(10),
            idle: Duration::from_millis(500),
            report: Duration::from_millis(50),
            recall: Duration::from_millis(700),
            often: 3,
            rates: true,
            eager: false,
        }
    }
}

/// Sentinels that watch over a group of servers. Their user needs `+sentinel|master` and, to follow a failover
/// at once where there are several replicas, `+sentinel|get-master-addr-by-name`.
#[derive(Debug, Clone)]
pub struct SentinelSettings {
    /// `host:port` of each.
    pub addresses: Vec<String>,
    /// The group's name.
    pub group: String,
    /// Their own user, where they have one.
    pub user: Option<String>,
    /// Their own password.
    pub password: Option<Secret>,
    /// Whether they are spoken to by TLS; the same certificates vouch for them.
    pub tls: bool,
}

/// How to reach and use Redis (6.2 or later, `maxmemory-policy noeviction`, a master). The user
/// needs `~tg:*` and `+evalsha +script|load +info +time +zrangebyscore +hkeys`, `+xadd +xrange` for what
/// nodes tell one another (without them each knows its own providers' health only, and none hears from another that a
/// key was revoked), and for the scripts
/// `+get +set +mget +del +hget +hmget +hset +hgetall +hexists +hincrby +persist +pexpire +pexpireat +zadd +zrem
/// +zcount +zscore +zremrangebyscore`; in a cluster `+cluster|slots +cluster|info` as well, on every node.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://`, `rediss://` or `unix://` URL, with the password if there is one.
    pub url: Secret,
    /// Sentinels that say where the primary is, in place of the URL's host and port.
    pub sentinel: Option<SentinelSettings>,
    /// `host:port` of some nodes of a cluster, of which any that answers says where the primaries are, in place of
    /// the URL's host and port.
    pub cluster: Option<Vec<String>>,
    /// Certificates (PEM) that vouch for a `rediss://` server; `None`: those of the public web.
    pub ca: Option<Vec<u8>>,
    /// Connections for decisions, 1 to 8; one more is kept for settlements. More than one did not
    /// measure better (`examples/admission`).
    pub connections: u8,
    /// Hard stop of one decision; then the breaker opens.
    pub decision: Duration,
    /// Random number, different in each process (jitter, permits to open an epoch).
    pub seed: u64,
    /// Spans of time.
    pub timing: Timing,
    /// Grants of budgets.
    pub grants: GrantSettings,
}

impl RedisSettings {
    /// Defaults for this URL.
    #[must_use]
    pub fn new(url: Secret, seed: u64) -> Self {
        let (timing, grants) = (Timing::default(), GrantSettings::default());
        Self {
            url,
            sentinel: None,
            cluster: None,
            ca: None,
            connections: 1,
            decision: Duration::from_millis(25),
            seed,
            timing,
            grants,
        }
    }

    /// Whether the URL and the certificates can be used. Asks nobody.
    ///
    /// # Errors
    /// [`LimitError::Unfit`].
    pub fn check(&self) -> Result<(), LimitError> {
        crate::redis::Finder::new(self).map(|_| ())
    }
}
