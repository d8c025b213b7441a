//! Fair shares of rates while Redis is away: each node grants limit ÷ live nodes.
//!
//! No free burst on entry (a bucket starts with a twentieth of a minute, at least one unit), and
//! none on return: what was served here is charged to Redis' bucket as if it had been empty at
//! the time of recovery.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ahash::RandomState;
use dashmap::DashMap;
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tidegate_types::OrganizationId;

use crate::admit::{Admit, RateScope, Rates};
use crate::error::{LimitError, RateKind, Refusal};
use crate::rate;

/// Share of a minute's worth that a bucket holds on entry: one in this many.
const ENTRY: u32 = 20;

/// One bucket's share, for one limit and one number of nodes.
struct Share {
    per_minute: u32,
    nodes: u32,
    limiter: DefaultDirectRateLimiter,
    /// The store's time of its last use, microseconds.
    used: i64,
}

/// This node's shares.
pub(super) struct FairShares {
    nodes: AtomicU32,
    shares: DashMap<(OrganizationId, RateScope, RateKind), Share, RandomState>,
    in_use: AtomicBool,
}

impl Default for FairShares {
    fn default() -> Self {
        Self { nodes: AtomicU32::new(1), shares: DashMap::default(), in_use: AtomicBool::new(false) }
    }
}

impl Share {
    fn new(per_minute: u32, nodes: u32) -> Self {
        let burst = NonZeroU32::new(per_minute / nodes).unwrap_or(NonZeroU32::MIN);
        let per_unit = Duration::from_secs(60) * nodes / per_minute.max(1);
        let quota = Quota::with_period(per_unit.max(Duration::from_nanos(1)))
            .unwrap_or_else(|| Quota::per_minute(burst))
            .allow_burst(burst);
        let limiter = RateLimiter::direct(quota);
        let entry = (burst.get() / ENTRY).max(1);
        if let Some(surplus) = NonZeroU32::new(burst.get() - entry) {
            let _drained = limiter.check_n(surplus);
        }
        Self { per_minute, nodes, limiter, used: i64::MIN }
    }

    /// Takes `units`, or says how long to wait. More than the bucket holds counts as all of it.
    fn take(&self, units: u64) -> Result<(), Duration> {
        let burst = (self.per_minute / self.nodes).max(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX).min(burst);
        let Some(units) = NonZeroU32::new(units) else { return Ok(()) };
        match self.limiter.check_n(units) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(self.limiter.clock().now())),
        }
    }
}

impl FairShares {
    pub(super) fn set_nodes(&self, nodes: u32) {
        self.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    /// Admits a call without the store. `now`: by the store's time, microseconds.
    pub(super) fn admit(
        &self,
        admit: &Admit,
        now: i64,
        in_flight: impl Fn(RateScope) -> u32,
    ) -> Result<(), LimitError> {
        let organization = admit.organization_id;
        let nodes = self.nodes.load(Ordering::Relaxed);
        for entry in &admit.scopes {
            let Some(limit) = entry.limits.concurrency else { continue };
            if in_flight(entry.scope) >= (limit / nodes).max(1) {
                let refusal = Refusal::Concurrency { scope: entry.scope, limit };
                return Err(LimitError::refused(refusal, Rates::default()));
            }
        }
        for entry in &admit.scopes {
            let kinds = [
                (RateKind::Requests, entry.limits.requests_per_minute, 1),
                (RateKind::Tokens, entry.limits.tokens_per_minute, admit.tokens),
            ];
            for (kind, limit, units) in kinds {
                let Some(limit) = limit else { continue };
                self.take((organization, entry.scope, kind), (limit, nodes), units, now).map_err(|wait| {
                    let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
                    let retry_after_ms = rate::millis_up(micros).max(1);
                    let refusal = Refusal::Rate { scope: entry.scope, kind, limit, retry_after_ms };
                    LimitError::refused(refusal, Rates::default())
                })?;
            }
        }
        Ok(())
    }

    fn take(
        &self,
        key: (OrganizationId, RateScope, RateKind),
        (per_minute, nodes): (u32, u32),
        units: u64,
        now: i64,
    ) -> Result<(), Duration> {
        self.in_use.store(true, Ordering::Relaxed);
        let mut share = self.shares.entry(key).or_insert_with(|| Share::new(per_minute, nodes));
        if share.per_minute != per_minute || share.nodes != nodes {
            *share = Share::new(per_minute, nodes);
        }
        share.used = share.used.max(now);
        share.take(units)
    }

    /// Whether anything was served from here lately.
    pub(super) fn in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    /// The TAT that a bucket has at least, because this node served it while the store was away. `recovered`: when it
    /// was back, by its time, microseconds. A server that a slot moved to was never away.
    pub(super) fn floor(&self, organization: OrganizationId, scope: RateScope, recovered: i64) -> i64 {
        let used = [RateKind::Requests, RateKind::Tokens]
            .into_iter()
            .filter_map(|kind| Some(self.shares.get(&(organization, scope, kind))?.used))
            .max();
        used.map_or(0, |used| used.max(recovered).saturating_add(rate::PERIOD_MICROS))
    }

    /// Drops shares a minute after their last use. `now`: the time of an organization's store, microseconds, if it
    /// can be asked.
    pub(super) fn forget(&self, now: impl Fn(OrganizationId) -> Option<i64>) {
        if !self.in_use() {
            return;
        }
        self.shares.retain(|(organization, ..), share| {
            now(*organization).is_none_or(|now| share.used.saturating_add(rate::PERIOD_MICROS) >= now)
        });
        if self.shares.is_empty() {
            self.in_use.store(false, Ordering::Relaxed);
        }
    }
}
