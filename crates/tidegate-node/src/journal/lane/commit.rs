//! Making a lane durable, and the segment that is reserved for it ahead of its need.

use std::io;

use super::super::segment::{Name, Segment};
use super::{Lane, Unsynced};

/// What is being made durable. What is left of it when it is dropped, also by a panic, the next commit has to do.
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

impl Lane {
    /// Makes durable what was appended before the call, and reserves the next segment.
    /// After an error the call must be repeated.
    pub(crate) fn commit(&self) -> io::Result<()> {
        let _alone = self.committing.lock();
        self.sync_all()?;
        self.reserve()
    }

    /// Makes everything durable for the last time, and gives the reserve back whatever comes of that.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let _alone = self.committing.lock();
        let durable = self.sync_all().or_else(|_| self.sync_all());
        durable.and(self.release_spare())
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut taken = Taken { lane: self, batches: self.take_unsynced() };
        let syncs = taken.batches.iter().enumerate();
        let failure = syncs
            .map(|(index, batch)| (index, self.sync(&batch.segment)))
            .find_map(|(index, synced)| synced.err().map(|error| (index, error)));
        if let Some((index, error)) = failure {
            taken.batches.drain(..index);
            // The writer has it back before anything else is done with it.
            drop(taken);
            return Err(self.give_up(error));
        }
        taken.batches.clear();
        {
            let mut writer = self.writer.lock();
            (writer.doubtful, writer.failed) = (false, false);
        }
        self.discard();
        Ok(())
    }

    fn take_unsynced(&self) -> Vec<Unsynced> {
        let mut writer = self.writer.lock();
        let batches = std::mem::take(&mut writer.unsynced);
        writer.usual = batches.last().map_or(0, |batch| batch.frames.len());
        batches
    }

    fn sync(&self, segment: &Segment) -> io::Result<()> {
        if segment.is_poisoned() {
            return Err(io::Error::other("an fsync of it failed before"));
        }
        self.disk.sync(&segment.file, &segment.name)
    }

    /// Removes the files that nothing is lost with; those that stay are removed by a later commit.
    fn discard(&self) {
        let names = self.writer.lock().given_up.clone();
        for name in names {
            match self.disk.unlink(&name) {
                Ok(()) => self.writer.lock().given_up.retain(|one| *one != name),
                Err(error) => {
                    tracing::warn!(segment = %name, %error, "a segment that was given up cannot be removed yet");
                }
            }
        }
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
        {
            let mut writer = self.writer.lock();
            // Who needed one meanwhile made it under a later number, which says that it is the newer one.
            if writer.spare.is_none() && writer.last_number == name.number {
                writer.spare = Some(spare);
                return Ok(());
            }
            writer.given_up.push(spare.name);
        }
        self.discard();
        Ok(())
    }

    /// Removes the reserve: it is neither in the stream nor written to.
    fn release_spare(&self) -> io::Result<()> {
        let spare = self.writer.lock().spare.take();
        spare.map_or(Ok(()), |spare| self.disk.unlink(&spare.name))
    }

    /// The name of the lane's next segment.
    pub(super) fn next_name(&self, writer: &mut super::Writer) -> Name {
        writer.last_number += 1;
        Name { boot: self.stream.boot, lane: self.stream.lane, number: writer.last_number }
    }
}
