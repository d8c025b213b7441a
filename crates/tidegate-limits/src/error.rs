//! Why the limiter says no.

use tidegate_types::{BudgetId, NanoUsd, Timestamp};

use crate::admit::{RateScope, Rates};

/// Why a call or a hold was not granted. Nothing was written, taken or held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A limit or a budget is used up.
    #[error("refused: {}", .0.refusal)]
    Refused(Box<Refused>),
    /// The store has no counters for the epoch: it lost them, or holds another one's
    /// (`found`, 0 when none). Ask for the epoch to be opened.
    #[error("no open epoch (the store has {found})")]
    NoEpoch {
        /// Epoch that the store holds under its present run; 0: none.
        found: u64,
    },
    /// The store cannot be asked, and a hard budget (or the operation) needs it.
    #[error("the counter store is away")]
    Away,
    /// The attempt's hold has already been settled or has become unresolved.
    #[error("the attempt's hold has ended")]
    HoldEnded,
    /// A limit or amount above 2^53 nano-USD, or a negative one: split the budget.
    #[error("budget {budget_id}: amounts must lie between 0 and 2^53 nano-USD")]
    OutOfRange {
        /// The budget.
        budget_id: BudgetId,
    },
    /// The store must not be used as it is configured.
    #[error("the counter store is unfit: {0}")]
    Unfit(Unfit),
}

/// Why a store must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The URL cannot be read. (The URL may hold a password and is not repeated.)
    #[error(
        "its URL is not redis://, rediss:// or unix:// with one endpoint (Sentinels and the nodes of a cluster have settings of their own)"
    )]
    Url,
    /// The certificates cannot be read, or the URL is not `rediss://`.
    #[error("the certificates that should vouch for it cannot be read, or its URL is not rediss://")]
    Ca,
    /// What is said of its Sentinels cannot be used.
    #[error("its Sentinels need addresses (host:port), the group's name, and a redis:// or rediss:// URL")]
    Sentinels,
    /// What is said of its cluster cannot be used.
    #[error(
        "redis.cluster needs addresses (host:port), a redis:// or rediss:// URL without a database's number, and no redis.sentinel"
    )]
    Cluster,
    /// A cluster is spoken of, and there is none.
    #[error("redis.cluster is given, and it is no node of a cluster: leave redis.cluster out")]
    NoCluster,
    /// A Sentinel, or a node of a cluster, where one server is to be.
    #[error("it runs in {0} mode: {advice}", advice = advice(.0))]
    Mode(String),
    /// Keys could be evicted, and a lost counter would be spent twice.
    #[error("maxmemory-policy is {0}; it must be noeviction")]
    Eviction(String),
    /// A needed command is not permitted or not known.
    #[error("{0} is refused by the server")]
    Command(&'static str),
}

/// Which setting is for a server that runs in such a mode.
fn advice(mode: &str) -> &'static str {
    match mode {
        "cluster" => "name nodes of the cluster in redis.cluster.addresses",
        _ => "name it in redis.sentinel.addresses",
    }
}

/// A refusal, with what the answer's headers need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What refused.
    pub refusal: Refusal,
    /// State of the tightest buckets, nothing taken.
    pub rates: Rates,
}

/// What refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many requests or tokens in a minute.
    #[error("{kind:?} limit of {limit} per minute")]
    Rate {
        /// Whose limit.
        scope: RateScope,
        /// Requests or tokens.
        kind: RateKind,
        /// Units per minute.
        limit: u32,
        /// When the same call would pass, if nothing else comes in. At least 1.
        retry_after_ms: u64,
    },
    /// Too many calls in flight. Worth trying again after a second.
    #[error("limit of {limit} calls in flight")]
    Concurrency {
        /// Whose limit.
        scope: RateScope,
        /// Calls in flight.
        limit: u32,
    },
    /// A hard budget cannot afford the amount.
    #[error("budget {budget_id}: limit {limit}, spent {spent}, held {held}, unresolved {unresolved}")]
    Budget {
        /// The budget.
        budget_id: BudgetId,
        /// The limit in force.
        limit: NanoUsd,
        /// Charged in the window.
        spent: NanoUsd,
        /// Reserved for running attempts.
        held: NanoUsd,
        /// Reserved for attempts whose outcome is unknown.
        unresolved: NanoUsd,
        /// When the budget starts afresh; `None`: never.
        resets_at: Option<Timestamp>,
    },
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateKind {
    /// Calls.
    Requests,
    /// Input and output tokens.
    Tokens,
}

impl LimitError {
    pub(crate) fn refused(refusal: Refusal, rates: Rates) -> Self {
        Self::Refused(Box::new(Refused { refusal, rates }))
    }
}
