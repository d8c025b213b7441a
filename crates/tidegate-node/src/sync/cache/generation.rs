//! How far the logs were good at some moment, and their reading as of then.
//!
//! Logs are only appended to: a mark is a log's name and a number of records. A log that a mark speaks of is kept by
//! another name when a new one takes its place.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_proto::config::{Delta, ResourceKey, VersionedResource};
use tidegate_types::Shard;

use super::{Cache, Kept, Log, open_log};
use crate::sync::withheld::takes_away;

/// How far one shard's log was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) shard: usize,
    name: [u8; 16],
    pub(super) records: u64,
    /// Everything up to this change.
    pub(crate) n: u64,
}

impl Cache {
    /// How far everything is good that has been written.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.marks.iter().flatten().cloned().collect()
    }

    /// The newest change of a shard that the disk is known to have had.
    pub(crate) fn newest(&self, shard: Shard) -> u64 {
        self.floor.get(shard)
    }

    pub(super) fn mark(&mut self, shard: Shard, records: u64, n: u64) {
        let found = open_log(&self.path(shard, false)).filter(|_| n > 0);
        let mark = found.map(|(_, name)| Mark { shard: shard.index(), name, records, n });
        self.set_mark(shard, mark, None);
    }

    pub(super) fn mark_log(&mut self, shard: Shard, log: &Log, n: u64) {
        let mark = Mark { shard: shard.index(), name: log.name, records: log.records, n };
        self.set_mark(shard, Some(mark), None);
    }

    fn set_mark(&mut self, shard: Shard, mark: Option<Mark>, base: Option<Mark>) {
        if let Some(place) = self.marks.get_mut(shard.index()) {
            *place = mark;
        }
        if let Some(place) = self.bases.get_mut(shard.index()) {
            *place = base;
        }
    }

    /// Says which marks will be asked for: logs that none of them speaks of go.
    pub(crate) fn want<'a>(&mut self, marks: impl Iterator<Item = &'a Mark>) {
        let mut names = HashSet::new();
        let mut files = HashSet::new();
        for mark in marks {
            names.insert(mark.name);
            files.extend(Shard::new(mark.shard as u8).map(|shard| self.kept_path(shard, &mark.name)));
        }
        self.wanted = names.into_iter().collect();
        let found = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let kept = found.filter(|path| path.extension().is_some_and(|ending| ending == "kept"));
        for path in kept.filter(|path| !files.contains(path)) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, "an older generation of the configuration stays on disk");
            }
        }
    }

    fn kept_path(&self, shard: Shard, name: &[u8; 16]) -> PathBuf {
        let name = u128::from_be_bytes(*name);
        self.folder.join(format!("shard-{:02}-{name:032x}.kept", shard.index()))
    }

    /// Before another log takes the place of a shard's: keeps it if it is wanted.
    pub(super) fn keep_replaced(&self, shard: Shard) {
        let path = self.path(shard, false);
        let Some((_, name)) = open_log(&path) else { return };
        if !self.wanted.contains(&name) {
            return;
        }
        match std::fs::hard_link(&path, self.kept_path(shard, &name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::warn!(%error, "the last good generation of the configuration cannot be kept");
            }
            _ => {}
        }
    }

    /// The log that a mark speaks of.
    pub(super) fn marked(&self, shard: Shard, mark: &Mark) -> Option<(BufReader<File>, [u8; 16])> {
        let paths = [self.path(shard, false), self.kept_path(shard, &mark.name)];
        paths.iter().filter_map(|path| open_log(path)).find(|(_, name)| *name == mark.name)
    }

    /// What the disk had of a shard as of a mark, as [`Cache::kept`] hands it over; the log goes on from there. `None`
    /// when that cannot be read as it was, or the log behind it is not whole.
    pub(crate) fn kept_by(
        &mut self,
        shard: Shard,
        mark: &Mark,
        mut take: impl FnMut(&Delta) -> bool,
    ) -> Option<Kept> {
        let newest = self.survey(shard, Some(mark));
        if newest.to() != mark.n || newest.whole() != mark.records {
            return None;
        }
        if self.survey(shard, None).to() < self.floor.get(shard) {
            return None;
        }
        let refused = || io::Error::other("a part was not taken");
        let taken =
            self.replay(shard, Some(mark), newest, |part| take(part).then_some(()).ok_or_else(refused));
        self.set_mark(shard, Some(mark.clone()), Some(mark.clone()));
        Some(match taken {
            Err(_) => Kept::Unfit,
            Ok(()) if !mark.name.ends_with(&self.reading) => Kept::AsAnotherReleaseReadIt,
            Ok(()) => Kept::Whole(mark.n),
        })
    }

    /// The newest of everything that lies behind a mark, without what it is; what a mark has and the log has not is
    /// deleted. `tightens` if any version behind the mark does.
    pub(crate) fn behind(&self, shard: Shard, mark: &Mark) -> Vec<VersionedResource> {
        let mut found: BTreeMap<(String, String, String), VersionedResource> = BTreeMap::new();
        for one in self.records(shard, None).into_iter().flatten().flat_map(|delta| delta.resources) {
            let Some(key) = one.key.as_ref().filter(|_| one.n > mark.n) else { continue };
            let place = (key.organization_id.clone(), key.kind.clone(), key.id.clone());
            let before = found.get(&place);
            let tightens = takes_away(&one) || before.is_some_and(|one| one.tightens);
            // Of all others nothing more is looked at.
            let is_looked_at = place.1 == "key";
            if before.is_none_or(|before| before.n <= one.n) {
                let resource = one.resource.filter(|_| is_looked_at);
                found.insert(place, VersionedResource { tightens, resource, ..one });
            }
        }
        let (all, good) = (self.survey(shard, None), self.survey(shard, Some(mark)));
        let gone = good.without(&all).filter_map(|name| {
            let mut parts = name.splitn(3, '/').map(str::to_owned);
            Some((parts.next()?, parts.next()?, parts.next()?))
        });
        for place in gone {
            let (organization_id, kind, id) = place.clone();
            found.entry(place).or_insert_with(|| {
                let key = Some(ResourceKey { organization_id, kind, id });
                let gone = VersionedResource { key, n: all.to(), tightens: true, ..Default::default() };
                VersionedResource { tightens: takes_away(&gone), ..gone }
            });
        }
        found.into_values().collect()
    }

    /// A log to append to: the present one written afresh, or what a mark says, which takes its place once it has what
    /// follows.
    pub(super) fn go_on(&mut self, shard: Shard) -> io::Result<Log> {
        let Some(base) = self.bases.get(shard.index()).cloned().flatten() else { return self.resume(shard) };
        let mut log = self.begin(shard, true)?;
        let newest = self.survey(shard, Some(&base));
        self.replay(shard, Some(&base), newest, |part| self.write(shard, &mut log, part))?;
        Ok(log)
    }
}

#[cfg(test)]
#[path = "generation_tests.rs"]
mod tests;
