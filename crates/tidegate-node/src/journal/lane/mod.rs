//! The writing end of one lane: sequences without gaps, rotation, group commit.
//!
//! A call's records all go to one lane, so that an intent never outlives its final on the disk.
//! An error of fsync poisons a segment: what it held is written again to a new one. Until there is one,
//! the ends of work are still appended to the poisoned segment, which is never synced again.

mod commit;
mod poison;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;
use tidegate_proto::usage::JournalRecord;

use super::disk::Disk;
use super::entry::{AttemptKey, Entry, Meaning};
use super::frame;
use super::segment::Segment;
use super::staged::Staged;
use super::stream::Stream;

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) stream: Arc<Stream>,
    disk: Disk,
    capacity: u64,
    /// Held by a commit: one that finds nothing to do has still to wait for what another is syncing.
    committing: Mutex<()>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    active: Option<Arc<Segment>>,
    spare: Option<Segment>,
    last_sequence: u64,
    last_number: u64,
    frames: Vec<u8>,
    staged: Staged,
    unsynced: Vec<Unsynced>,
    /// Bytes that the last commit made durable: the next one's are likely to be as many.
    usual: usize,
    open: AHashMap<AttemptKey, OpenAttempt>,
    /// Names of segments that nothing is lost with once the lane is durable, and of what lies in nobody's place:
    /// unlinked by a commit.
    given_up: Vec<String>,
    /// A sync has failed, and none of all has succeeded since.
    doubtful: bool,
    /// New work waits for a sound segment.
    failed: bool,
}

/// Frames of one segment that are not known to be durable.
#[derive(Debug)]
struct Unsynced {
    segment: Arc<Segment>,
    frames: Vec<u8>,
    /// The segment was written in another's place, and nothing of it was ever durable.
    is_copy: bool,
}

#[derive(Debug)]
struct OpenAttempt {
    segment: u64,
    deadline: i64,
}

impl Writer {
    /// What `frames` holds was done to `segment`, and is durable with the next commit.
    fn note_unsynced(&mut self, segment: &Arc<Segment>) {
        match self.unsynced.last_mut() {
            Some(last) if Arc::ptr_eq(&last.segment, segment) => last.frames.extend_from_slice(&self.frames),
            _ => {
                let mut frames = Vec::with_capacity(self.usual.max(self.frames.len()));
                frames.extend_from_slice(&self.frames);
                self.unsynced.push(Unsynced { segment: Arc::clone(segment), frames, is_copy: false });
            }
        }
    }
}

impl Lane {
    pub(crate) fn new(disk: Disk, boot: u64, lane: u16, capacity: u64) -> Self {
        let stream = Arc::new(Stream::new(boot, lane, std::collections::VecDeque::new(), 0));
        Self { stream, disk, capacity, committing: Mutex::new(()), writer: Mutex::new(Writer::default()) }
    }

    /// Appends records in one write, all or none, and returns the bytes they took. `fresh`: they
    /// begin new work and must leave room for the ends of work that has begun.
    pub(crate) fn append(&self, entries: &[Entry], fresh: bool) -> io::Result<usize> {
        self.write(&mut self.writer.lock(), entries, fresh)
    }

    /// Takes the beginning of new work, to be written by [`Self::land`] together with what others have
    /// staged by then. Its ticket.
    pub(crate) fn stage(&self, entry: Entry) -> u64 {
        let mut writer = self.writer.lock();
        if writer.staged.is_much() {
            self.write_staged(&mut writer);
        }
        writer.staged.push(entry)
    }

    /// Makes sure that what was staged is written. Whoever comes first writes for all: in one write, and
    /// each alone where that fails. The bytes written since this was last asked.
    pub(crate) fn land(&self, ticket: u64) -> io::Result<usize> {
        let mut writer = self.writer.lock();
        if !writer.staged.is_decided(ticket) {
            self.write_staged(&mut writer);
        }
        writer.staged.outcome(ticket)
    }

    fn write_staged(&self, writer: &mut Writer) {
        let entries = writer.staged.take();
        if entries.is_empty() {
            return;
        }
        match self.write(writer, &entries, true) {
            Ok(length) => writer.staged.note_written(entries.len(), length),
            Err(error) if entries.len() <= 1 => writer.staged.note_lost(error),
            Err(_) => {
                for entry in &entries {
                    match self.write(writer, std::slice::from_ref(entry), true) {
                        Ok(length) => writer.staged.note_written(1, length),
                        Err(error) => writer.staged.note_lost(error),
                    }
                }
            }
        }
        writer.staged.reuse(entries);
    }

    fn write(&self, writer: &mut Writer, entries: &[Entry], fresh: bool) -> io::Result<usize> {
        if writer.failed && fresh {
            return Err(io::Error::other("the journal waits for a sound segment"));
        }
        let mut sequence = writer.last_sequence;
        writer.frames.clear();
        for entry in entries {
            sequence += 1;
            let place = JournalRecord {
                boot: self.stream.boot,
                lane: u32::from(self.stream.lane),
                sequence,
                record: None,
            };
            frame::push(&mut writer.frames, &place, &entry.body);
        }
        let length = writer.frames.len();
        let segment = self.room(writer, length, fresh)?;
        if let Err(error) = segment.append(&self.disk, &writer.frames, sequence) {
            // Half a frame may lie there, or whole ones: they are cut off, and nothing follows them.
            segment.seal();
            writer.active = None;
            if let Err(error) = segment.shrink(&self.disk) {
                tracing::warn!(segment = %segment.name, %error, "what a failed write left cannot be cut off");
            }
            // Until that is durable they may come back, beside others of the same sequences: a start believes
            // the segment that was written later.
            writer.frames.clear();
            writer.note_unsynced(&segment);
            return Err(error);
        }
        writer.last_sequence = sequence;
        writer.note_unsynced(&segment);
        for entry in entries {
            match entry.meaning {
                Meaning::Opens { attempt, deadline } => {
                    writer.open.insert(attempt, OpenAttempt { segment: segment.number, deadline });
                }
                Meaning::Closes { attempt } => {
                    writer.open.remove(&attempt);
                }
                Meaning::Neutral => {}
            }
        }
        Ok(length)
    }

    /// The segment that the next frame goes to.
    fn room(&self, writer: &mut Writer, length: usize, fresh: bool) -> io::Result<Arc<Segment>> {
        if let Some(active) = writer.active.clone()
            && active.fits(length)
        {
            // The last quarter is for the ends of work, unless its successor is there.
            if !fresh || writer.spare.is_some() || active.free_percent() > 25 || self.prepare(writer).is_ok()
            {
                return Ok(active);
            }
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let next = match writer.spare.take() {
            Some(spare) => spare,
            None => self.create(writer)?,
        };
        Ok(self.rotate(writer, next))
    }

    fn create(&self, writer: &mut Writer) -> io::Result<Segment> {
        let name = self.next_name(writer);
        Segment::create(&self.disk, name, self.capacity)
    }

    fn prepare(&self, writer: &mut Writer) -> io::Result<()> {
        if writer.spare.is_none() {
            let spare = self.create(writer)?;
            writer.spare = Some(spare);
        }
        Ok(())
    }

    fn rotate(&self, writer: &mut Writer, next: Segment) -> Arc<Segment> {
        if let Some(full) = writer.active.take() {
            full.seal();
        }
        let next = Arc::new(next);
        self.stream.segments.lock().push_back(Arc::clone(&next));
        writer.active = Some(Arc::clone(&next));
        next
    }

    /// Whether a commit has something to do.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.writer.lock().unsynced.is_empty()
    }

    /// Whether new work is refused until a sound segment is found.
    pub(crate) fn is_failed(&self) -> bool {
        self.writer.lock().failed
    }

    /// How many of these, from the front, nobody needs any more: attempts that begin there have ended, so that no
    /// restart has to end them. Those whose deadline lies before `before` are forgotten. `None` while a segment that was
    /// given up lies on the disk: a start would find it, and without what followed it its attempts would look open.
    pub(crate) fn removable(&self, front: &[Arc<Segment>], before: i64) -> Option<usize> {
        let mut writer = self.writer.lock();
        if !writer.given_up.is_empty() {
            return None;
        }
        writer.open.retain(|_, attempt| attempt.deadline >= before);
        let held: BTreeSet<_> = writer.open.values().map(|attempt| attempt.segment).collect();
        Some(front.iter().take_while(|segment| !held.contains(&segment.number)).count())
    }
}
