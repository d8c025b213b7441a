//! The loop: take the lead, do what is due, give the lead up.

use std::sync::Arc;
use std::time::Duration;

use tidegate_store::{Store, StoreError, upkeep};
use tidegate_types::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::duty::{Agenda, Duty};
use crate::passed_over::PassedOver;

/// Times of the duties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often a follower tries to take the lead.
    pub lead_every: Duration,
    /// How often live nodes are counted.
    pub pools_every: Duration,
    /// How often attempts without an end are looked for.
    pub reap_every: Duration,
    /// How often pasts of budgets are looked at.
    pub pasts_every: Duration,
    /// How often grants of dead processes are looked for.
    pub grants_every: Duration,
    /// Every node of a pool must have run for so long before an epoch is ended for what a dead
    /// process had: a node that dies while the next one opens keeps it closed.
    pub grants_quiet: Duration,
    /// How often partitions are made.
    pub partitions_every: Duration,
    /// How often allowances are looked at.
    pub credits_every: Duration,
    /// How often expired rows are deleted.
    pub sweep_every: Duration,
    /// A node not heard of for so long is away. Longer than a node's longest wait before it
    /// connects again (60 s): counting too few nodes would give each too large a share.
    pub absent_after: Duration,
    /// Days of partitions ahead.
    pub partition_days: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lead_every: Duration::from_secs(5),
            pools_every: Duration::from_secs(2),
            reap_every: Duration::from_secs(10),
            pasts_every: Duration::from_secs(2),
            grants_every: Duration::from_secs(2),
            grants_quiet: Duration::from_secs(30),
            partitions_every: Duration::from_secs(3600),
            credits_every: Duration::from_secs(2),
            sweep_every: Duration::from_secs(600),
            absent_after: Duration::from_secs(90),
            partition_days: 9,
        }
    }
}

/// The background jobs of a control plane.
pub struct Treasury {
    store: Store,
    clock: Arc<dyn Clock>,
    settings: Settings,
    passed_over: watch::Sender<usize>,
}

impl std::fmt::Debug for Treasury {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Treasury").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Treasury {
    /// With the times that [`Settings::default`] gives.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, settings: Settings::default(), passed_over: watch::Sender::new(0) }
    }

    /// With other times.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// How many organizations the jobs pass over at present because a later release wrote something of theirs or it is
    /// damaged (1,000 for each job at most); 0 where another control plane does the jobs.
    #[must_use]
    pub fn passed_over(&self) -> watch::Receiver<usize> {
        self.passed_over.subscribe()
    }

    /// Works until `stop`. A database that is away is waited for.
    pub async fn run(self, stop: CancellationToken) {
        let mut passed_over = PassedOver::new(self.passed_over.clone());
        loop {
            match upkeep::try_lead(&self.store).await {
                Ok(Some(lead)) => {
                    self.lead(lead, &mut passed_over, &stop).await;
                    passed_over.rest();
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "no lead: the database does not answer"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(self.settings.lead_every) => {}
            }
        }
    }

    /// Does what is due until the lead is lost, a duty fails or `stop`.
    async fn lead(&self, mut lead: upkeep::Lead, passed_over: &mut PassedOver, stop: &CancellationToken) {
        let since = Instant::now();
        let mut agenda = Agenda::new(since);
        tracing::info!("this control plane does the background jobs");
        while let Some(next) = agenda.next() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep_until(next) => {}
            }
            let settled = since.elapsed() >= self.settings.absent_after;
            let due = agenda.take_due(Instant::now(), &self.settings);
            if !lead.is_held().await {
                tracing::warn!("lost the lead: the connection that holds it broke");
                return;
            }
            if let Err((duty, error)) = self.perform(&due, settled, passed_over).await {
                // After an outage silence does not mean absence: start over, unsettled.
                tracing::warn!(duty = duty.name(), %error, "a background job failed");
                break;
            }
        }
        lead.release().await;
    }

    async fn perform(
        &self,
        due: &[Duty],
        settled: bool,
        passed_over: &mut PassedOver,
    ) -> Result<(), (Duty, StoreError)> {
        for duty in due {
            let done =
                duty.perform(&self.store, &self.settings, self.clock.now(), settled, passed_over).await;
            done.map_err(|error| (*duty, error))?;
        }
        Ok(())
    }
}
