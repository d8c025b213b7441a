//! What the disk has becomes configuration, at the start.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tidegate_policy::{Config, Part, Revocation};
use tidegate_proto::config::Delta;
use tidegate_types::{OrganizationId, Shard};

use super::apply;
use super::cache::{Cache, Kept, Mark};
use super::foreign::Foreign;
use super::trial::{Hold, Start, Trial};
use super::withheld::{HeldBack, withhold};
use crate::settings::{Probe, Seen};

/// A start at work.
pub(crate) struct Load<'a> {
    pub(crate) config: &'a Config,
    pub(crate) trial: Trial,
    /// How long a trial takes.
    pub(crate) period: Duration,
    pub(crate) probe: &'a Probe,
    /// The node began by a copy of the configuration.
    pub(crate) begun_by_copy: bool,
    pub(crate) foreign: Foreign,
    pub(crate) held: HeldBack,
    /// Organizations with budgets.
    pub(crate) touched: BTreeSet<OrganizationId>,
    /// Keys that what is not loaded revokes.
    pub(crate) revoked: Vec<Revocation>,
}

impl Load<'_> {
    /// Loads one shard, by everything that the disk has or by what was good.
    pub(crate) fn shard(&mut self, cache: &mut Cache, shard: Shard) -> Kept {
        let held = self.trial.held(shard);
        let good = match self.trial.start(shard) {
            Start::Whole => None,
            Start::Good(marks) => Some(marks),
        };
        if let Some(marks) = good {
            if let Some(kept) = self.good(cache, shard, &marks) {
                held.into_iter().for_each(|hold| self.hold(shard, hold));
                return kept;
            }
            tracing::error!(shard = shard.index(), "no good generation of the shard can be read");
        }
        match held {
            // The node died of what is not on the disk.
            Some(hold) if hold.to > cache.newest(shard) => self.hold(shard, hold),
            // It is the copy's: nobody can send it anything else, and all other tenants would go down with it.
            Some(hold) if self.begun_by_copy && hold.trials.is_none() && shard != Shard::SYSTEM => {
                tracing::error!(
                    shard = shard.index(),
                    to = hold.to,
                    "the node died twice of a shard of the copy by which it began: it starts without the organizations in it"
                );
                self.hold(shard, hold);
                return Kept::Nothing;
            }
            Some(_) => self.trial.give_up(shard),
            None => {}
        }
        let mut first = true;
        cache.kept(shard, |part| self.take(shard, part, std::mem::take(&mut first)))
    }

    fn hold(&self, shard: Shard, hold: Hold) {
        self.held.hold(shard, hold.to, hold.trials.map(|trials| self.period.saturating_mul(trials)));
    }

    fn good(&mut self, cache: &mut Cache, shard: Shard, marks: &[Mark]) -> Option<Kept> {
        if marks.is_empty() {
            // There was nothing of the shard yet.
            return Some(Kept::Nothing);
        }
        for mark in marks {
            let mut first = true;
            let kept = cache.kept_by(shard, mark, |part| self.take(shard, part, std::mem::take(&mut first)));
            let Some(kept) = kept else { continue };
            let behind = cache.behind(shard, mark);
            tracing::error!(
                shard = shard.index(),
                from = mark.n,
                to = cache.newest(shard),
                left = behind.len(),
                "the node died with configuration on trial: it starts by the last that was good, without these changes"
            );
            self.revoked.append(&mut withhold(self.config, shard, &behind).revoked);
            return Some(kept);
        }
        None
    }

    /// Whether it could be taken.
    fn take(&mut self, shard: Shard, part: &Delta, first: bool) -> bool {
        self.foreign.note(shard, part, first);
        let changes = apply::changes(shard, &part.resources, self.probe);
        let touched = apply::with_budgets(&changes);
        let as_part = Part::Snapshot { first, last: part.last };
        let applied = catch_unwind(AssertUnwindSafe(|| {
            self.probe.see(Seen::Part(part));
            self.config.apply(shard, changes, as_part)
        }));
        self.touched.extend(touched);
        applied.is_ok()
    }
}
