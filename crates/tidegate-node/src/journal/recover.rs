//! What earlier boots left: their streams, cut where they are torn, and attempts without an end.
//!
//! Decides nothing about money; it only says what is there.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use ahash::AHashMap;
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, JournalRecord};

use super::cursor::Positions;
use super::disk::Disk;
use super::meaning::{AttemptKey, Meaning, meaning};
use super::segment::{Name, Segment};
use super::stream::Stream;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) streams: Vec<Arc<Stream>>,
    /// Intents without a final.
    pub(crate) orphans: Vec<BillingEvent>,
    pub(crate) last_boot: u64,
    /// Bytes behind the first unsound frame of a segment that were not reserve.
    pub(crate) torn_bytes: u64,
    /// Places where a sequence is missing.
    pub(crate) gaps: u64,
}

/// Reads every segment of the folder.
pub(crate) fn read(disk: &Disk, cursor: &Positions) -> io::Result<Found> {
    let mut lanes: BTreeMap<(u64, u16), Vec<Name>> = BTreeMap::new();
    for name in disk.names()?.iter().filter_map(|text| Name::parse(text)) {
        lanes.entry((name.boot, name.lane)).or_default().push(name);
    }
    let mut found = Found::default();
    let mut open = AHashMap::new();
    for ((boot, lane), names) in lanes {
        found.last_boot = found.last_boot.max(boot);
        let acknowledged = cursor.get(&(boot, lane)).copied().unwrap_or(0);
        let segments = stream_segments(disk, names, acknowledged, &mut found, &mut open)?;
        if !segments.is_empty() {
            found.streams.push(Arc::new(Stream::new(boot, lane, segments, acknowledged)));
        }
    }
    found.orphans = open.into_values().collect();
    found.orphans.sort_by(|a: &BillingEvent, b| (&a.call_id, a.attempt).cmp(&(&b.call_id, b.attempt)));
    Ok(found)
}

fn stream_segments(
    disk: &Disk,
    names: Vec<Name>,
    acknowledged: u64,
    found: &mut Found,
    open: &mut AHashMap<AttemptKey, BillingEvent>,
) -> io::Result<VecDeque<Arc<Segment>>> {
    let mut ordered: Vec<_> = names
        .into_iter()
        .map(|name| Ok((Segment::first_of(disk, name)?, name)))
        .collect::<io::Result<_>>()?;
    // A segment that took the place of a poisoned one has a later number but earlier records.
    ordered.sort();
    let mut last = None;
    let mut segments = VecDeque::new();
    for (_, name) in ordered {
        let (segment, records, torn) = Segment::recover(disk, name)?;
        if torn > 0 {
            tracing::warn!(segment = %segment.name, torn, "cut a torn end off the journal");
        }
        found.torn_bytes += torn;
        if records.is_empty() {
            disk.unlink(&segment.name)?;
            continue;
        }
        for record in records {
            follow(record, acknowledged, &mut last, found, open);
        }
        segments.push_back(Arc::new(segment));
    }
    Ok(segments)
}

fn follow(
    record: JournalRecord,
    acknowledged: u64,
    last: &mut Option<u64>,
    found: &mut Found,
    open: &mut AHashMap<AttemptKey, BillingEvent>,
) {
    let sequence = record.sequence;
    if last.is_some_and(|last| sequence <= last) {
        return;
    }
    // Acknowledged records may have been removed; only what was owed can be missed.
    if sequence > last.unwrap_or(acknowledged) + 1 && sequence > acknowledged + 1 {
        tracing::error!(record.boot, record.lane, sequence, "records are missing from the journal");
        found.gaps += 1;
    }
    *last = Some(sequence);
    let Some(record) = record.record else { return };
    match (meaning(&record), record) {
        (Meaning::Opens { attempt, .. }, Record::Event(intent)) => {
            open.insert(attempt, intent);
        }
        (Meaning::Closes { attempt }, _) => {
            open.remove(&attempt);
        }
        _ => {}
    }
}
