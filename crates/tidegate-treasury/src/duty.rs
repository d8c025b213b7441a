//! The duties, and when each is due.

use std::time::Duration;

use tidegate_store::epochs::Quiet;
use tidegate_store::{Store, StoreError, budgets, credits, epochs, upkeep};
use tidegate_types::Timestamp;
use tokio::time::Instant;

use crate::passed_over::PassedOver;
use crate::treasury::Settings;

/// Organizations whose counters open anew in one round, because a node died with grants.
const GRANTS_AT_ONCE: u32 = 20;
/// Every node must have been heard of so lately for that.
const GRANTS_HEARD: Duration = Duration::from_secs(5);

/// One of the background jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Days of billing events and call records exist before their first record.
    Partitions,
    /// Nodes know how many share a limit with them.
    Pools,
    /// What was held for attempts that nobody will end counts as unresolved.
    Reap,
    /// What was spent before a budget was made is counted again.
    Pasts,
    /// Allowances begin and lapse.
    Credits,
    /// What dead node processes had in advance comes back.
    Grants,
    /// Expired rows go.
    Sweep,
}

impl Duty {
    pub(crate) const ALL: [Self; 7] =
        [Self::Partitions, Self::Pools, Self::Reap, Self::Pasts, Self::Credits, Self::Grants, Self::Sweep];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Partitions => "partitions",
            Self::Pools => "pools",
            Self::Reap => "reap",
            Self::Pasts => "pasts",
            Self::Credits => "credits",
            Self::Grants => "grants",
            Self::Sweep => "sweep",
        }
    }

    const fn period(self, settings: &Settings) -> Duration {
        match self {
            Self::Partitions => settings.partitions_every,
            Self::Pools => settings.pools_every,
            Self::Reap => settings.reap_every,
            Self::Pasts => settings.pasts_every,
            Self::Credits => settings.credits_every,
            Self::Grants => settings.grants_every,
            Self::Sweep => settings.sweep_every,
        }
    }

    /// Does it once. `settled`: nodes have had the time to be heard of, so that silence means
    /// absence. Until then pools only grow and nothing is given up.
    pub(crate) async fn perform(
        self,
        store: &Store,
        settings: &Settings,
        now: Timestamp,
        settled: bool,
        passed_over: &mut PassedOver,
    ) -> Result<(), StoreError> {
        let heard_since =
            now.plus_millis(-i64::try_from(settings.absent_after.as_millis()).unwrap_or(i64::MAX));
        match self {
            Self::Partitions => {
                let made = upkeep::ensure_partitions(store, now, settings.partition_days).await?;
                tracing::debug!(made, "partitions are there");
            }
            Self::Pools => {
                upkeep::publish_pools(store, now, heard_since, settled).await?;
            }
            Self::Reap if settled => {
                let reaped = upkeep::reap(store, now, heard_since).await?;
                if reaped > 0 {
                    tracing::warn!(reaped, "attempts without an end count as unresolved");
                }
            }
            Self::Reap => {}
            Self::Pasts => passed_over.note(self, budgets::recount_pasts(store, now).await?),
            Self::Credits => passed_over.note(self, credits::roll(store, now).await?),
            Self::Grants => {
                // An epoch is only ended when every node is there to ship, and none has just
                // started: a leak is no outage, and a node that falls again and again makes none.
                let before =
                    |span: Duration| now.plus_millis(-i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
                let quiet =
                    Quiet { heard_since: before(GRANTS_HEARD), booted_before: before(settings.grants_quiet) };
                epochs::reclaim_grants(store, quiet, now, GRANTS_AT_ONCE).await?;
            }
            Self::Sweep => upkeep::sweep(store, now).await?,
        }
        Ok(())
    }
}

/// When each duty is due next.
#[derive(Debug)]
pub(crate) struct Agenda {
    due: [(Duty, Instant); Duty::ALL.len()],
}

impl Agenda {
    /// Everything is due at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: Duty::ALL.map(|duty| (duty, now)) }
    }

    /// The next instant at which something is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.iter().map(|(_, at)| *at).min()
    }

    /// What is due, each put off by its period.
    pub(crate) fn take_due(&mut self, now: Instant, settings: &Settings) -> Vec<Duty> {
        let mut due = Vec::new();
        for (duty, at) in &mut self.due {
            if *at <= now {
                *at = now + duty.period(settings);
                due.push(*duty);
            }
        }
        due
    }
}
