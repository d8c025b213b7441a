//! Holds that a process left behind when it died: who placed them, and what is known of them.

use smallvec::SmallVec;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, NodeId, OrganizationId};

use crate::budget::{End, Settlement};

/// A process of a node. Holds say who placed them, so that what a dead process held can be told
/// from what its successor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// The node.
    pub node_id: NodeId,
    /// Its start: a later process of the same node has a higher one.
    pub boot: u64,
}

/// Processes of one node that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The node.
    pub node_id: NodeId,
    /// Every process that started before this one.
    pub before: u64,
}

impl Ended {
    pub(crate) fn covers(self, process: Process) -> bool {
        process.node_id == self.node_id && process.boot < self.before
    }
}

/// A hold that nobody has ended, although the process that placed it has. It may be the trace of a
/// call that its journal knows, or of one that was never sent: whoever ends it must know which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftHold {
    /// Whose call.
    pub organization_id: OrganizationId,
    /// The call.
    pub call_id: CallId,
    /// The attempt.
    pub attempt: u16,
    /// Who placed it.
    pub placed_by: Process,
    /// The epoch under which it is held.
    pub epoch: u64,
    /// The budgets and the starts of their windows.
    pub(crate) budgets: SmallVec<[(BudgetId, Window); 4]>,
}

impl LeftHold {
    /// The settlement that ends it.
    #[must_use]
    pub fn settlement(&self, end: End) -> Settlement {
        Settlement {
            organization_id: self.organization_id,
            call_id: self.call_id,
            attempt: self.attempt,
            epoch: self.epoch,
            end,
            budgets: self.budgets.clone(),
        }
    }
}
