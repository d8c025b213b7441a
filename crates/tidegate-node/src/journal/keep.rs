//! The journal's threads: one for each lane that makes it durable, one that removes what is
//! acknowledged and measures.
//!
//! Order of removal: cursor written and synced, segments unlinked, folder synced.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_types::Clock;

use super::Shared;
use super::cursor::{self, Positions};
use super::disk::Disk;
use super::lane::Lane;
use super::segment::Segment;
use super::status::Rate;
use super::stream::Stream;

/// A record that comes while a commit runs waits for its end, for the pause and for the next commit:
/// within this time.
const DURABLE_WITHIN: Duration = Duration::from_millis(9);
/// Shortest pause between two commits while there is traffic, where the disk is slow.
const LEAST_PAUSE: Duration = Duration::from_millis(3);
/// Quiet rounds after which a thread sleeps until it is woken.
const QUIET_ROUNDS: u32 = 200;
/// Sleep of a quiet thread.
const IDLE: Duration = Duration::from_millis(500);
/// After a failed commit.
const AFTER_FAILURE: Duration = Duration::from_millis(250);
/// Between two looks for removable segments.
const TRIM_EVERY: Duration = Duration::from_millis(200);
/// Between two cursors without a removal.
const CURSOR_EVERY: Duration = Duration::from_secs(5);
/// Time after its deadline at which an attempt without an end is forgotten here.
const FORGET_AFTER_MICROS: i64 = 3_600_000_000;

/// Held by a thread: one that ends in a panic makes nothing durable any more, and nobody does it in its place.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lacks_keeper.store(true, Ordering::Release);
            tracing::error!(
                "a thread of the journal ended in a panic: new calls are refused until a restart"
            );
        }
    }
}

/// Starts the threads.
pub(super) fn start(shared: &Arc<Shared>, clock: Arc<dyn Clock>) -> io::Result<Vec<thread::JoinHandle<()>>> {
    let mut keepers = Vec::new();
    for lane in 0..shared.lanes.len() {
        let watch = Watch(Arc::clone(shared));
        let name = format!("journal-{lane}");
        keepers.push(thread::Builder::new().name(name).spawn(move || commit_lane(&watch.0, lane))?);
    }
    let watch = Watch(Arc::clone(shared));
    let name = "journal-trim".to_owned();
    keepers.push(thread::Builder::new().name(name).spawn(move || trim_and_measure(&watch.0, &*clock))?);
    *shared.sleepers.write() = keepers.iter().map(|keeper| keeper.thread().clone()).collect();
    Ok(keepers)
}

impl Shared {
    /// Wakes a lane's thread if it sleeps for long.
    pub(super) fn wake(&self, lane: usize) {
        if self.keeper_sleeps.get(lane).is_some_and(|sleeps| sleeps.load(Ordering::Acquire))
            && let Some(sleeper) = self.sleepers.read().get(lane)
        {
            sleeper.unpark();
        }
    }

    /// Makes a lane durable at the end.
    pub(super) fn finish(lane: &Lane) {
        if let Err(error) = lane.finish() {
            tracing::error!(%error, "the journal could not be made durable at the end");
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

fn commit_lane(shared: &Shared, index: usize) {
    let (Some(lane), Some(sleeps)) = (shared.lanes.get(index), shared.keeper_sleeps.get(index)) else {
        return;
    };
    let (mut quiet, mut pause) = (0, LEAST_PAUSE);
    while !shared.is_stopping() {
        if lane.is_dirty() {
            quiet = 0;
            let began = Instant::now();
            let committed = lane.commit().or_else(|_| lane.commit());
            pause = DURABLE_WITHIN.saturating_sub(began.elapsed() * 2).max(LEAST_PAUSE);
            if committed.is_err() {
                thread::park_timeout(AFTER_FAILURE);
            }
        } else {
            quiet += 1;
        }
        if quiet < QUIET_ROUNDS {
            thread::park_timeout(pause);
        } else {
            sleeps.store(true, Ordering::SeqCst);
            // An append between the look above and the flag would otherwise wait for the timeout.
            if !lane.is_dirty() {
                thread::park_timeout(IDLE);
            }
            sleeps.store(false, Ordering::SeqCst);
        }
    }
    Shared::finish(lane);
}

fn trim_and_measure(shared: &Shared, clock: &dyn Clock) {
    let (mut sampled, mut seen, mut rate) = (Instant::now(), 0, Rate::default());
    // What is stuck is tried again when the cursor is due, not in each round.
    let (mut cursor_written, mut stuck) = (Instant::now(), false);
    loop {
        let stopping = shared.is_stopping();
        let due = stopping || cursor_written.elapsed() >= CURSOR_EVERY;
        if shared.moved.load(Ordering::Acquire) && (due || !stuck) {
            let trimmed = trim(shared, clock, due);
            stuck = trimmed.is_err();
            match trimmed {
                Ok(true) => cursor_written = Instant::now(),
                Ok(false) => {}
                Err(error) => {
                    cursor_written = Instant::now();
                    shared.moved.store(true, Ordering::Release);
                    tracing::error!(%error, "the journal cannot remove what is acknowledged");
                }
            }
        }
        let elapsed = sampled.elapsed().as_secs_f64();
        if elapsed >= 1.0 {
            let appended = shared.appended_bytes.load(Ordering::Relaxed);
            shared.measure(&mut rate, appended - seen, elapsed);
            (sampled, seen) = (Instant::now(), appended);
        }
        if stopping {
            return;
        }
        thread::park_timeout(TRIM_EVERY);
    }
}

/// Removes segments at the front of their streams that owe nothing. Tells whether the cursor was written.
fn trim(shared: &Shared, clock: &dyn Clock, due: bool) -> io::Result<bool> {
    let keeps_all = shared.keeps_all.lock();
    if *keeps_all {
        return Ok(false);
    }
    shared.moved.store(false, Ordering::Release);
    let before = clock.now().as_micros().saturating_sub(FORGET_AFTER_MICROS);
    let mut positions = Positions::new();
    let (mut removable, mut waits) = (Vec::new(), false);
    for stream in shared.streams() {
        let acknowledged = stream.acknowledged();
        positions.insert((stream.boot, stream.lane), acknowledged);
        let mut front = owes_nothing(&shared.disk, &stream, acknowledged);
        // Asked last: what begins from here on lies behind them.
        if let Some(lane) = shared.lanes.iter().find(|lane| Arc::ptr_eq(&lane.stream, &stream)) {
            let count = lane.removable(&front, before);
            waits |= count.is_none() && !front.is_empty();
            front.truncate(count.unwrap_or(0));
        }
        if !front.is_empty() {
            removable.push((stream, front));
        }
    }
    if removable.is_empty() && !due {
        shared.moved.store(true, Ordering::Release);
        return Ok(false);
    }
    if waits {
        shared.moved.store(true, Ordering::Release);
    }
    cursor::write(&shared.disk, &positions)?;
    let mut stuck = Ok(());
    for (stream, front) in removable {
        if let Err(error) = remove(shared, &stream, &front) {
            // A later round removes it; meanwhile nobody else's stay.
            stuck = Err(error);
        }
    }
    shared.disk.sync_folder()?;
    shared.earlier.write().retain(|stream| !stream.segments.lock().is_empty());
    stuck.map(|()| true)
}

/// Removes these from the stream's front, as far as the disk lets it; not one that another has taken the place of.
fn remove(shared: &Shared, stream: &Stream, front: &[Arc<Segment>]) -> io::Result<()> {
    for expected in front {
        let found = stream.segments.lock().pop_front_if(|segment| Arc::ptr_eq(segment, expected));
        let Some(segment) = found else { break };
        if let Err(error) = shared.disk.unlink(&segment.name) {
            stream.segments.lock().push_front(segment);
            return Err(error);
        }
        shared.used_bytes.fetch_sub(segment.written(), Ordering::Relaxed);
    }
    Ok(())
}

/// The segments at the stream's front that are sealed and acknowledged.
fn owes_nothing(disk: &Disk, stream: &Stream, acknowledged: u64) -> Vec<Arc<Segment>> {
    let segments = stream.segments.lock();
    let sealed = segments.iter().filter(|segment| segment.is_sealed());
    for segment in sealed {
        if let Err(error) = segment.shrink(disk) {
            tracing::warn!(segment = %segment.name, %error, "the reserve could not be given back");
        }
    }
    segments
        .iter()
        .take_while(|segment| segment.is_sealed() && segment.last() <= acknowledged)
        .cloned()
        .collect()
}
