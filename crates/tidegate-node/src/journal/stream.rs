//! The records of one (boot, lane) as the shipper sees them: segments in order of their
//! sequences, and how far they are acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::frame;
use super::segment::Segment;

/// Read at once from a segment, in bytes.
const CHUNK: usize = 256 * 1024;

/// One (boot, lane).
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) boot: u64,
    pub(crate) lane: u16,
    pub(crate) segments: Mutex<VecDeque<Arc<Segment>>>,
    acknowledged: AtomicU64,
}

/// Where the shipper stands in a stream. It survives changes of the segments under it.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    next: u64,
    place: Option<(Arc<Segment>, u64)>,
}

impl Stream {
    pub(crate) fn new(boot: u64, lane: u16, segments: VecDeque<Arc<Segment>>, acknowledged: u64) -> Self {
        Self { boot, lane, segments: Mutex::new(segments), acknowledged: AtomicU64::new(acknowledged) }
    }

    /// Whether a segment is still one of them.
    pub(crate) fn holds(&self, segment: &Arc<Segment>) -> bool {
        self.segments.lock().iter().any(|known| Arc::ptr_eq(known, segment))
    }

    /// Puts `fresh` where `bad` is; false where that is gone.
    pub(crate) fn replace(&self, bad: &Arc<Segment>, fresh: &Arc<Segment>) -> bool {
        let mut segments = self.segments.lock();
        let place = segments.iter_mut().find(|known| Arc::ptr_eq(known, bad));
        place.map(|place| *place = Arc::clone(fresh)).is_some()
    }

    /// Sequence up to which every record is stored upstream.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Notes an acknowledgement; one behind the last record is held at it, none goes back.
    pub(crate) fn acknowledge(&self, sequence: u64) {
        self.acknowledged.fetch_max(sequence.min(self.last()), Ordering::AcqRel);
    }

    /// Takes another's word for how far every record is stored upstream, also back. How many records
    /// were taken for stored and are not.
    pub(crate) fn restate(&self, sequence: u64) -> u64 {
        let before = self.acknowledged();
        if sequence >= before {
            self.acknowledge(sequence);
            return 0;
        }
        self.acknowledged.store(sequence, Ordering::Release);
        before - sequence
    }

    /// Sequence of the first record that is still here, or would be.
    pub(crate) fn first_held(&self) -> std::io::Result<u64> {
        let first = self.segments.lock().iter().find(|segment| segment.last() > 0).cloned();
        let bytes = first.map(|segment| segment.read(0, CHUNK)).transpose()?.unwrap_or_default();
        let first = frame::records(&bytes).next().map(|(record, _)| record.sequence);
        Ok(first.unwrap_or(self.acknowledged() + 1))
    }

    /// Sequence of the last record, 0 when there is none.
    pub(crate) fn last(&self) -> u64 {
        // The last segment may be the torn copy of one before it.
        self.segments.lock().iter().map(|segment| segment.last()).max().unwrap_or(0)
    }

    /// Records that are not acknowledged, and the bytes of the segments that hold them.
    pub(crate) fn pending(&self) -> (u64, u64) {
        let acknowledged = self.acknowledged();
        let last = self.last().max(acknowledged);
        let segments = self.segments.lock();
        let bytes =
            segments.iter().filter(|segment| segment.last() > acknowledged).map(|s| s.written()).sum();
        (last - acknowledged, bytes)
    }

    /// Records that a reader has passed and that are not acknowledged.
    pub(crate) fn outstanding(&self, reader: &Reader) -> u64 {
        reader.next.saturating_sub(self.acknowledged() + 1)
    }

    /// A reader that starts behind the last acknowledgement.
    pub(crate) fn reader(&self) -> Reader {
        Reader { next: self.acknowledged() + 1, place: None }
    }

    /// Hands out the payloads of up to `most` further records; how many there were.
    pub(crate) fn read(
        &self,
        reader: &mut Reader,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> std::io::Result<usize> {
        let mut found = 0;
        while found < most {
            let Some((segment, offset)) = self.locate(reader) else { break };
            let sealed = segment.is_sealed();
            let bytes = segment.read(offset, CHUNK)?;
            let mut used = 0;
            for (place, payload) in frame::payloads(&bytes).take(most.saturating_sub(found)) {
                used += frame::HEADER + payload.len();
                if place.sequence >= reader.next {
                    reader.next = place.sequence + 1;
                    found += 1;
                    take(payload);
                }
            }
            reader.place = Some((Arc::clone(&segment), offset + used as u64));
            if used == 0 {
                // At the end of what is there, or before damage that a later segment lies behind.
                if !bytes.is_empty() {
                    tracing::error!(segment = %segment.name, offset, "the journal cannot read a record back");
                }
                if !sealed || !self.step_over(reader, &segment) {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The reader's segment if it is still there, else the first with records that it lacks.
    fn locate(&self, reader: &Reader) -> Option<(Arc<Segment>, u64)> {
        let segments = self.segments.lock();
        if let Some((segment, offset)) = &reader.place
            && segments.iter().any(|known| Arc::ptr_eq(known, segment))
        {
            return Some((Arc::clone(segment), *offset));
        }
        segments.iter().find(|segment| segment.last() >= reader.next).map(|segment| (Arc::clone(segment), 0))
    }

    /// Moves the reader to the segment behind `done`; false when there is none.
    fn step_over(&self, reader: &mut Reader, done: &Arc<Segment>) -> bool {
        let segments = self.segments.lock();
        let behind = segments.iter().skip_while(|known| !Arc::ptr_eq(known, done)).nth(1).cloned();
        let found = behind.is_some();
        if let Some(next) = behind {
            reader.place = Some((next, 0));
        }
        found
    }
}
