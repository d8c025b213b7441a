//! The writing end of one lane: sequences without gaps, rotation, group commit.
//!
//! A call's records all go to one lane, so that an intent never outlives its final on the disk.
//! An error of fsync poisons a segment: what it held is written again to a new one. Until there is one,
//! the ends of work are still appended to the poisoned segment, which is never synced again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;
use tidegate_proto::usage::JournalRecord;

use super::disk::Disk;
use super::entry::{AttemptKey, Entry, Meaning};
use super::frame;
use super::segment::{Name, Segment};
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
    /// Names of poisoned segments, unlinked once their content is durable elsewhere.
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

/// What a commit makes durable. If it ends in a panic, the next one has it to do.
struct Taken<'a> {
    lane: &'a Lane,
    batches: Vec<Unsynced>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.batches.is_empty() {
            let mut writer = self.lane.writer.lock();
            self.batches.append(&mut writer.unsynced);
            writer.unsynced = std::mem::take(&mut self.batches);
        }
    }
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

    /// Makes durable what was appended before the call, and reserves the next segment.
    /// After an error the call must be repeated.
    pub(crate) fn commit(&self) -> io::Result<()> {
        let _alone = self.committing.lock();
        let mut taken = Taken { lane: self, batches: self.take_unsynced() };
        let failure = taken
            .batches
            .iter()
            .enumerate()
            .find_map(|(index, batch)| self.sync(&batch.segment).err().map(|error| (index, error)));
        let batches = std::mem::take(&mut taken.batches);
        if let Some((index, error)) = failure {
            return self.give_up(batches, index, error);
        }
        let given_up = {
            let mut writer = self.writer.lock();
            (writer.doubtful, writer.failed) = (false, false);
            std::mem::take(&mut writer.given_up)
        };
        self.discard(given_up);
        self.reserve()
    }

    fn take_unsynced(&self) -> Vec<Unsynced> {
        let mut writer = self.writer.lock();
        let batches = std::mem::take(&mut writer.unsynced);
        writer.usual = batches.last().map_or(0, |batch| batch.frames.len());
        batches
    }

    /// Removes files that nothing is lost with; those that stay are removed by a later commit.
    fn discard(&self, names: Vec<String>) {
        let stays = |name: &String| {
            let failed = self.disk.unlink(name).err();
            failed.is_some_and(|error| {
                tracing::warn!(segment = %name, %error, "a segment that was given up cannot be removed yet");
                true
            })
        };
        let left: Vec<_> = names.into_iter().filter(stays).collect();
        if !left.is_empty() {
            self.writer.lock().given_up.extend(left);
        }
    }

    fn sync(&self, segment: &Segment) -> io::Result<()> {
        if segment.is_poisoned() {
            return Err(io::Error::other("an fsync of it failed before"));
        }
        self.disk.sync(&segment.file, &segment.name)
    }

    /// Creates the next segment ahead of its need, without holding up appends.
    fn reserve(&self) -> io::Result<()> {
        let name = {
            let mut writer = self.writer.lock();
            let roomy = writer.active.as_ref().is_some_and(|active| active.free_percent() >= 75);
            if writer.spare.is_some() || roomy {
                return Ok(());
            }
            self.next_name(&mut writer)
        };
        let spare = Segment::create(&self.disk, name, self.capacity)?;
        let surplus = {
            let mut writer = self.writer.lock();
            // Who needed one meanwhile made it under a later number, which says that it is the newer one.
            if writer.spare.is_some() || writer.last_number != name.number {
                Some(spare)
            } else {
                writer.spare = Some(spare);
                None
            }
        };
        self.discard(surplus.into_iter().map(|surplus| surplus.name).collect());
        Ok(())
    }

    fn next_name(&self, writer: &mut Writer) -> Name {
        writer.last_number += 1;
        Name { boot: self.stream.boot, lane: self.stream.lane, number: writer.last_number }
    }

    /// Gives up the segment of `batches[index]`: what it held is written to a new segment, which takes
    /// its place and is synced by the next commit.
    fn give_up(&self, mut batches: Vec<Unsynced>, index: usize, cause: io::Error) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        let mut unsynced = batches.split_off(index);
        unsynced.append(&mut writer.unsynced);
        let Some((bad, was_copy)) = unsynced.first().map(|one| (Arc::clone(&one.segment), one.is_copy))
        else {
            return Err(cause);
        };
        tracing::error!(segment = %bad.name, error = %cause, "fsync failed: the segment is given up");
        // The second failure in a row: the disk is not to be trusted, new work waits.
        writer.failed |= std::mem::replace(&mut writer.doubtful, true);
        bad.poison();
        match self.rewrite(writer, &bad, &unsynced) {
            Ok(None) => unsynced.retain(|batch| !Arc::ptr_eq(&batch.segment, &bad)),
            Ok(Some(moved)) => {
                // Not before: it is appended to until another one has its place.
                bad.seal();
                unsynced.retain(|batch| !Arc::ptr_eq(&batch.segment, &bad));
                unsynced.insert(0, moved);
                // All of a copy lies in the next one too, and there may be many.
                if !was_copy || self.disk.unlink(&bad.name).is_err() {
                    writer.given_up.push(bad.name.clone());
                }
            }
            Err(error) => {
                tracing::error!(%error, "no segment to write the journal to: new calls are refused");
                writer.failed = true;
            }
        }
        writer.unsynced = unsynced;
        Err(cause)
    }

    /// Writes a segment again; `None` where it is gone, for all of it was acknowledged.
    fn rewrite(
        &self,
        writer: &mut Writer,
        bad: &Arc<Segment>,
        unsynced: &[Unsynced],
    ) -> io::Result<Option<Unsynced>> {
        if !self.stream.holds(bad) {
            return Ok(None);
        }
        let lost: Vec<&[u8]> = unsynced
            .iter()
            .filter(|batch| Arc::ptr_eq(&batch.segment, bad))
            .map(|batch| batch.frames.as_slice())
            .collect();
        let lost = lost.concat();
        let first_lost = frame::records(&lost).next().map_or(u64::MAX, |(record, _)| record.sequence);
        let durable = bad.read(0, usize::MAX)?;
        let kept = frame::records(&durable).take_while(|(record, _)| record.sequence < first_lost);
        let kept: usize = kept.map(|(_, length)| length).sum();
        // Also what is acknowledged: an attempt that began there may be open.
        let frames = [durable.get(..kept).unwrap_or_default(), &lost].concat();
        let fresh = match writer.spare.take() {
            Some(spare) => spare,
            None => self.create(writer)?,
        };
        let appended = fresh.append(&self.disk, &frames, bad.last());
        let fresh = Arc::new(fresh);
        // It may have gone meanwhile: nobody would remove a copy that is in nobody's place.
        if appended.is_err() || !self.stream.replace(bad, &fresh) {
            if self.disk.unlink(&fresh.name).is_err() {
                writer.given_up.push(fresh.name.clone());
            }
            return appended.map(|()| None);
        }
        if writer.active.as_ref().is_some_and(|active| Arc::ptr_eq(active, bad)) {
            writer.active = Some(Arc::clone(&fresh));
        } else {
            fresh.seal();
        }
        for attempt in writer.open.values_mut().filter(|attempt| attempt.segment == bad.number) {
            attempt.segment = fresh.number;
        }
        Ok(Some(Unsynced { segment: fresh, frames, is_copy: true }))
    }

    /// Forgets attempts whose deadline lies before `before`, and names the segments that hold
    /// an attempt that is still open: they stay, so that a restart can end it.
    pub(crate) fn held_segments(&self, before: i64) -> BTreeSet<u64> {
        let mut writer = self.writer.lock();
        writer.open.retain(|_, attempt| attempt.deadline >= before);
        writer.open.values().map(|attempt| attempt.segment).collect()
    }

    /// Segments that are neither in the stream nor written to: the reserve.
    pub(crate) fn release_spare(&self) -> io::Result<()> {
        let spare = self.writer.lock().spare.take();
        spare.map_or(Ok(()), |spare| self.disk.unlink(&spare.name))
    }
}
