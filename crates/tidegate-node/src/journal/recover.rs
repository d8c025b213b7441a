//! What earlier boots left: their streams, cut where they are torn, and attempts without an end.
//!
//! Decides nothing about money; it only says what is there.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, JournalRecord};

use super::cursor::Positions;
use super::disk::Disk;
use super::entry::{AttemptKey, Meaning, meaning};
use super::frame;
use super::segment::{Name, Segment, last_of};
use super::stream::Stream;

/// So many settlements may have been under way when a process died.
const MOST_ENDED: usize = 20_000;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) streams: Vec<Arc<Stream>>,
    /// Intents without a final.
    pub(crate) orphans: Vec<BillingEvent>,
    /// Records behind a missing sequence: nobody could acknowledge them in their place.
    pub(crate) strays: Vec<Record>,
    /// The segments that hold only such records.
    pub(crate) stray_segments: Vec<String>,
    /// The newest finals under counters. Their process may have died before it told these.
    pub(crate) ended: VecDeque<BillingEvent>,
    pub(crate) last_boot: u64,
    /// Bytes behind the first unsound frame of a segment that were not reserve.
    pub(crate) torn_bytes: u64,
    /// Places where a sequence is missing.
    pub(crate) gaps: u64,
    open: AHashMap<AttemptKey, BillingEvent>,
    /// Attempts that begin among the strays.
    stray_attempts: AHashSet<AttemptKey>,
    /// Attempts whose end is among the strays.
    ended_strays: AHashSet<AttemptKey>,
}

/// Reads every segment of the folder.
pub(crate) fn read(disk: &Disk, cursor: &Positions) -> io::Result<Found> {
    let mut lanes: BTreeMap<(u64, u16), Vec<Name>> = BTreeMap::new();
    for name in disk.names()?.iter().filter_map(|text| Name::parse(text)) {
        lanes.entry((name.boot, name.lane)).or_default().push(name);
    }
    let mut found = Found::default();
    for ((boot, lane), names) in lanes {
        found.last_boot = found.last_boot.max(boot);
        let acknowledged = cursor.get(&(boot, lane)).copied().unwrap_or(0);
        let segments = found.read_lane(disk, names, acknowledged)?;
        if !segments.is_empty() {
            found.streams.push(Arc::new(Stream::new(boot, lane, segments, acknowledged)));
        }
    }
    // A start that died while it wrote strays again has left the beginning of some twice, and behind their end.
    for attempt in &found.ended_strays {
        found.open.remove(attempt);
    }
    found.orphans = std::mem::take(&mut found.open).into_values().collect();
    found.orphans.sort_by(|a: &BillingEvent, b| (&a.call_id, a.attempt).cmp(&(&b.call_id, b.attempt)));
    Ok(found)
}

impl Found {
    fn read_lane(
        &mut self,
        disk: &Disk,
        names: Vec<Name>,
        acknowledged: u64,
    ) -> io::Result<VecDeque<Arc<Segment>>> {
        let mut ordered: Vec<_> = names
            .into_iter()
            .map(|name| Ok((Segment::first_of(disk, name)?, name)))
            .collect::<io::Result<_>>()?;
        // By their records: a segment that took the place of a poisoned one has a later number than those
        // behind it. Its number tells it from the poisoned one only.
        ordered.sort();
        let mut last = acknowledged;
        let mut followed = 0;
        let mut broken = false;
        let mut segments = VecDeque::new();
        for (index, &(first, name)) in ordered.iter().enumerate() {
            let (segment, mut records, torn) = Segment::recover(disk, name)?;
            let behind = ordered.get(index + 1..).unwrap_or_default();
            if let Some(sound) = replaced_from(disk, name, &records, behind)? {
                tracing::warn!(segment = %segment.name, "cut off what a failed write had left");
                segment.keep_first(disk, &mut records, sound)?;
            }
            if torn > 0 {
                tracing::warn!(segment = %segment.name, torn, "cut a torn end off the journal");
            }
            self.torn_bytes += torn;
            if records.is_empty() {
                disk.unlink(&segment.name)?;
                continue;
            }
            if !broken && (first > last + 1 || lacks_one(&records)) {
                tracing::error!(segment = %segment.name, expected = last + 1, first, "records are missing");
                self.gaps += 1;
                broken = true;
            }
            last = last.max(segment.last());
            for record in records {
                // It repeats what lies in another one: told again, an attempt that has ended would look open.
                if record.sequence <= followed {
                    continue;
                }
                followed = record.sequence;
                // What is acknowledged need not be written again, but tells which attempts are open.
                let owed = record.sequence > acknowledged;
                if let Some(record) = record.record {
                    self.follow(record, broken && owed);
                }
            }
            if broken {
                self.stray_segments.push(segment.name);
            } else {
                segments.push_back(Arc::new(segment));
            }
        }
        Ok(segments)
    }

    fn follow(&mut self, record: Record, mut stray: bool) {
        match (meaning(&record), &record) {
            (Meaning::Opens { attempt, .. }, Record::Event(intent)) => {
                self.open.insert(attempt, intent.clone());
                if stray {
                    self.stray_attempts.insert(attempt);
                }
            }
            (Meaning::Closes { attempt }, Record::Event(last)) => {
                self.open.remove(&attempt);
                // A start that died before it had removed the strays has ended what nobody had: the beginning is written
                // again, and so is its end, behind it.
                stray |= self.stray_attempts.contains(&attempt) && !self.ended_strays.contains(&attempt);
                if stray {
                    self.ended_strays.insert(attempt);
                }
                if last.epoch > 0 && !last.holds.is_empty() {
                    self.ended.push_back(last.clone());
                    if self.ended.len() > MOST_ENDED {
                        self.ended.pop_front();
                    }
                }
            }
            _ => {}
        }
        if stray {
            self.strays.push(record);
        }
    }
}

/// The place of the first of a segment's records of which one that was written later has another in its stead: a write
/// failed, what it had left could not be cut off, and the sequence was given again. `behind`: in order of their
/// first sequences.
fn replaced_from(
    disk: &Disk,
    name: Name,
    records: &[JournalRecord],
    behind: &[(u64, Name)],
) -> io::Result<Option<usize>> {
    let last = last_of(records);
    let mut replaced = None;
    let overlapping = behind.iter().take_while(|(first, _)| *first <= last);
    for (_, later) in overlapping.filter(|(_, later)| later.number > name.number) {
        let bytes = disk.read(&later.text())?.unwrap_or_default();
        let theirs: AHashMap<_, _> =
            frame::records(&bytes).map(|(record, _)| (record.sequence, record)).collect();
        let differs = |own: &JournalRecord| theirs.get(&own.sequence).is_some_and(|other| other != own);
        let place = records.iter().position(differs);
        replaced = [replaced, place].into_iter().flatten().min();
    }
    Ok(replaced)
}

/// Whether a sequence is missing between these.
fn lacks_one(records: &[JournalRecord]) -> bool {
    let follows =
        |(one, next): (&JournalRecord, &JournalRecord)| next.sequence <= one.sequence.saturating_add(1);
    !records.iter().zip(records.iter().skip(1)).all(follows)
}
