//! Opens budget epochs in the counter store: asks the control plane, writes, confirms.
//!
//! One opening at a time for each organization, however many calls wait for it. Never decides
//! what a balance is.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_limits::{LimitError, Limiter};
use tidegate_policy::Config;
use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::budget::open_epoch_response::Outcome;
use tidegate_proto::budget::{ConfirmEpochRequest, OpenEpochRequest, OpenWith};
use tidegate_proxy::{Authority, Unavailable};
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::{NanoUsd, OrganizationId, Timestamp};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aftermath::WithBudgets;
use crate::link::Link;

/// A call waits this long for an opening; the opening itself goes on.
const CALL_WAITS: Duration = Duration::from_secs(5);
/// An opening gives up after this time; the next call begins another.
const GIVE_UP: Duration = Duration::from_secs(30);
/// After hearing that the organization's budgets are counted in another pool.
const ELSEWHERE: Duration = Duration::from_secs(10);
/// One answer of the control plane.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two tries, at least and at most.
const PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(1000);
/// Between two looks whether the store has started anew.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Openings ahead of need at once.
const AHEAD: usize = 64;

type Flights = Mutex<AHashMap<OrganizationId, watch::Receiver<Option<bool>>>>;

/// The node's side of the epoch protocol.
#[derive(Clone)]
pub(crate) struct Opener {
    shared: Arc<Shared>,
}

struct Shared {
    limiter: Limiter,
    config: Arc<Config>,
    link: Arc<Link>,
    flights: Flights,
    with_budgets: WithBudgets,
    /// Bounds openings ahead of need; those that a call waits for are not bounded.
    ahead: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Opener {
    pub(crate) fn new(
        limiter: Limiter,
        config: Arc<Config>,
        link: Arc<Link>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (flights, with_budgets) = (Flights::default(), WithBudgets::default());
        let ahead = Semaphore::new(AHEAD);
        Self { shared: Arc::new(Shared { limiter, config, link, flights, with_budgets, ahead, tasks, stop }) }
    }

    /// Organizations whose budgets were heard of.
    pub(crate) fn with_budgets(&self) -> WithBudgets {
        Arc::clone(&self.shared.with_budgets)
    }

    /// The opening under way for an organization, begun if there is none.
    fn flight(&self, organization: OrganizationId) -> watch::Receiver<Option<bool>> {
        let mut flights = self.shared.flights.lock();
        if let Some(flight) = flights.get(&organization) {
            return flight.clone();
        }
        let (done, flight) = watch::channel(None);
        flights.insert(organization, flight.clone());
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            let opened = tokio::select! {
                () = shared.stop.cancelled() => None,
                opened = timeout(GIVE_UP, shared.open(organization)) => opened.ok(),
            };
            if opened == Some(Ended::Elsewhere) {
                // Who asks meanwhile hears it at once, and the control plane is not asked again and again.
                let _ = done.send(Some(false));
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    () = sleep(ELSEWHERE) => {}
                }
            }
            shared.flights.lock().remove(&organization);
            // Nobody may be waiting any more.
            let _ = done.send(Some(opened == Some(Ended::Open)));
        });
        flight
    }

    /// Opens ahead of the first call, without waiting.
    pub(crate) fn prepare(&self, organization: OrganizationId) {
        let opener = self.clone();
        self.shared.tasks.spawn(async move {
            let stopped = opener.shared.stop.clone();
            let ahead = async {
                // Closed never; a permit is had in the end.
                let _permit = opener.shared.ahead.acquire().await;
                let _ = opener.flight(organization).wait_for(Option::is_some).await;
            };
            tokio::select! {
                () = stopped.cancelled() => {}
                () = ahead => {}
            }
        });
    }

    /// Opens counters before the first call needs them: after changes of budgets, and after the
    /// store has started anew.
    pub(crate) async fn prepare_all(
        self,
        mut budgets: mpsc::UnboundedReceiver<OrganizationId>,
        stop: CancellationToken,
    ) {
        let limiter = &self.shared.limiter;
        // Whose process counts for whom; in a cluster organizations have different ones.
        let mut runs: AHashMap<OrganizationId, Option<String>> = AHashMap::new();
        let mut version = limiter.store_version();
        let mut ticks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(organization) = budgets.recv() => {
                    let epoch = self.shared.config.organization(organization).map_or(0, |held| held.epoch());
                    limiter.end_grants_before(organization, epoch);
                    self.shared.with_budgets.lock().insert(organization);
                    runs.insert(organization, limiter.store_run_id(organization));
                    self.prepare(organization);
                }
                _ = ticks.tick() => {
                    let present = limiter.store_version();
                    if present == std::mem::replace(&mut version, present) {
                        continue;
                    }
                    let known: Vec<_> = self.shared.with_budgets.lock().iter().copied().collect();
                    for organization in known {
                        let run = limiter.store_run_id(organization);
                        let before = runs.entry(organization).or_default();
                        if run.is_some() && run != *before {
                            *before = run;
                            self.prepare(organization);
                        }
                    }
                }
            }
        }
    }

    async fn wait(&self, organization: OrganizationId) -> Result<(), Unavailable> {
        let mut flight = self.flight(organization);
        let ended = timeout(CALL_WAITS, flight.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(outcome)) if *outcome == Some(true) => Ok(()),
            _ => Err(Unavailable),
        }
    }
}

impl Authority for Opener {
    fn open_epoch(&self, organization: OrganizationId) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.wait(organization).boxed()
    }
}

/// How an opening ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Open,
    /// The organization's budgets are counted in another pool.
    Elsewhere,
}

/// What one try came to.
enum Step {
    Open,
    Elsewhere,
    Again(Duration),
}

impl Shared {
    async fn open(&self, organization: OrganizationId) -> Ended {
        let began = Instant::now();
        loop {
            let wait = match self.step(organization).await {
                Ok(Step::Open) => {
                    tracing::info!(%organization, took_ms = began.elapsed().as_millis() as u64, "budget counters are open");
                    return Ended::Open;
                }
                Ok(Step::Elsewhere) => return Ended::Elsewhere,
                Ok(Step::Again(wait)) => wait,
                Err(error) => {
                    tracing::debug!(%organization, %error, "budget counters cannot be opened yet");
                    Duration::from_millis(250)
                }
            };
            sleep(wait.clamp(*PAUSE.start(), *PAUSE.end())).await;
        }
    }

    async fn step(&self, organization: OrganizationId) -> Result<Step, OpenError> {
        let run = self.limiter.store_run_id(organization).ok_or(OpenError::StoreAway)?;
        // With the store away nothing is held and nothing is known.
        let found = self.limiter.present_epoch(organization).await.map_err(|_| OpenError::StoreAway)?;
        let known = self.config.organization(organization).map_or(0, |snapshot| snapshot.epoch());
        if found > 0 && found >= known {
            return Ok(Step::Open);
        }
        // An organization may have more windows in use than the default size carries.
        let mut client = BudgetServiceClient::new(self.link.channel())
            .max_decoding_message_size(tidegate_proto::MAX_MESSAGE_BYTES);
        let request = OpenEpochRequest {
            organization_id: organization.to_string(),
            store_run_id: run.clone(),
            found_epoch: found,
        };
        let answer =
            timeout(ANSWER, client.open_epoch(request)).await.map_err(|_| OpenError::ControlAway)??;
        match answer.into_inner().outcome {
            Some(Outcome::Open(with)) => {
                self.write(&mut client, organization, run, with).await?;
                Ok(Step::Open)
            }
            Some(Outcome::Already(already)) if already.epoch == found => Ok(Step::Open),
            // Opened or lost since the look at the store: it is looked at again.
            Some(Outcome::Already(_)) => Ok(Step::Again(Duration::from_millis(100))),
            Some(Outcome::Retry(retry)) if retry.reason == "elsewhere" => Ok(Step::Elsewhere),
            Some(Outcome::Retry(retry)) => Ok(Step::Again(Duration::from_millis(u64::from(retry.after_ms)))),
            None => Err(OpenError::Malformed),
        }
    }

    async fn write(
        &self,
        client: &mut BudgetServiceClient<tonic::transport::Channel>,
        organization: OrganizationId,
        run: String,
        with: OpenWith,
    ) -> Result<(), OpenError> {
        let balances =
            with.balances.iter().map(balance).collect::<Option<Vec<_>>>().ok_or(OpenError::Malformed)?;
        let holds = with.holds.iter().map(hold).collect::<Option<Vec<_>>>().ok_or(OpenError::Malformed)?;
        self.limiter.open_epoch(organization, with.epoch, &balances, &holds).await?;
        let request = ConfirmEpochRequest {
            organization_id: organization.to_string(),
            epoch: with.epoch,
            permit: with.permit,
            store_run_id: run,
        };
        let confirmed = timeout(ANSWER, client.confirm_epoch(request)).await;
        match confirmed {
            Ok(Ok(answer)) if answer.get_ref().accepted => Ok(()),
            // Refused, or nobody knows: the counters just written must not be used.
            _ => {
                self.limiter.close_epoch(organization, with.epoch).await?;
                Err(OpenError::NotConfirmed)
            }
        }
    }
}

/// A window's figures as the control plane tells them.
pub(crate) fn balance(from: &tidegate_proto::budget::OpeningBalance) -> Option<OpeningBalance> {
    Some(OpeningBalance {
        budget_id: from.budget_id.parse().ok()?,
        window_start: Timestamp::from_micros(from.window_start_micros),
        window_end: Timestamp::from_micros(from.window_end_micros),
        spent: NanoUsd::new(from.spent_nano_usd),
        unresolved: NanoUsd::new(from.unresolved_nano_usd),
    })
}

fn hold(from: &tidegate_proto::budget::OpenHold) -> Option<OpenHold> {
    Some(OpenHold {
        call_id: from.call_id.parse().ok()?,
        attempt: u16::try_from(from.attempt).ok()?,
        budget_id: from.budget_id.parse().ok()?,
        window_start: Timestamp::from_micros(from.window_start_micros),
        window_end: Timestamp::from_micros(from.window_end_micros),
        amount: NanoUsd::new(from.amount_nano_usd),
        deadline: Timestamp::from_micros(from.deadline_micros),
    })
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the counter store is away")]
    StoreAway,
    #[error("the control plane is away")]
    ControlAway,
    #[error("the control plane refused: {0:?}")]
    Refused(tonic::Code),
    #[error("the control plane's answer cannot be read")]
    Malformed,
    #[error("the counters were not confirmed")]
    NotConfirmed,
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl From<tonic::Status> for OpenError {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(status.code())
    }
}
