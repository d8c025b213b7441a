//! Calls whose rates are taken from what this process has of their buckets in advance.

use std::sync::atomic::Ordering;

use redis::{Cmd, Value};
use smallvec::SmallVec;
use tidegate_types::OrganizationId;

use super::Grants;
use super::rates::{COVER, Exchange, Told};
use crate::admit::{Lease, Rates};
use crate::redis::command::{Bucket, bytes};
use crate::redis::decide::number;
use crate::redis::names::Names;
use crate::redis::script::Scripts;

/// An exchange as a call of the script.
pub(super) fn command(
    scripts: &Scripts,
    process: u64,
    organization: OrganizationId,
    exchange: &Exchange,
) -> Cmd {
    let (names, rows) = (Names::of(organization), &exchange.rows);
    let mut command = scripts.rates.call(2 * rows.len(), 4 + 6 * rows.len());
    for row in rows {
        let (kind, scope) = row.at;
        bytes(&mut command, &names.bucket(kind, scope));
        bytes(&mut command, &names.advances(kind, scope));
    }
    command.arg(process).arg(exchange.number).arg(exchange.share).arg(COVER);
    for row in rows {
        command.arg(row.keep).arg(row.back).arg(row.change).arg(row.want).arg(row.least).arg(row.floor);
    }
    command
}

fn read(reply: &Value, rows: usize) -> Option<SmallVec<[Told; 4]>> {
    let Value::Array(parts) = reply else { return None };
    let numbers = parts.iter().map(number).collect::<Option<SmallVec<[i64; 16]>>>()?;
    let (_now, figures) = numbers.split_first()?;
    let told = figures.chunks_exact(3).map(|figures| match *figures {
        [granted, lacking, covered] => Some(Told { granted, lacking, covered }),
        _ => None,
    });
    if figures.len() == 3 * rows { told.collect() } else { None }
}

impl Grants {
    /// This process's monotonic clock, microseconds.
    pub(super) fn monotonic(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Takes a call's units, all or nothing.
    pub(in crate::redis) fn take_rates(&self, id: OrganizationId, buckets: &[Bucket]) -> Option<Rates> {
        let organization = self.organization(id);
        let mut organization = organization.lock();
        let taken = organization.rates.take(buckets, self.monotonic());
        if organization.rates.is_low(buckets, self.monotonic()) {
            self.hungry.notify_one();
        }
        self.make_due(id, &mut organization);
        self.rated.fetch_add(u64::from(taken.is_some()), Ordering::Relaxed);
        taken
    }

    /// Notes in the buckets what is here of them.
    pub(in crate::redis) fn note_here(&self, id: OrganizationId, buckets: &mut [Bucket]) {
        if !self.settings.rates || buckets.is_empty() {
            return;
        }
        let organization = self.organization(id);
        let (organization, now) = (organization.lock(), self.monotonic());
        for bucket in buckets {
            bucket.here = organization.rates.here(bucket, now);
        }
    }

    /// Takes in what the store answered; without an answer what was kept decays.
    pub(super) fn take_rates_in(&self, id: OrganizationId, exchange: &Exchange, reply: Option<&Value>) {
        if let Some(told) = reply.and_then(|reply| read(reply, exchange.rows.len())) {
            self.organization(id).lock().rates.answered(exchange, &told);
        }
    }

    /// The store has refused a call for its rates: what is here of them is to go back. Whether there is any.
    pub(in crate::redis) fn give_rates_back(&self, id: OrganizationId, buckets: &[Bucket]) -> bool {
        if !self.settings.rates {
            return false;
        }
        let organization = self.organization(id);
        let mut organization = organization.lock();
        organization.rates.refused(buckets, self.monotonic())
    }

    /// A call that was admitted by grants has ended.
    pub(in crate::redis) fn correct(&self, lease: &Lease, used: Option<u64>) {
        let Some(used) = used else { return };
        let organization = self.organization(lease.organization_id);
        let mut organization = organization.lock();
        organization.rates.correct(&lease.scopes, lease.tokens, used);
        self.make_due(lease.organization_id, &mut organization);
    }
}
