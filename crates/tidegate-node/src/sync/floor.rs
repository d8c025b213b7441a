//! The floor: the newest change of each shard that this node is known to have had on disk.
//!
//! What lies below it is never served from the disk again: a lost end of a log could hold a
//! revocation.

use tidegate_types::Shard;

use crate::error::NodeError;
use crate::state::State;

pub(super) const FILE: &str = "floor";

/// Positions by shard, and whether a synchronisation was ever completed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    positions: Vec<u64>,
    pub(crate) complete: bool,
}

impl Floor {
    /// The floor that the state folder holds. One that cannot be read forbids to serve from the
    /// disk: nothing is complete then.
    pub(crate) fn read(state: &State) -> Self {
        match state.read(FILE) {
            Ok(Some(bytes)) => Self::parse(&bytes).unwrap_or_default(),
            Ok(None) => Self::default(),
            Err(error) => {
                tracing::error!(%error, "the configuration's floor is damaged: everything is fetched anew");
                Self::default()
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (complete, rest) = bytes.split_first()?;
        let positions: Option<Vec<u64>> = rest
            .chunks(8)
            .map(|chunk| chunk.first_chunk::<8>().map(|chunk| u64::from_be_bytes(*chunk)))
            .collect();
        Some(Self { positions: positions?, complete: *complete == 1 })
    }

    /// Writes the floor, durably.
    pub(crate) fn write(&self, state: &State) -> Result<(), NodeError> {
        let mut bytes = vec![u8::from(self.complete)];
        self.positions.iter().for_each(|n| bytes.extend_from_slice(&n.to_be_bytes()));
        state.write(FILE, &bytes)
    }

    pub(crate) fn get(&self, shard: Shard) -> u64 {
        self.positions.get(shard.index()).copied().unwrap_or(0)
    }

    /// Raises the floor of a shard; false when it is that high already.
    pub(crate) fn advance(&mut self, shard: Shard, n: u64) -> bool {
        if self.positions.len() < Shard::COUNT {
            self.positions.resize(Shard::COUNT, 0);
        }
        match self.positions.get_mut(shard.index()) {
            Some(position) if *position < n => {
                *position = n;
                true
            }
            _ => false,
        }
    }
}
