//! The journal: what was done for whom, on disk before anyone is told, until the control plane
//! has it.
//!
//! Appends are inline and never wait for the disk; threads of its own make them durable within
//! 10 ms. It refuses new work when it is nearly full and never drops what is not acknowledged.
//! Knows nothing of networks: [`crate::ship`] reads from it and acknowledges to it.

mod cursor;
mod disk;
mod entry;
mod frame;
mod keep;
mod lane;
mod recover;
mod resume;
mod segment;
mod staged;
mod status;
mod stream;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use prost::Message;
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, JournalRecord, LanePosition};
use tidegate_types::Clock;

pub use disk::{Probe, Step};
pub use resume::KeepsAll;
pub use status::JournalStatus;

use disk::Disk;
pub(crate) use entry::Entry;
use entry::unresolved;
use lane::Lane;
use stream::{Reader, Stream};

/// Where and how large.
#[derive(Clone)]
pub struct JournalSettings {
    /// Folder of its own.
    pub folder: PathBuf,
    /// Most bytes of records; new work is refused at 95 % of it.
    pub limit_bytes: u64,
    /// Whose records they are (the node's id): acknowledgements given to another do not count.
    pub owner: u128,
    /// Bytes reserved for one segment.
    pub segment_bytes: u64,
    /// Lanes, at least 1: about one for each worker thread.
    pub lanes: u16,
    /// Asked before each operation on the disk; for tests.
    pub probe: Option<Probe>,
}

impl JournalSettings {
    /// 4 GiB in segments of 8 MiB, one lane for each worker (8 at most).
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = u16::try_from(workers.min(8)).unwrap_or(1);
        Self { folder, owner: 0, limit_bytes: 4 << 30, segment_bytes: 8 << 20, lanes, probe: None }
    }
}

impl std::fmt::Debug for JournalSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalSettings").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// New work would use what is left for the ends of work that has begun.
    #[error("the journal is full")]
    Full,
    /// The disk refused.
    #[error("write the journal: {0}")]
    Io(#[from] io::Error),
}

/// What a start found of earlier boots.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Intents whose end nobody recorded. Each now has a final that says so
    /// (`Unresolved`, `Held`); their holds are still to be settled.
    pub orphans: Vec<BillingEvent>,
    /// The newest finals of attempts with holds. The counters may not have been told of them before
    /// their process died; being told again changes nothing.
    pub ended: Vec<BillingEvent>,
    /// Records that will be shipped again.
    pub pending_records: u64,
    /// Bytes cut off as torn.
    pub torn_bytes: u64,
    /// Places where a sequence is missing. What lay behind one was written again.
    pub gaps: u64,
}

/// The journal of one process. Stops its threads when dropped.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    keepers: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    boot: u64,
    limit_bytes: u64,
    lanes: Vec<Lane>,
    /// Streams of earlier boots that still have segments.
    earlier: RwLock<Vec<Arc<Stream>>>,
    used_bytes: AtomicU64,
    appended_bytes: AtomicU64,
    horizon_seconds: AtomicU64,
    alarmed: AtomicBool,
    moved: AtomicBool,
    /// Set: nothing is removed. Locked: a removal is under way.
    keeps_all: Mutex<bool>,
    stopping: AtomicBool,
    /// A thread ended before it was told to: what is appended is not known to become durable.
    lacks_keeper: AtomicBool,
    keeper_sleeps: Vec<AtomicBool>,
    sleepers: RwLock<Vec<std::thread::Thread>>,
}

/// Where the shipper stands in every stream.
#[derive(Debug, Default)]
pub struct ShipReader {
    readers: Vec<(Arc<Stream>, Reader)>,
}

/// The last sequence of every lane at one moment, and whether earlier boots owed anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark(Vec<((u64, u16), u64)>);

impl ShipReader {
    /// Records that were read and are not acknowledged.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.readers.iter().map(|(stream, reader)| stream.outstanding(reader)).sum()
    }
}

impl Journal {
    /// Opens the journal: cuts torn ends, ends attempts that nobody ended, starts its threads.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the folder cannot be read or written.
    pub fn open(
        settings: &JournalSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Recovered), JournalError> {
        let disk = Disk::open(&settings.folder, settings.probe.clone())?;
        let positions =
            if cursor::claim(&disk, settings.owner)? { cursor::read(&disk)? } else { Default::default() };
        let found = recover::read(&disk, &positions)?;
        let now = clock.now();
        let boot = u64::try_from(now.as_micros()).unwrap_or(0).max(found.last_boot + 1);
        let lanes: Vec<_> = (0..settings.lanes.max(1))
            .map(|lane| Lane::new(disk.clone(), boot, lane, settings.segment_bytes))
            .collect();
        let bytes = |stream: &Arc<Stream>| stream.segments.lock().iter().map(|s| s.written()).sum::<u64>();
        let shared = Arc::new(Shared {
            disk,
            boot,
            limit_bytes: settings.limit_bytes,
            used_bytes: AtomicU64::new(found.streams.iter().map(bytes).sum()),
            keeper_sleeps: lanes.iter().map(|_| AtomicBool::new(false)).collect(),
            lanes,
            earlier: RwLock::new(found.streams),
            appended_bytes: AtomicU64::new(0),
            horizon_seconds: AtomicU64::new(status::HORIZON_MAX),
            alarmed: AtomicBool::new(false),
            moved: AtomicBool::new(true),
            keeps_all: Mutex::new(false),
            stopping: AtomicBool::new(false),
            lacks_keeper: AtomicBool::new(false),
            sleepers: RwLock::new(Vec::new()),
        });
        let pending_records = shared.streams().iter().map(|stream| stream.pending().0).sum();
        for stray in &found.strays {
            // It is no new work that could be refused: it was taken once.
            shared.append(&[Entry { fresh: false, ..Entry::of(stray) }])?;
        }
        for orphan in &found.orphans {
            shared.append(&[Entry::of(&Record::Event(unresolved(orphan, now)))])?;
        }
        for lane in &shared.lanes {
            lane.commit()?;
        }
        found.stray_segments.iter().try_for_each(|name| shared.disk.unlink(name))?;
        let keepers = keep::start(&shared, clock)?;
        let recovered = Recovered {
            orphans: found.orphans,
            ended: found.ended.into(),
            pending_records,
            torn_bytes: found.torn_bytes,
            gaps: found.gaps,
        };
        Ok((Self { shared, keepers: Mutex::new(keepers) }, recovered))
    }

    /// This process's boot: microseconds since the unix epoch, above every earlier boot's.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.shared.boot
    }

    /// Appends a record: in the kernel when this returns, durable within about 10 ms.
    ///
    /// # Errors
    /// [`JournalError::Full`] for new work when there is no room to end it as well;
    /// [`JournalError::Io`] when the disk refuses.
    pub fn append(&self, record: &Record) -> Result<(), JournalError> {
        self.shared.append(&[Entry::of(record)])
    }

    /// Appends records of one call as [`Self::append`] does, all of them or none, in one write. The
    /// first decides whether they are new work.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(crate) fn append_entries(&self, entries: &[Entry]) -> Result<(), JournalError> {
        self.shared.append(entries)
    }

    /// Takes the beginning of new work, which [`Self::land`] writes together with that of others: its
    /// lane and ticket there. Whoever stages must land.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(crate) fn stage(&self, entry: Entry) -> Result<(u16, u64), JournalError> {
        self.shared.stage(entry)
    }

    /// What was staged is in the kernel when this returns, as with [`Self::append`].
    ///
    /// # Errors
    /// As [`Self::append`]; then it is not written.
    pub(crate) fn land(&self, lane: u16, ticket: u64) -> Result<(), JournalError> {
        self.shared.land(lane, ticket)
    }

    /// Waits until everything appended before is durable.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the disk refuses even after a segment was replaced; every lane was tried.
    pub fn flush(&self) -> Result<(), JournalError> {
        // The first error replaces the segment; the second is the disk's answer. Nobody waits for another lane's.
        let flush = |lane: &Lane| lane.commit().or_else(|_| lane.commit());
        let flushed: Vec<_> = self.shared.lanes.iter().map(flush).collect();
        Ok(flushed.into_iter().collect::<io::Result<_>>()?)
    }

    /// A reader that starts behind what is acknowledged.
    #[must_use]
    pub fn reader(&self) -> ShipReader {
        let readers = self.shared.streams().into_iter().map(|stream| {
            let reader = stream.reader();
            (stream, reader)
        });
        ShipReader { readers: readers.collect() }
    }

    /// Up to `most` further records, those of earlier boots first.
    ///
    /// # Errors
    /// [`JournalError::Io`] when a segment cannot be read.
    pub fn read(&self, reader: &mut ShipReader, most: usize) -> Result<Vec<JournalRecord>, JournalError> {
        let mut found = Vec::new();
        self.read_payloads(reader, most, |payload| found.extend(JournalRecord::decode(payload)))?;
        Ok(found)
    }

    /// As [`Self::read`], encoded as they lie on the disk; how many there were.
    pub(crate) fn read_payloads(
        &self,
        reader: &mut ShipReader,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<usize, JournalError> {
        let mut found = 0;
        for (stream, place) in &mut reader.readers {
            if found >= most {
                break;
            }
            found += stream.read(place, most - found, &mut take)?;
        }
        Ok(found)
    }

    /// Notes that the control plane has stored every record of a lane up to a sequence.
    pub fn acknowledge(&self, position: &LanePosition) {
        for stream in self.shared.streams() {
            if (stream.boot, u32::from(stream.lane)) == (position.boot, position.lane) {
                stream.acknowledge(position.sequence);
                self.shared.moved.store(true, Ordering::Release);
            }
        }
    }

    /// What has been appended so far.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.shared.streams().iter().map(|s| ((s.boot, s.lane), s.last())).collect())
    }

    /// Whether everything appended before `mark` is acknowledged.
    #[must_use]
    pub fn has_shipped(&self, mark: &Mark) -> bool {
        // A stream that is gone was acknowledged entirely.
        self.shared.streams().iter().all(|stream| {
            let marked = mark.0.iter().find(|(place, _)| *place == (stream.boot, stream.lane));
            marked.is_none_or(|(_, last)| stream.acknowledged() >= *last)
        })
    }

    /// How full it is and what is owed.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        self.shared.status()
    }

    /// Makes everything durable, writes the cursor and stops the threads.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        for sleeper in self.shared.sleepers.read().iter() {
            sleeper.unpark();
        }
        let ended = self.keepers.lock().drain(..).map(std::thread::JoinHandle::join).collect::<Vec<_>>();
        if ended.iter().any(Result::is_err) {
            tracing::error!("a thread of the journal ended in a panic");
            self.shared.lanes.iter().for_each(Shared::finish);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn streams(&self) -> Vec<Arc<Stream>> {
        let own = self.lanes.iter().map(|lane| &lane.stream);
        self.earlier.read().iter().chain(own).cloned().collect()
    }

    /// Appends what belongs to one call in one write.
    fn append(&self, entries: &[Entry]) -> Result<(), JournalError> {
        let Some(first) = entries.first() else { return Ok(()) };
        let (index, lane) = self.lane_for(first)?;
        self.note_appended(index, lane.append(entries, first.fresh))
    }

    fn stage(&self, entry: Entry) -> Result<(u16, u64), JournalError> {
        let (index, lane) = self.lane_for(&entry)?;
        let index = u16::try_from(index).map_err(|_| JournalError::Full)?;
        Ok((index, lane.stage(entry)))
    }

    fn land(&self, lane: u16, ticket: u64) -> Result<(), JournalError> {
        let index = usize::from(lane);
        let lane = self.lanes.get(index).ok_or(JournalError::Full)?;
        self.note_appended(index, lane.land(ticket))
    }

    /// The lane of a record's call, where there is room for what it begins.
    fn lane_for(&self, entry: &Entry) -> Result<(usize, &Lane), JournalError> {
        if entry.fresh && self.used_bytes.load(Ordering::Relaxed) >= self.limit_bytes / 100 * 95 {
            return Err(JournalError::Full);
        }
        if entry.fresh && self.lacks_keeper.load(Ordering::Relaxed) {
            return Err(JournalError::Io(io::Error::other("a thread of the journal has ended")));
        }
        let index = entry.call as usize % self.lanes.len().max(1);
        self.lanes.get(index).map(|lane| (index, lane)).ok_or(JournalError::Full)
    }

    fn note_appended(&self, lane: usize, appended: io::Result<usize>) -> Result<(), JournalError> {
        let length = appended.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => JournalError::Full,
            _ => JournalError::Io(error),
        })? as u64;
        if length > 0 {
            self.used_bytes.fetch_add(length, Ordering::Relaxed);
            self.appended_bytes.fetch_add(length, Ordering::Relaxed);
            self.wake(lane);
        }
        Ok(())
    }
}
