//! Asks the control plane for permission to have money of budgets in advance.
//!
//! The control plane notes it before it answers. Without an answer every capped call asks the
//! store, as before; a permission holds while its epoch does, also without the control plane. What
//! earlier processes of the node had when they died goes back by what the books say that they used.

use std::sync::Arc;
use std::time::Duration;

use tidegate_limits::{LimitError, Limiter, Process};
use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::budget::{AllowGrantsRequest, EndedGrants, ReturnGrantsRequest, ReviewGrantsRequest};
use tidegate_types::{NodeId, OrganizationId};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::link::Link;

/// Between two looks whose traffic is worth it.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// One answer of the control plane.
const ANSWER: Duration = Duration::from_secs(2);

/// The node's side of the permission.
pub(crate) struct GrantAsker {
    pub(crate) limiter: Limiter,
    pub(crate) link: Arc<Link>,
    pub(crate) boot: u64,
}

impl GrantAsker {
    /// Asks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for (organization, epoch) in self.limiter.take_wanting_grants() {
                match stop.run_until_cancelled(self.ask(organization, epoch)).await {
                    None => return,
                    Some(Some(percent)) if percent > 0 => {
                        self.limiter.allow_grants(organization, epoch, percent);
                    }
                    // Asked again with the next traffic.
                    Some(_) => {}
                }
            }
        }
    }

    async fn ask(&self, organization: OrganizationId, epoch: u64) -> Option<u8> {
        let request = AllowGrantsRequest {
            organization_id: organization.to_string(),
            epoch,
            boot: self.boot,
            tells_apart: true,
        };
        let mut client = BudgetServiceClient::new(self.link.channel());
        match timeout(ANSWER, client.allow_grants(request)).await {
            Ok(Ok(answer)) => u8::try_from(answer.into_inner().percent).ok(),
            Ok(Err(status)) => {
                tracing::debug!(code = ?status.code(), "no permission to take budgets in advance");
                None
            }
            Err(_) => None,
        }
    }
}

/// Says that this process has given everything back.
pub(crate) async fn give_up(link: &Link, boot: u64) {
    let mut client = BudgetServiceClient::new(link.channel());
    let request = ReturnGrantsRequest { boot, organization_id: None };
    let said = timeout(ANSWER, client.return_grants(request)).await;
    if !matches!(said, Ok(Ok(_))) {
        tracing::debug!("the control plane does not know that all grants are given back");
    }
}

/// What dead processes of this node had in advance.
pub(crate) struct Left<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) link: &'a Link,
    pub(crate) node_id: NodeId,
    /// Whose journals are whole, and shipped.
    pub(crate) boots: std::ops::Range<u64>,
}

/// Why it has not all come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBack {
    #[error("the control plane does not answer")]
    ControlAway,
    #[error("the control plane refused: {0:?}")]
    Refused(tonic::Code),
    #[error("the counters did not take it: {0}")]
    Counters(#[from] LimitError),
}

impl Left<'_> {
    /// Gives it back. What the books do not know all about is left: it comes back with the next epoch.
    pub(crate) async fn give_back(&self) -> Result<(), NotBack> {
        if self.boots.is_empty() {
            return Ok(());
        }
        loop {
            let ended = self.review().await?;
            let Some(first) = ended.first().map(|ended| (ended.organization_id.clone(), ended.boot)) else {
                return Ok(());
            };
            for ended in ended {
                self.give_back_one(&ended).await?;
            }
            // The control plane may be of the release before, and not note that it is back.
            let next = self.review().await?;
            if next.first().is_some_and(|next| (&next.organization_id, next.boot) == (&first.0, first.1)) {
                return Ok(());
            }
        }
    }

    async fn review(&self) -> Result<Vec<EndedGrants>, NotBack> {
        let request = ReviewGrantsRequest { from_boot: self.boots.start, before_boot: self.boots.end };
        // A process may have used many windows.
        let mut client = BudgetServiceClient::new(self.link.channel())
            .max_decoding_message_size(tidegate_proto::MAX_MESSAGE_BYTES);
        match timeout(ANSWER, client.review_grants(request)).await.map_err(|_| NotBack::ControlAway)? {
            Ok(answer) => Ok(answer.into_inner().ended),
            // One of the release before: what is out comes back with the next epoch, as ever.
            Err(status) if status.code() == tonic::Code::Unimplemented => Ok(Vec::new()),
            Err(status) => Err(NotBack::Refused(status.code())),
        }
    }

    async fn give_back_one(&self, ended: &EndedGrants) -> Result<(), NotBack> {
        let malformed = || NotBack::Refused(tonic::Code::DataLoss);
        let organization: OrganizationId = ended.organization_id.parse().map_err(|_| malformed())?;
        let used: Option<Vec<_>> = ended.used.iter().map(crate::opener::balance).collect();
        let process = Process { node_id: self.node_id, boot: ended.boot };
        let used = used.ok_or_else(malformed)?;
        match self.limiter.reclaim(organization, process, ended.epoch, &used).await {
            Ok(back) => {
                let (boot, epoch) = (ended.boot, ended.epoch);
                tracing::info!(%organization, boot, epoch, nano_usd = back.get(), "what a dead process had in advance is back");
            }
            // Another epoch, or none: what opens next opens from the books, and has nothing of that process.
            Err(LimitError::NoEpoch { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let request =
            ReturnGrantsRequest { boot: ended.boot, organization_id: Some(ended.organization_id.clone()) };
        let mut client = BudgetServiceClient::new(self.link.channel());
        let said = timeout(ANSWER, client.return_grants(request)).await;
        match said.map_err(|_| NotBack::ControlAway)? {
            Ok(_) => Ok(()),
            Err(status) => Err(NotBack::Refused(status.code())),
        }
    }
}
