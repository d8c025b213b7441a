//! Asks the control plane for permission to have money of budgets in advance.
//!
//! The control plane notes it before it answers. Without an answer every capped call asks the
//! store, as before; a permission holds while its epoch does, also without the control plane.

use std::sync::Arc;
use std::time::Duration;

use tidegate_limits::Limiter;
use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::budget::{AllowGrantsRequest, ReturnGrantsRequest};
use tidegate_types::OrganizationId;
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
