//! The boot guard: what was applied is on trial until the node has served well for a while with it. A node whose
//! processes die with something on trial starts by the last generation that passed, and at last holds back what they died
//! of: its own copy of the configuration, and the feed, must not keep it in a loop of crashes.
//!
//! One death is none of the configuration's as a rule: `kill -9`, a machine that has no memory left. Everything is
//! tried once more then. After two in a row, with nothing that passed between them, what was good is started from, and the
//! rest fetched and tried anew; after three it is held back, for a pause that doubles, since they may have been chance all
//! the same. Two deaths in the middle of applying one shard are none: its changes are held back until newer ones come.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidegate_types::Shard;

use super::cache::{Cache, Mark};
use crate::error::NodeError;
use crate::state::State;

pub(super) const FILE: &str = "trial";
const APPLYING: &str = "applying";
/// Generations that are kept.
const GENERATIONS: usize = 3;
/// Deaths in a row after which the last good generation is started from.
const FALLS_BACK: u64 = 2;
/// Deaths in a row after which what is behind it is held back, unless it is known before which shard it was.
const HOLDS_BACK: u64 = 3;
/// The longest pause is 2 to the power of this as long as a trial: about an hour.
const MOST_DOUBLINGS: u32 = 7;

/// What the disk knows of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    /// Another one is given everything once more.
    release: String,
    /// A process runs, or has died.
    running: bool,
    /// In a row, each with something on trial.
    deaths: u64,
    /// The newest first.
    generations: Vec<Vec<Mark>>,
    held: Vec<Held>,
    /// The shards of which the last process may have died, each with the change up to which.
    suspects: Vec<(usize, u64)>,
}

/// Changes of a shard that nodes died of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    shard: usize,
    /// Up to this change.
    to: u64,
    /// They are on trial once more: newer ones have come, or the pause was over.
    tried: bool,
    /// How often they were held back in a row, where nobody knows that it was them: they are tried again after a pause,
    /// twice as long each time. 0: they are waited with until newer ones come.
    pauses: u32,
}

/// A shard that is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Up to this change.
    pub(crate) to: u64,
    /// And for so many times as long as a trial takes; `None`: until newer changes come.
    pub(crate) trials: Option<u32>,
}

/// How a shard is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// By everything that the disk has.
    Whole,
    /// By one of these, the first that can be read; by nothing where the list is empty.
    Good(Vec<Mark>),
}

/// Everything about trials that outlives a process. Used by one thread.
pub(crate) struct Trial {
    state: Arc<State>,
    record: Record,
    candidate: Vec<Mark>,
    seen: Arc<Guarded>,
}

/// What can be seen of trials from moment to moment.
#[derive(Debug, Default)]
pub(crate) struct Guarded {
    /// In a row, each with something on trial.
    pub(crate) deaths: AtomicU64,
    /// How far each shard has passed.
    passed: Mutex<Vec<Mark>>,
}

impl Guarded {
    /// Shards that hold more than has passed; `n`: how far each is.
    pub(crate) fn on_trial(&self, n: impl Iterator<Item = u64>) -> u64 {
        let passed = self.passed.lock();
        let of = |shard| passed.iter().find(|mark| mark.shard == shard).map_or(0, |mark| mark.n);
        n.enumerate().filter(|(shard, n)| *n > of(*shard)).count() as u64
    }
}

impl Trial {
    /// Looks how the process before this one ended, and notes that this one runs.
    pub(crate) fn begin(state: Arc<State>, cache: &Cache, release: &str) -> Result<Self, NodeError> {
        let read = state.read(FILE).unwrap_or_else(|error| {
            tracing::warn!(%error, "what is known of good configurations is damaged: there is none");
            None
        });
        let mut record: Record =
            read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let applying = Applying::take(&state);
        if record.release != release {
            record = Record {
                release: release.to_owned(),
                generations: std::mem::take(&mut record.generations),
                ..Record::default()
            };
        } else if std::mem::take(&mut record.running) {
            record.died(applying, |shard| cache.newest(shard));
        } else {
            record.deaths = 0;
        }
        record.running = true;
        let trial = Self { state, record, candidate: Vec::new(), seen: Arc::default() };
        trial.show();
        trial.write()?;
        Ok(trial)
    }

    /// How a shard is started from.
    pub(crate) fn start(&self, shard: Shard) -> Start {
        self.record.start(shard)
    }

    /// Whether a shard is held back.
    pub(crate) fn held(&self, shard: Shard) -> Option<Hold> {
        let held = self.record.held.iter().find(|held| held.shard == shard.index() && !held.tried)?;
        let trials = held.pauses.checked_sub(1).map(|before| 1 << before.min(MOST_DOUBLINGS));
        Some(Hold { to: held.to, trials })
    }

    /// Nothing good is known of a shard that was to be held back: it is started from as if nothing had happened.
    pub(crate) fn give_up(&mut self, shard: Shard) {
        self.record.held.retain(|held| held.shard != shard.index());
    }

    /// What can be seen of it.
    pub(crate) fn seen(&self) -> Arc<Guarded> {
        Arc::clone(&self.seen)
    }

    fn show(&self) {
        self.seen.deaths.store(self.record.deaths, Ordering::Relaxed);
        *self.seen.passed.lock() = self.record.generations.first().cloned().unwrap_or_default();
    }

    /// From now on that is on trial which was loaded.
    pub(crate) fn loaded(&mut self, cache: &mut Cache) {
        self.candidate = cache.marks();
        self.want(cache);
    }

    /// The node has served well for a whole period since this was said last, or since it began to serve.
    pub(crate) fn healthy(&mut self, cache: &mut Cache) -> Result<(), NodeError> {
        let passed = std::mem::replace(&mut self.candidate, cache.marks());
        let is_news = self.record.generations.first() != Some(&passed) && !passed.is_empty();
        let n = |shard| passed.iter().find(|mark| mark.shard == shard).map_or(0, |mark| mark.n);
        let had_died = self.record.deaths > 0;
        self.record.passes(n);
        let is_over = had_died && self.record.deaths == 0;
        if is_news {
            self.record.held.retain(|held| !held.tried || n(held.shard) < held.to);
            self.record.generations.insert(0, passed);
            self.record.generations.truncate(GENERATIONS);
        }
        if is_news || is_over {
            self.write()?;
            self.show();
        }
        self.want(cache);
        Ok(())
    }

    /// What was held back of a shard, or what is newer, is about to be applied.
    pub(crate) fn tried(&mut self, shard: Shard) -> Result<(), NodeError> {
        let held = self.record.held.iter_mut().filter(|held| held.shard == shard.index());
        held.for_each(|held| held.tried = true);
        self.write()
    }

    /// The process ends in order: what is on trial stays so, and nobody died of it.
    pub(crate) fn end(&mut self) -> Result<(), NodeError> {
        (self.record.running, self.record.deaths, self.record.suspects) = (false, 0, Vec::new());
        self.write()
    }

    fn want(&self, cache: &mut Cache) {
        cache.want(self.record.generations.iter().flatten().chain(&self.candidate));
    }

    fn write(&self) -> Result<(), NodeError> {
        let bytes = serde_json::to_vec(&self.record).map_err(|error| NodeError::state(FILE, error))?;
        self.state.write(FILE, &bytes)
    }
}

impl Record {
    /// The process before this one died. `applying`: what of, if it was in the middle of it; `newest`: what the disk has.
    fn died(&mut self, applying: Option<(Shard, u64)>, newest: impl Fn(Shard) -> u64) {
        let good = |shard: Shard| {
            self.generations.first().map(|marks| {
                let mark = marks.iter().find(|mark| mark.shard == shard.index());
                mark.map_or(0, |mark| mark.n)
            })
        };
        let is_held = |shard: Shard| self.held.iter().any(|held| held.shard == shard.index() && !held.tried);
        let is_on_trial =
            |shard: &Shard| !is_held(*shard) && good(*shard).is_some_and(|n| n < newest(*shard));
        let suspects: Vec<(Shard, u64)> = match applying {
            Some(one) => vec![one],
            None => Shard::all().filter(is_on_trial).map(|shard| (shard, newest(shard))).collect(),
        };
        if suspects.is_empty() {
            return;
        }
        self.deaths += 1;
        self.suspects = suspects.iter().map(|(shard, to)| (shard.index(), *to)).collect();
        let deaths = self.deaths;
        for (shard, to) in suspects {
            let to = to.max(newest(shard));
            let known = self.held.iter_mut().find(|held| held.shard == shard.index());
            let is_named = applying.is_some();
            let is_enough = deaths >= if is_named { FALLS_BACK } else { HOLDS_BACK };
            match known {
                // They died of this shard before.
                Some(held) => {
                    (held.to, held.tried) = (to.max(held.to), false);
                    held.pauses = if is_named || held.pauses == 0 { 0 } else { held.pauses + 1 };
                }
                None if is_enough => {
                    let pauses = u32::from(!is_named);
                    self.held.push(Held { shard: shard.index(), to, tried: false, pauses });
                }
                None => {}
            }
        }
    }

    /// The node has served well with every shard at `n`. The row of deaths ends when that has what it died of, or holds
    /// it back: a node that only waited to be sent it again is as ill as before.
    fn passes(&mut self, n: impl Fn(usize) -> u64) {
        let held = &self.held;
        let is_held = |shard| held.iter().any(|held| held.shard == shard && !held.tried);
        self.suspects.retain(|(shard, to)| !is_held(*shard) && n(*shard) < *to);
        if self.suspects.is_empty() {
            self.deaths = 0;
        }
    }

    fn start(&self, shard: Shard) -> Start {
        let is_held = self.held.iter().any(|held| held.shard == shard.index() && !held.tried);
        let falls_back =
            self.deaths >= FALLS_BACK && self.suspects.iter().any(|(suspect, _)| *suspect == shard.index());
        if self.generations.is_empty() || !(falls_back || is_held) {
            return Start::Whole;
        }
        let marks =
            self.generations.iter().map(|marks| marks.iter().find(|mark| mark.shard == shard.index()));
        // One that had nothing of the shard is as good as any.
        Start::Good(marks.map_while(|mark| mark.cloned()).collect())
    }
}

/// Which shard is being applied, for whoever starts after a death in the middle of it. Not made durable: what a machine
/// loses that dies itself is no matter here.
pub(crate) struct Applying(Option<File>);

impl Applying {
    /// Without the file nothing is noted.
    pub(crate) fn open(state: &State) -> Self {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(state.path(APPLYING))
            .inspect_err(|error| tracing::warn!(%error, "what is being applied cannot be noted"));
        let applying = Self(file.ok());
        applying.note(&[0]);
        applying
    }

    /// What was being applied when the process before this one died.
    fn take(state: &State) -> Option<(Shard, u64)> {
        let bytes = std::fs::read(state.path(APPLYING)).ok()?;
        let [1, shard, to @ ..] = bytes.as_slice() else { return None };
        Some((Shard::new(*shard)?, u64::from_be_bytes(to.try_into().ok()?)))
    }

    /// Notes it while `work` runs.
    pub(crate) fn during<R>(&self, shard: Shard, to: u64, work: impl FnOnce() -> R) -> R {
        let mut note = [0; 10];
        note[0] = 1;
        note[1] = shard.index() as u8;
        note[2..].copy_from_slice(&to.to_be_bytes());
        self.note(&note);
        let result = work();
        self.note(&[0]);
        result
    }

    fn note(&self, bytes: &[u8]) {
        let written = self.0.as_ref().map_or(Ok(()), |file| file.write_all_at(bytes, 0));
        if let Err(error) = written {
            tracing::debug!(%error, "what is being applied could not be noted");
        }
    }
}

#[cfg(test)]
mod tests;
