//! What a limiter tells of itself: how it decides at the moment, and counts for metrics.

/// How decisions are made at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By Redis.
    Healthy,
    /// Some primaries of a cluster cannot be asked: as [`Self::Away`] for the organizations of their slots, as
    /// [`Self::Healthy`] for all others.
    Partly,
    /// Redis cannot be asked: rates by this node's fair share, hard budgets not at all.
    Away,
    /// By this process alone.
    Memory,
}

/// Counts for metrics; those of a memory limiter stay 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Settlements and releases not yet through.
    pub queued: usize,
    /// Settlements waiting for an epoch to be opened.
    pub waiting: usize,
    /// Settlements given up (full queue, or too old); the ledger alone carries them.
    pub dropped: u64,
    /// Calls refused from the local memory of refusals.
    pub denied_locally: u64,
    /// Times the breaker opened.
    pub trips: u64,
    /// Servers that are to count: 1, or the primaries of a cluster.
    pub primaries: usize,
    /// Those of them that cannot be asked.
    pub primaries_away: usize,
    /// Slots of a cluster that no known server has.
    pub slots_unserved: usize,
    /// Decisions that were not made because their keys were on another server of a cluster, or on their way there.
    pub moved: u64,
    /// Holds placed on grants, without asking the store.
    pub held_locally: u64,
    /// Calls whose rates were taken from grants, without asking the store.
    pub rated_locally: u64,
    /// Trips to the store that told what was used of grants and took more.
    pub exchanges: u64,
    /// Times that the store asked for a window's money back, because another process missed it.
    pub recalls: u64,
    /// Dead processes' grants, each of one organization, that went back here.
    pub reclaimed: u64,
    /// Calls that passed, by who decided.
    pub passed: Passed,
    /// Nano-USD granted to this process and not held: what it keeps from others at the moment.
    pub granted_free: i64,
    /// Requests of all buckets that this process has in advance.
    pub requests_free: u64,
    /// Tokens of all buckets that this process has in advance.
    pub tokens_free: u64,
    /// Slots that this process has in advance and no call of its own is in.
    pub slots_free: u64,
}

/// Calls with limits or budgets that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// By what this process has in advance alone: nobody was asked.
    pub by_grants: u64,
    /// By the store's word.
    pub by_store: u64,
    /// By this node's fair share, because the store is away.
    pub by_share: u64,
}
