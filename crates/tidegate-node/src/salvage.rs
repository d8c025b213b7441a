//! Ships what a dead node left in its state folder, without serving anything: for volumes that outlive
//! their pods.
//!
//! Works under the node's own identity, or a fresh one when that has expired; the control plane stores a
//! record once, whoever ships it. A node that still runs keeps its folder to itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::enroll::RetireRequest;
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_types::{Clock, NodeId};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::NodeError;
use crate::identity::{self, Enrolling, Identity};
use crate::journal::{Journal, JournalSettings};
use crate::link::Link;
use crate::node::blocking;
use crate::notary::Notary;
use crate::state::State;
use crate::{outage, ship};

/// What is to be shipped, and how.
#[derive(Debug)]
pub struct Salvage {
    /// The dead node's state folder.
    pub state: PathBuf,
    /// Where the control plane is, and what to show it should the node's certificate have expired.
    pub enrolling: Enrolling,
    /// How long to go on.
    pub patience: Duration,
    /// Under a fresh identity: the control plane does not know the node's (its database was restored to a
    /// time before the node enrolled).
    pub anew: bool,
    /// Afterwards the node gives up its identity and says that it has ended for good, so that no budget
    /// waits for it any more.
    pub retire: bool,
}

/// What was shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salvaged {
    /// Whose journal it was shipped as; `None`: the folder held no journal.
    pub node_id: Option<NodeId>,
    /// Records that waited, ends of unfinished attempts included.
    pub records: u64,
    /// The node's identity is given up.
    pub retired: bool,
}

impl Salvage {
    /// Ships everything, then returns.
    ///
    /// # Errors
    /// [`NodeError::InUse`] while a node runs on the folder; [`NodeError::Unshipped`] when time is up;
    /// what was acknowledged until then is not shipped again.
    pub async fn run(self, clock: Arc<dyn Clock>) -> Result<Salvaged, NodeError> {
        if !self.state.join("journal").is_dir() {
            return Ok(Salvaged { node_id: None, records: 0, retired: false });
        }
        let until = Instant::now() + self.patience;
        let state = State::open(&self.state)?;
        if self.anew {
            identity::forget(&state)?;
        }
        let identified = identity::obtain(&state, &self.enrolling, None, &*clock);
        let identity = tokio::time::timeout_at(until, identified)
            .await
            .map_err(|_| NodeError::Unshipped("the control plane did not answer".to_owned()))??;
        let mut settings = JournalSettings::new(state.path("journal"));
        settings.owner = identity.node_id.to_u128();
        settings.lanes = 1;
        let sealing = Arc::clone(&clock);
        let journal = blocking(move || Ok(Journal::open(&settings, clock)?)).await?;
        let (journal, recovered) = (Arc::new(journal.0), journal.1);
        let records = recovered.pending_records + recovered.orphans.len() as u64;
        let link = Arc::new(Link::new(identity.dial(&self.enrolling.control)?));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let identity = Arc::new(identity);
        let notary = Arc::new(Notary::new(Arc::clone(&identity), journal.boot(), sealing));
        tasks.spawn(ship::run(Arc::clone(&journal), Arc::clone(&link), notary, stop.clone()));
        let shipped = shipped(&journal, until).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        blocking(move || {
            journal.close();
            Ok(())
        })
        .await?;
        shipped?;
        let node_id = Some(identity.node_id);
        if self.retire {
            retire(&state, &identity, &link).await?;
        }
        Ok(Salvaged { node_id, records, retired: self.retire })
    }
}

async fn shipped(journal: &Journal, until: Instant) -> Result<(), NodeError> {
    loop {
        let left = journal.status().pending_records;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(NodeError::Unshipped(format!("{left} records are left")));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The identity goes first: should the rest fail, budgets go on waiting, and nobody starts with an
/// identity that is shut out. The journal, which owes nothing, goes last.
async fn retire(state: &State, identity: &Identity, link: &Link) -> Result<(), NodeError> {
    identity::forget(state)?;
    let told = EnrollServiceClient::new(link.channel()).retire(RetireRequest {}).await;
    told.map_err(|status| {
        NodeError::Unshipped(format!(
            "everything is shipped, but node {} could not be retired ({}): say `tidegate fleet drained {}`",
            identity.node_id,
            outage::why(&status),
            identity.node_id,
        ))
    })?;
    std::fs::remove_dir_all(state.path("journal")).map_err(NodeError::io("remove the empty journal"))
}
