//! What a state folder remembers of a start by a copy.

use serde::{Deserialize, Serialize};
use tidegate_telemetry::entropy;
use tidegate_types::NodeId;

use crate::error::NodeError;
use crate::state::State;

const FILE: &str = "begun";

/// Written before a reserve is first claimed: a start that was cut short claims the same one again. Fields are only ever
/// added, optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The word by which the folder shows that a reserve is its own.
    owner: String,
    /// The reserve by which the node has begun.
    #[serde(default)]
    pub(crate) node: Option<NodeId>,
    /// Neither the control plane nor other nodes have said yet what was revoked since the copy.
    #[serde(default)]
    pub(crate) unheard: bool,
}

impl Begun {
    /// `None`: no copy was ever looked at, or what is written of it is damaged.
    pub(crate) fn read(state: &State) -> Option<Self> {
        let read = state.read(FILE).unwrap_or_else(|error| {
            tracing::warn!(%error, "what is known of the start by a copy is damaged");
            None
        });
        serde_json::from_slice(&read?).ok()
    }

    /// The same, made where there is none.
    pub(super) fn ensure(state: &State) -> Result<Self, NodeError> {
        if let Some(begun) = Self::read(state) {
            return Ok(begun);
        }
        let begun = Self { owner: format!("{:032x}", entropy::random_u128()), node: None, unheard: false };
        begun.write(state)?;
        Ok(begun)
    }

    /// The same of a node that begins by this reserve.
    pub(super) fn by(self, node: NodeId) -> Self {
        Self { node: Some(node), unheard: true, ..self }
    }

    pub(super) fn write(&self, state: &State) -> Result<(), NodeError> {
        let bytes = serde_json::to_vec(self).map_err(|error| NodeError::state(FILE, error))?;
        state.write(FILE, &bytes)
    }

    pub(super) fn owner(&self) -> &[u8] {
        self.owner.as_bytes()
    }

    /// Where in a list of so many this folder begins to look for a reserve: nodes that start at once begin at different
    /// places, and each at the same place again.
    pub(super) fn place(&self, length: usize) -> usize {
        let word = u128::from_str_radix(&self.owner, 16).unwrap_or(0);
        (word % length.max(1) as u128) as usize
    }
}

/// The folder is another node's from now on.
pub(crate) fn forget(state: &State) -> Result<(), NodeError> {
    state.remove(FILE)
}

/// Whether the node runs by a copy, and nobody has told it yet what was revoked since.
pub(crate) fn is_unheard(state: &State, node: NodeId) -> bool {
    Begun::read(state).is_some_and(|begun| begun.unheard && begun.node == Some(node))
}

/// Somebody has told.
pub(crate) fn heard(state: &State) -> Result<(), NodeError> {
    match Begun::read(state) {
        Some(begun) if begun.unheard => Begun { unheard: false, ..begun }.write(state),
        _ => Ok(()),
    }
}
