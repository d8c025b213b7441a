//! What earlier processes of this node left in the counters.
//!
//! They are told again how attempts ended, and what was held for attempts that never reached the
//! journal is freed: on the evidence of the books, once the journal is shipped. Ends nothing of
//! which it is not known how it ended. What they had of budgets in advance goes back by the same evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_limits::{End, Ended, LeftHold, Limiter, Settlement};
use tidegate_policy::Config;
use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::budget::{HeldAttempt, ReviewHoldsRequest, ReviewHoldsResponse, attempt_end};
use tidegate_types::usage::{BillingEvent, Outcome};
use tidegate_types::window::Window;
use tidegate_types::{CallId, NanoUsd, NodeId, OrganizationId};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, Recovered};
use crate::left_grants::LeftGrants;
use crate::link::Link;
use crate::sync::Handle;

/// Between two looks whether the journal is shipped.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pauses before each look at the counters: what a dead process had sent may still arrive.
const PAUSES: [u64; 6] = [0, 1, 2, 4, 8, 15];
/// Before the next try after all rounds.
const LATER: Duration = Duration::from_secs(15);
/// One answer of the control plane.
const ANSWER: Duration = Duration::from_secs(5);
/// Most attempts in one question.
const BATCH: usize = 500;

/// Organizations that have budgets, as far as they are known.
pub(crate) type WithBudgets = Arc<Mutex<BTreeSet<OrganizationId>>>;

/// The task that puts things right after a start.
pub(crate) struct Aftermath {
    pub(crate) limiter: Limiter,
    pub(crate) config: Arc<Config>,
    pub(crate) link: Arc<Link>,
    pub(crate) handle: Arc<Handle>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) node_id: NodeId,
    pub(crate) with_budgets: WithBudgets,
    /// Ends that the counters may not have been told.
    pub(crate) ended: Vec<BillingEvent>,
    /// Since this start the journal has lost nothing.
    pub(crate) whole_since: u64,
}

/// Why a look at the counters has to be repeated.
#[derive(Debug, thiserror::Error)]
enum Unreviewed {
    #[error("the counter store is away")]
    StoreAway,
    #[error("the control plane does not answer")]
    ControlAway,
    #[error("the control plane refused: {0:?}")]
    Refused(tonic::Code),
}

/// The ends among what a start found.
pub(crate) fn ends(recovered: &Recovered) -> Vec<BillingEvent> {
    let events = recovered.ended.iter().chain(&recovered.orphans);
    let read = events.filter_map(|event| {
        let read = BillingEvent::try_from(event);
        if read.is_err() {
            tracing::error!("an event of an earlier start cannot be read; its hold ends at its deadline");
        }
        read.ok()
    });
    read.collect()
}

impl Aftermath {
    /// Tells the counters how attempts of earlier starts ended: their process may have died before
    /// they heard, or they may have heard while they were being given up. One whose end nobody
    /// recorded keeps its hold, as unresolved. What they know changes nothing.
    pub(crate) fn tell_again(&self) {
        for event in &self.ended {
            let end = match event.outcome {
                Outcome::Completed | Outcome::Interrupted => End::Spent(event.cost),
                Outcome::Refused | Outcome::NotSent => End::Void,
                Outcome::Unresolved | Outcome::Open => End::Unresolved,
            };
            let present = self.config.organization(event.organization_id).map_or(0, |held| held.epoch());
            let window = |start, end| Window { start, end };
            let held = event.holds.iter();
            self.limiter.settle(Settlement {
                organization_id: event.organization_id,
                call_id: event.call_id,
                attempt: event.attempt,
                // Under counters that are being given up it would be told in vain.
                epoch: event.epoch.max(present),
                end,
                budgets: held.map(|h| (h.budget_id, window(h.window_start, h.window_end))).collect(),
            });
        }
    }

    /// Works until everything is as it should be, or `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.put_right()).await;
    }

    async fn put_right(&mut self) {
        let mark = self.journal.mark();
        while !(self.journal.has_shipped(&mark) && self.handle.is_complete()) {
            sleep(LOOK_EVERY).await;
        }
        // An epoch that opens from now on has all of it from the books.
        self.tell_again();
        let mut reviewed = Ok(());
        for (round, pause) in PAUSES.into_iter().enumerate() {
            sleep(Duration::from_secs(pause)).await;
            if round == 3 {
                // One that was just being opened from older books is open by now.
                self.tell_again();
                self.ended = Vec::new();
            }
            // Once in a round: what cannot be had of one organization keeps no hold of another from its end.
            reviewed = self.review().await;
            if let Err(error) = &reviewed {
                tracing::debug!(%error, "what earlier processes left in the counters stays for now");
            }
            if let Err(error) = self.left_grants().give_back().await {
                tracing::debug!(%error, "what earlier processes had in advance stays out for now");
            }
        }
        let mut given_back = self.left_grants().give_back().await;
        while reviewed.is_err() || given_back.is_err() {
            if let Err(error) = &reviewed {
                tracing::warn!(%error, "what earlier processes left in the counters is still there");
            }
            if let Err(error) = &given_back {
                tracing::warn!(%error, "what earlier processes had in advance is still out");
            }
            sleep(LATER).await;
            if reviewed.is_err() {
                reviewed = self.review().await;
            }
            if given_back.is_err() {
                given_back = self.left_grants().give_back().await;
            }
        }
    }

    fn left_grants(&self) -> LeftGrants<'_> {
        // The journal of an earlier start may lack what its machine lost, or what a copy's original did since.
        let boots = self.whole_since..self.journal.boot();
        LeftGrants { limiter: &self.limiter, link: &self.link, node_id: self.node_id, boots }
    }

    /// Ends every hold of earlier processes of which the books know how it ended, or that it never
    /// was more than a hold.
    async fn review(&self) -> Result<(), Unreviewed> {
        let organizations: Vec<OrganizationId> = self.with_budgets.lock().iter().copied().collect();
        let mut reviewed = Ok(());
        for some in self.limiter.apart(organizations) {
            // One primary of a cluster that is away keeps nobody else's holds from their end.
            match self.review_some(&some).await {
                Err(away @ Unreviewed::ControlAway) => return Err(away),
                one => reviewed = reviewed.and(one),
            }
        }
        reviewed
    }

    async fn review_some(&self, organizations: &[OrganizationId]) -> Result<(), Unreviewed> {
        let ended = Ended { node_id: self.node_id, before: self.journal.boot() };
        let left = self.limiter.left_holds(organizations, ended).await;
        let mut by_organization: BTreeMap<OrganizationId, Vec<LeftHold>> = BTreeMap::new();
        for hold in left.map_err(|_| Unreviewed::StoreAway)? {
            by_organization.entry(hold.organization_id).or_default().push(hold);
        }
        let mut reviewed = Ok(());
        for (organization, holds) in by_organization {
            for holds in holds.chunks(BATCH) {
                match self.ask(organization, holds).await {
                    Ok(known) => self.end(holds, &known),
                    // What is refused of one organization is none of the others' business.
                    Err(refused @ Unreviewed::Refused(_)) => reviewed = Err(refused),
                    Err(away) => return Err(away),
                }
            }
        }
        reviewed
    }

    async fn ask(
        &self,
        organization: OrganizationId,
        holds: &[LeftHold],
    ) -> Result<ReviewHoldsResponse, Unreviewed> {
        let attempt = |hold: &LeftHold| HeldAttempt {
            call_id: hold.call_id.to_string(),
            attempt: u32::from(hold.attempt),
        };
        let attempts = holds.iter().map(attempt).collect();
        let request = ReviewHoldsRequest { organization_id: organization.to_string(), attempts };
        let mut client = BudgetServiceClient::new(self.link.channel());
        let answer =
            timeout(ANSWER, client.review_holds(request)).await.map_err(|_| Unreviewed::ControlAway)?;
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            // Not served here any more: nothing is counted here either.
            Err(status) if status.code() == tonic::Code::NotFound => Ok(ReviewHoldsResponse::default()),
            Err(status) => Err(Unreviewed::Refused(status.code())),
        }
    }

    fn end(&self, holds: &[LeftHold], reviewed: &ReviewHoldsResponse) {
        let mut known: BTreeMap<(CallId, u32), Option<End>> = BTreeMap::new();
        for unknown in &reviewed.unknown {
            known.extend(unknown.call_id.parse().ok().map(|call| ((call, unknown.attempt), None)));
        }
        for ended in &reviewed.ended {
            let end = match ended.end {
                Some(attempt_end::End::SpentNanoUsd(cost)) => End::Spent(NanoUsd::new(cost)),
                Some(attempt_end::End::Voided(_)) => End::Void,
                Some(attempt_end::End::Unresolved(_)) => End::Unresolved,
                None => continue,
            };
            known.extend(ended.call_id.parse().ok().map(|call| ((call, ended.attempt), Some(end))));
        }
        let (mut freed, mut doubted) = (0_u32, 0_u32);
        for hold in holds {
            let Some(end) = known.get(&(hold.call_id, u32::from(hold.attempt))) else { continue };
            let end = end.unwrap_or_else(|| self.never_journalled(hold));
            freed += u32::from(end == End::Void);
            doubted += u32::from(end == End::Unresolved);
            self.limiter.settle(hold.settlement(end));
        }
        if freed + doubted > 0 {
            tracing::info!(freed, doubted, "ended holds that an earlier process left");
        }
    }

    /// A hold of which no record tells: its process died before it journalled the call, and so
    /// before it called anybody. Unless the machine died, and with it what was not on the disk yet.
    fn never_journalled(&self, hold: &LeftHold) -> End {
        if hold.placed_by.boot >= self.whole_since { End::Void } else { End::Unresolved }
    }
}
