//! The last good configuration on disk, encrypted: a log of deltas for each shard.
//!
//! A node starts from it without the control plane. Whatever is damaged, reordered, foreign or
//! older than what this node is known to have seen is dropped as a whole and fetched again.

mod generation;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use tidegate_proto::config::Delta;
use tidegate_secrets::envelope::{self, Aad, DataKey};
use tidegate_telemetry::entropy;
use tidegate_types::{NodeId, Shard};

use super::floor::Floor;
use super::fold::Newest;
use crate::error::NodeError;
use crate::state::State;
pub(crate) use generation::Mark;

/// First bytes of a log: format 1.
const MAGIC: [u8; 4] = *b"TGC1";
/// Magic and the log's own name, which every record's encryption is bound to: half of it is random, the other half
/// says which release wrote it ([`tidegate_proto::reading`]; releases from before that have it all random).
const HEADER: usize = 20;
const RANDOM: usize = 8;
/// Longest record, so that damage cannot ask for memory.
const MOST: usize = 2 * tidegate_proto::MAX_MESSAGE_BYTES;
/// A log is folded when it has grown by this much and has at least doubled.
const FOLD_AFTER: u64 = 1 << 20;
/// Most resources in one record of a log that was folded.
const AT_ONCE: usize = 1000;

/// The logs of all shards. Used by one thread.
pub(crate) struct Cache {
    state: Arc<State>,
    folder: PathBuf,
    node: NodeId,
    logs: Vec<Option<Log>>,
    floor: Floor,
    floor_moved: bool,
    /// How far each shard's log is good, and where it goes on from when that is not its end.
    marks: Vec<Option<Mark>>,
    bases: Vec<Option<Mark>>,
    /// Logs that are kept when another one takes their place.
    wanted: Vec<[u8; 16]>,
    /// [`tidegate_proto::reading`] of this release.
    reading: [u8; 8],
}

/// A log that is being written.
struct Log {
    name: [u8; 16],
    file: File,
    records: u64,
    bytes: u64,
    /// Bytes when it was last folded.
    folded: u64,
    /// A replacement whose last part has not come: takes the log's place when it has.
    draft: bool,
}

/// What the disk has of a shard.
pub(crate) enum Kept {
    /// Nothing, and there never was anything.
    Nothing,
    /// Everything up to this change.
    Whole(u64),
    /// The same, written by another release: what only this one understands may be missing in it.
    AsAnotherReleaseReadIt,
    /// Damaged, or older than what the node has had: not to be served.
    Unfit,
}

impl Cache {
    /// Opens the logs of a node.
    pub(crate) fn open(state: Arc<State>, node: NodeId) -> Result<Self, NodeError> {
        let folder = state.path("config");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(NodeError::io("make the configuration's folder"))?;
        let floor = Floor::read(&state);
        let logs = Shard::all().map(|_| None).collect();
        let (marks, bases) = (vec![None; Shard::COUNT], vec![None; Shard::COUNT]);
        let reading = tidegate_proto::reading();
        Ok(Self {
            state,
            folder,
            node,
            logs,
            floor,
            floor_moved: false,
            marks,
            bases,
            wanted: Vec::new(),
            reading,
        })
    }

    /// Whether a synchronisation was ever completed.
    pub(crate) fn is_complete(&self) -> bool {
        self.floor.complete
    }

    /// What the disk has of a shard: one delta from 0 that replaces it, handed over in parts of bounded
    /// size. Whether `take` could take them all decides whether it is fit.
    pub(crate) fn kept(&mut self, shard: Shard, mut take: impl FnMut(&Delta) -> bool) -> Kept {
        let newest = self.survey(shard, None);
        let position = newest.to();
        if position < self.floor.get(shard) {
            tracing::error!(
                shard = shard.index(),
                "configuration on disk is damaged or old: it is fetched anew"
            );
            return Kept::Unfit;
        }
        let refused = || io::Error::other("a part was not taken");
        self.mark(shard, newest.whole(), position);
        match self.replay(shard, None, newest, |part| take(part).then_some(()).ok_or_else(refused)) {
            Ok(()) if position == 0 => Kept::Nothing,
            Ok(()) if !self.is_own(shard) => Kept::AsAnotherReleaseReadIt,
            Ok(()) => Kept::Whole(position),
            Err(_) => Kept::Unfit,
        }
    }

    /// The first of two passes over a shard's log: where the newest versions stand.
    fn survey(&self, shard: Shard, upto: Option<&Mark>) -> Newest {
        let mut newest = Newest::default();
        self.records(shard, upto).into_iter().flatten().for_each(|delta| newest.note(&delta));
        newest
    }

    /// The second pass: what the log holds, in parts. One record is held, however many resources there are.
    fn replay(
        &self,
        shard: Shard,
        upto: Option<&Mark>,
        mut newest: Newest,
        mut take: impl FnMut(&Delta) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut part) = newest.begin(shard) else { return Ok(()) };
        for delta in self.records(shard, upto).into_iter().flatten() {
            for resource in newest.take(delta) {
                if part.resources.len() == AT_ONCE {
                    take(&part)?;
                    part.resources.clear();
                }
                part.resources.push(resource);
            }
        }
        part.last = true;
        take(&part)
    }

    /// Whether this release wrote a shard's log.
    fn is_own(&self, shard: Shard) -> bool {
        open_log(&self.path(shard, false)).is_some_and(|(_, name)| name.ends_with(&self.reading))
    }

    /// The records of one shard's log, up to the first that is not sound; those of a mark: as many as it says.
    fn records(&self, shard: Shard, upto: Option<&Mark>) -> Option<impl Iterator<Item = Delta>> {
        let (reader, name) = match upto {
            Some(mark) => self.marked(shard, mark)?,
            None => open_log(&self.path(shard, false))?,
        };
        let aad = move |index| self.aad(shard, &name, index);
        let records = Records { reader, key: self.state.key(), aad, index: 0 };
        let most = upto.map_or(usize::MAX, |mark| usize::try_from(mark.records).unwrap_or(usize::MAX));
        Some(records.take(most))
    }

    fn path(&self, shard: Shard, draft: bool) -> PathBuf {
        let ending = if draft { "draft" } else { "log" };
        self.folder.join(format!("shard-{:02}.{ending}", shard.index()))
    }

    fn aad(&self, shard: Shard, name: &[u8; 16], index: u64) -> Aad {
        Aad::new("last good configuration")
            .with(self.node.to_u128().to_be_bytes())
            .with((shard.index() as u64).to_be_bytes())
            .with(name)
            .with(index.to_be_bytes())
    }

    /// Appends one part of a delta. It counts once the part marked last is there.
    pub(crate) fn append(&mut self, shard: Shard, delta: &Delta, first: bool) -> io::Result<()> {
        let mut log = match self.take(shard) {
            _ if first && delta.replace => self.begin(shard, true)?,
            // A draft that was left unfinished is no ground for a delta.
            Some(log) if !(first && log.draft) => log,
            _ => self.go_on(shard)?,
        };
        let outcome = self.write(shard, &mut log, delta);
        if outcome.is_ok() && delta.last {
            if log.draft {
                self.replace(shard, &mut log)?;
            }
            self.mark_log(shard, &log, delta.to);
            self.floor_moved |= self.floor.advance(shard, delta.to);
        }
        if let Some(place) = self.logs.get_mut(shard.index()) {
            *place = outcome.is_ok().then_some(log);
        }
        outcome
    }

    fn take(&mut self, shard: Shard) -> Option<Log> {
        self.logs.get_mut(shard.index())?.take()
    }

    fn begin(&self, shard: Shard, draft: bool) -> io::Result<Log> {
        let mut name = [0; 16];
        let (random, writer) = name.split_at_mut(RANDOM);
        entropy::fill(random);
        writer.copy_from_slice(&self.reading);
        let path = self.path(shard, draft);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&MAGIC)?;
        file.write_all(&name)?;
        Ok(Log { name, file, records: 0, bytes: HEADER as u64, folded: HEADER as u64, draft })
    }

    /// Writes what the log holds afresh, and goes on behind it: no torn end, no spare history.
    fn resume(&mut self, shard: Shard) -> io::Result<Log> {
        let mut log = self.begin(shard, true)?;
        let newest = self.survey(shard, None);
        let to = newest.to();
        self.replay(shard, None, newest, |part| self.write(shard, &mut log, part))?;
        log.file.sync_data()?;
        self.replace(shard, &mut log)?;
        self.mark_log(shard, &log, to);
        Ok(log)
    }

    /// Puts a finished draft in the place of the log.
    fn replace(&mut self, shard: Shard, log: &mut Log) -> io::Result<()> {
        self.keep_replaced(shard);
        std::fs::rename(self.path(shard, true), self.path(shard, false))?;
        log.draft = false;
        log.folded = log.bytes;
        Ok(())
    }

    fn write(&self, shard: Shard, log: &mut Log, delta: &Delta) -> io::Result<()> {
        let aad = self.aad(shard, &log.name, log.records);
        let sealed =
            envelope::seal(self.state.key(), &aad, &delta.encode_to_vec()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(sealed.len() + 4);
        record.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
        record.extend_from_slice(&sealed);
        log.file.write_all(&record)?;
        log.records += 1;
        log.bytes += record.len() as u64;
        Ok(())
    }

    /// Notes that everything there is has been received once.
    pub(crate) fn complete(&mut self) {
        self.floor_moved |= !self.floor.complete;
        self.floor.complete = true;
    }

    /// Makes the logs durable, then raises the floor, then folds logs that have grown.
    pub(crate) fn sync(&mut self) -> Result<(), NodeError> {
        if !self.floor_moved {
            return Ok(());
        }
        let sync = |log: &Log| log.file.sync_data();
        self.logs.iter().flatten().try_for_each(sync).map_err(NodeError::io("sync the configuration"))?;
        self.floor.write(&self.state)?;
        self.floor_moved = false;
        let grown = |log: &Log| !log.draft && log.bytes > (2 * log.folded).max(log.folded + FOLD_AFTER);
        for shard in Shard::all() {
            if self.logs.get(shard.index()).is_some_and(|log| log.as_ref().is_some_and(grown)) {
                let folded = self.resume(shard).map_err(NodeError::io("fold the configuration"))?;
                if let Some(place) = self.logs.get_mut(shard.index()) {
                    *place = Some(folded);
                }
            }
        }
        Ok(())
    }
}

/// A log, behind its header, and its name.
fn open_log(path: &Path) -> Option<(BufReader<File>, [u8; 16])> {
    let mut reader = BufReader::new(File::open(path).ok()?);
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).ok()?;
    Some((reader, header.strip_prefix(&MAGIC)?.try_into().ok()?))
}

/// The records of a log, one after the other.
struct Records<'a, A> {
    reader: BufReader<File>,
    key: &'a DataKey,
    aad: A,
    index: u64,
}

impl<A: Fn(u64) -> Aad> Iterator for Records<'_, A> {
    type Item = Delta;

    /// `None` at the end and at anything that is not sound.
    fn next(&mut self) -> Option<Delta> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length).ok()?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST {
            return None;
        }
        let mut sealed = Vec::new();
        (&mut self.reader).take(length as u64).read_to_end(&mut sealed).ok()?;
        let opened = envelope::open(self.key, &(self.aad)(self.index), &sealed).ok()?;
        self.index += 1;
        Delta::decode(opened.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_release_wrote_is_served_and_asked_for_anew() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = Arc::new(State::open(folder.path()).unwrap());
        let shard = Shard::new(3).unwrap();
        let open = |reading| {
            let cache = Cache::open(Arc::clone(&state), NodeId::from_u128(1)).unwrap();
            Cache { reading, ..cache }
        };
        let (own, other) = ([1; 8], [2; 8]);
        let whole = Delta { shard: 3, to: 7, replace: true, last: true, ..Delta::default() };
        let mut writer = open(other);
        writer.append(shard, &whole, true).unwrap();
        writer.sync().unwrap();
        let mut taken = 0;
        let found = open(own).kept(shard, |_| {
            taken += 1;
            true
        });
        assert!(matches!(found, Kept::AsAnotherReleaseReadIt) && taken == 1, "it can be served meanwhile");
        assert!(matches!(open(other).kept(shard, |_| true), Kept::Whole(7)), "positive control");

        let mut writer = open(own);
        writer.append(shard, &Delta { to: 8, ..whole }, true).unwrap();
        writer.sync().unwrap();
        assert!(matches!(open(own).kept(shard, |_| true), Kept::Whole(8)), "once it has come anew");
    }
}
