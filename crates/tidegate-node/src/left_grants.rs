//! What dead processes of this node had of budgets in advance goes back, by what the books say that they used.
//!
//! Decides nothing: the control plane says which processes it knows all about, the counters take what it says.
//! What it does not know all about is left: it comes back with the next epoch.

use std::ops::Range;
use std::time::Duration;

use tidegate_limits::{LimitError, Limiter, Process};
use tidegate_proto::budget::budget_service_client::BudgetServiceClient;
use tidegate_proto::budget::{EndedGrants, ReturnGrantsOfRequest, ReviewGrantsRequest};
use tidegate_types::resource::OpeningBalance;
use tidegate_types::{NodeId, OrganizationId};
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::link::Link;

/// One answer of the control plane.
const ANSWER: Duration = Duration::from_secs(5);

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

/// What dead processes of a node had in advance.
pub(crate) struct LeftGrants<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) link: &'a Link,
    pub(crate) node_id: NodeId,
    /// Whose journals are whole, and shipped.
    pub(crate) boots: Range<u64>,
}

/// One process's under one organization's epoch, as it was read.
struct Ended {
    organization: OrganizationId,
    boot: u64,
    epoch: u64,
    used: Vec<OpeningBalance>,
}

impl Ended {
    fn read(from: &EndedGrants) -> Option<Self> {
        let used: Option<Vec<_>> = from.used.iter().map(crate::opener::balance).collect();
        let read = from.organization_id.parse().ok().zip(used);
        if read.is_none() {
            tracing::error!(organization = %from.organization_id, "what an earlier process used cannot be read");
        }
        read.map(|(organization, used)| Self { organization, boot: from.boot, epoch: from.epoch, used })
    }
}

impl LeftGrants<'_> {
    /// Gives back what the books know all about. To be called again where it failed: what is back is not
    /// told of again, and to say it twice changes nothing.
    pub(crate) async fn give_back(&self) -> Result<(), NotBack> {
        let mut before = None;
        while !self.boots.is_empty() {
            let ended = self.review().await?;
            // There may be more than one answer tells; what is told of again stays for the next epoch.
            let first = ended.first().map(|ended| (ended.organization, ended.boot));
            if first == before || first.is_none() {
                break;
            }
            before = first;
            let mut failed = Ok(());
            for ended in &ended {
                let given_back = self.give_back_one(ended).await;
                failed = failed.and(given_back);
            }
            failed?;
        }
        Ok(())
    }

    fn client(&self) -> BudgetServiceClient<Channel> {
        // A process may have used many windows.
        BudgetServiceClient::new(self.link.channel())
            .max_decoding_message_size(tidegate_proto::MAX_MESSAGE_BYTES)
    }

    async fn review(&self) -> Result<Vec<Ended>, NotBack> {
        let request = ReviewGrantsRequest { from_boot: self.boots.start, before_boot: self.boots.end };
        let mut client = self.client();
        match timeout(ANSWER, client.review_grants(request)).await.map_err(|_| NotBack::ControlAway)? {
            Ok(answer) => Ok(answer.get_ref().ended.iter().filter_map(Ended::read).collect()),
            // One of a release that does not count it: what is out comes back with the next epoch.
            Err(status) if status.code() == tonic::Code::Unimplemented => Ok(Vec::new()),
            Err(status) => Err(NotBack::Refused(status.code())),
        }
    }

    async fn give_back_one(&self, ended: &Ended) -> Result<(), NotBack> {
        let Ended { organization, boot, epoch, ref used } = *ended;
        let process = Process { node_id: self.node_id, boot };
        match self.limiter.reclaim(organization, process, epoch, used).await {
            Ok(back) => {
                let nano_usd = back.get();
                tracing::info!(%organization, boot, epoch, nano_usd, "what an earlier process had in advance is back");
            }
            // What opens next opens from the books, and has nothing of that process.
            Err(LimitError::NoEpoch { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // One of an earlier release does not know this call; it is made again, until one that does answers.
        let request = ReturnGrantsOfRequest { boot, organization_id: organization.to_string() };
        let mut client = self.client();
        match timeout(ANSWER, client.return_grants_of(request)).await.map_err(|_| NotBack::ControlAway)? {
            Ok(_) => Ok(()),
            Err(status) => Err(NotBack::Refused(status.code())),
        }
    }
}
