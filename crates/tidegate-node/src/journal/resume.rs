//! Where shipping begins: what is still held of each lane, and how far the control plane has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_proto::usage::LanePosition;

use super::stream::Stream;
use super::{Journal, JournalError};

/// While it lives nothing is removed: what was said to be held stays so until the control plane has
/// told where it is.
#[derive(Debug)]
pub struct KeepsAll(Arc<Journal>);

impl KeepsAll {
    /// Waits for a removal that is under way. Blocks.
    #[must_use]
    pub fn of(journal: &Arc<Journal>) -> Self {
        *journal.shared.keeps_all.lock() = true;
        Self(Arc::clone(journal))
    }
}

impl Drop for KeepsAll {
    fn drop(&mut self) {
        *self.0.shared.keeps_all.lock() = false;
    }
}

impl Journal {
    /// The first sequence of each lane that is still held; what lies before it was acknowledged.
    ///
    /// # Errors
    /// [`JournalError::Io`] when a segment cannot be read.
    pub fn oldest_held(&self) -> Result<Vec<LanePosition>, JournalError> {
        let oldest = |stream: Arc<Stream>| {
            let sequence = stream.first_held()?;
            Ok(LanePosition { boot: stream.boot, lane: u32::from(stream.lane), sequence })
        };
        self.shared.streams().into_iter().map(oldest).collect()
    }

    /// Takes the control plane's word for how far it has a lane, also when it once acknowledged
    /// more (its database was restored): what is still held behind that is owed again. Tells how
    /// many records were taken for stored and are not.
    pub fn restate(&self, position: &LanePosition) -> u64 {
        let streams = self.shared.streams().into_iter();
        let named = streams.filter(|one| (one.boot, u32::from(one.lane)) == (position.boot, position.lane));
        let again = named.map(|stream| stream.restate(position.sequence)).sum();
        self.shared.moved.store(true, Ordering::Release);
        again
    }
}
