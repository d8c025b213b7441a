//! One segment: a file of frames of one (boot, lane).
//!
//! Written only by its lane, read by the shipper up to `written`. Knows nothing of
//! acknowledgements.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidegate_proto::usage::JournalRecord;

use super::disk::Disk;
use super::frame;

/// A segment. `last` is 0 while it is empty.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) file: File,
    capacity: u64,
    written: AtomicU64,
    last: AtomicU64,
    sealed: AtomicBool,
    poisoned: AtomicBool,
    shrunk: AtomicBool,
}

/// The place that a file's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) boot: u64,
    pub(crate) lane: u16,
    pub(crate) number: u64,
}

impl Name {
    pub(crate) fn text(self) -> String {
        format!("{:020}-{:05}-{:010}.seg", self.boot, self.lane, self.number)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix(".seg")?.split('-');
        let name = Self {
            boot: parts.next()?.parse().ok()?,
            lane: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
        };
        (parts.next().is_none() && name.text() == text).then_some(name)
    }
}

impl Segment {
    /// A new, empty segment with its space reserved.
    pub(crate) fn create(disk: &Disk, name: Name, capacity: u64) -> io::Result<Self> {
        let text = name.text();
        let file = disk.create(&text, capacity)?;
        Ok(Self::of(text, name.number, file, capacity))
    }

    fn of(name: String, number: u64, file: File, capacity: u64) -> Self {
        Self {
            name,
            number,
            file,
            capacity,
            written: AtomicU64::new(0),
            last: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            shrunk: AtomicBool::new(false),
        }
    }

    /// Sequence of the first record of a segment of an earlier boot, 0 when there is none.
    pub(crate) fn first_of(disk: &Disk, name: Name) -> io::Result<u64> {
        let file = disk.reopen(&name.text())?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(frame::HEADER + frame::MAX_PAYLOAD)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(frame::records(&bytes).next().map_or(0, |(record, _)| record.sequence))
    }

    /// A segment of an earlier boot, cut at its first unsound frame, with its records.
    /// The third value is the number of bytes cut that were not zero-filled reserve.
    pub(crate) fn recover(disk: &Disk, name: Name) -> io::Result<(Self, Vec<JournalRecord>, u64)> {
        let text = name.text();
        let file = disk.reopen(&text)?;
        let bytes = disk.read(&text)?.unwrap_or_default();
        let mut sound = 0;
        let mut records = Vec::new();
        for (record, length) in frame::records(&bytes) {
            if (record.boot, record.lane) != (name.boot, u32::from(name.lane)) || record.sequence == 0 {
                break;
            }
            sound += length;
            records.push(record);
        }
        let tail = bytes.get(sound..).unwrap_or_default();
        let torn = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        if !tail.is_empty() {
            disk.cut(&file, &text, sound as u64)?;
        }
        let segment = Self::of(text, name.number, file, sound as u64);
        segment.written.store(sound as u64, Ordering::Release);
        segment.last.store(last_of(&records), Ordering::Release);
        segment.sealed.store(true, Ordering::Release);
        Ok((segment, records, torn))
    }

    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.written() + bytes as u64 <= self.capacity
    }

    /// Bytes of reserve left, in percent of the capacity.
    pub(crate) fn free_percent(&self) -> u64 {
        self.capacity.saturating_sub(self.written()) * 100 / self.capacity.max(1)
    }

    /// Appends whole frames that end with the record `last`. On an error nothing counts as written.
    pub(crate) fn append(&self, disk: &Disk, frames: &[u8], last: u64) -> io::Result<()> {
        let offset = self.written();
        disk.write(&self.file, &self.name, frames, offset)?;
        self.last.store(last, Ordering::Release);
        self.written.store(offset + frames.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Says that nothing will be appended any more.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Notes that a sync of it failed: no later one tells the truth.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Sequence of the last record, 0 when empty.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Gives back the reserve behind the last record.
    pub(crate) fn shrink(&self, disk: &Disk) -> io::Result<()> {
        if self.shrunk.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        disk.cut(&self.file, &self.name, self.written())
    }

    /// Keeps the first so many of these, which are all that a segment of an earlier boot holds.
    pub(crate) fn keep_first(
        &self,
        disk: &Disk,
        records: &mut Vec<JournalRecord>,
        count: usize,
    ) -> io::Result<()> {
        records.truncate(count);
        let bytes = self.read(0, usize::MAX)?;
        let kept: usize = frame::records(&bytes).take(count).map(|(_, length)| length).sum();
        disk.cut(&self.file, &self.name, kept as u64)?;
        self.written.store(kept as u64, Ordering::Release);
        self.last.store(last_of(records), Ordering::Release);
        Ok(())
    }

    /// Up to `most` bytes from `offset`, never behind the last whole frame.
    pub(crate) fn read(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let left = self.written().saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// The highest sequence among these, 0 where there is none.
pub(crate) fn last_of(records: &[JournalRecord]) -> u64 {
    records.iter().map(|record| record.sequence).max().unwrap_or(0)
}
