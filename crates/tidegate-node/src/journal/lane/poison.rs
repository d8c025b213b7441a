//! Segments that could not be synced: what they held is written again to others, which take their places.
//!
//! Until another one has its place, the writer keeps all that is to be written again, also over a panic.

use std::io;
use std::sync::Arc;

use super::super::frame;
use super::super::segment::Segment;
use super::{Lane, Unsynced, Writer};

impl Lane {
    /// Gives up the segment of the first batch that is not durable: what it held is written to a new segment, which
    /// takes its place and is synced by the next commit. `cause` is given back.
    pub(super) fn give_up(&self, cause: io::Error) -> io::Error {
        let mut writer = self.writer.lock();
        let first = writer.unsynced.first().map(|one| (Arc::clone(&one.segment), one.is_copy));
        let Some((bad, was_copy)) = first else { return cause };
        tracing::error!(segment = %bad.name, error = %cause, "fsync failed: the segment is given up");
        // The second failure in a row: the disk is not to be trusted, new work waits.
        writer.failed |= std::mem::replace(&mut writer.doubtful, true);
        bad.poison();
        match self.rewrite(&mut writer, &bad) {
            Ok(true) => {
                // Not before: it is appended to until another one has its place.
                bad.seal();
                writer.given_up.push(bad.name.clone());
                // All of a copy lies in the next one too, and there may be many.
                if was_copy {
                    self.unlink_now(&mut writer, &bad.name);
                }
            }
            Ok(false) => writer.unsynced.retain(|batch| !Arc::ptr_eq(&batch.segment, &bad)),
            Err(error) => {
                tracing::error!(%error, "no segment to write the journal to: new calls are refused");
                writer.failed = true;
            }
        }
        cause
    }

    /// Writes a segment again; false where it is gone, for all of it was acknowledged.
    fn rewrite(&self, writer: &mut Writer, bad: &Arc<Segment>) -> io::Result<bool> {
        if !self.stream.holds(bad) {
            return Ok(false);
        }
        let frames = all_of(writer, bad)?;
        let fresh = match writer.spare.take() {
            Some(spare) => spare,
            None => self.create(writer)?,
        };
        // It is in nobody's place yet, and may stay so.
        writer.given_up.push(fresh.name.clone());
        let appended = fresh.append(&self.disk, &frames, bad.last());
        let fresh = Arc::new(fresh);
        if appended.is_err() || !self.stream.replace(bad, &fresh) {
            self.unlink_now(writer, &fresh.name);
            return appended.map(|()| false);
        }
        writer.given_up.retain(|name| *name != fresh.name);
        writer.unsynced.retain(|batch| !Arc::ptr_eq(&batch.segment, bad));
        writer.unsynced.insert(0, Unsynced { segment: Arc::clone(&fresh), frames, is_copy: true });
        for attempt in writer.open.values_mut().filter(|attempt| attempt.segment == bad.number) {
            attempt.segment = fresh.number;
        }
        if writer.active.as_ref().is_some_and(|active| Arc::ptr_eq(active, bad)) {
            writer.active = Some(fresh);
        } else {
            fresh.seal();
        }
        Ok(true)
    }

    /// Removes a file that was given up, if the disk lets it.
    fn unlink_now(&self, writer: &mut Writer, name: &str) {
        if self.disk.unlink(name).is_ok() {
            writer.given_up.retain(|one| one != name);
        }
    }
}

/// What a segment held when it was well, and what was appended since: also what is acknowledged, for an attempt that
/// began there may be open.
fn all_of(writer: &Writer, bad: &Arc<Segment>) -> io::Result<Vec<u8>> {
    let lost = writer.unsynced.iter().filter(|batch| Arc::ptr_eq(&batch.segment, bad));
    let lost = lost.map(|batch| batch.frames.as_slice()).collect::<Vec<_>>().concat();
    let first_lost = frame::records(&lost).next().map_or(u64::MAX, |(record, _)| record.sequence);
    let durable = bad.read(0, usize::MAX)?;
    let kept = frame::records(&durable).take_while(|(record, _)| record.sequence < first_lost);
    let kept: usize = kept.map(|(_, length)| length).sum();
    Ok([durable.get(..kept).unwrap_or_default(), &lost].concat())
}
