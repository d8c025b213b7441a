//! Calls whose rates and slots are taken from what this process has in advance.

use std::sync::atomic::Ordering;

use redis::{Cmd, Value};
use smallvec::SmallVec;
use tidegate_types::OrganizationId;

use super::Grants;
use super::rates::{COVER, Exchange, Told};
use super::traffic::micros;
use crate::admit::{Lease, RateScope, Rates, ScopeLimits};
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

/// The same for slots.
pub(super) fn slots(
    scripts: &Scripts,
    process: u64,
    organization: OrganizationId,
    exchange: &super::slots::Exchange,
    lease_ms: u64,
) -> Cmd {
    let (names, rows) = (Names::of(organization), &exchange.rows);
    let mut command = scripts.slots.call(2 * rows.len(), 4 + 4 * rows.len());
    for row in rows {
        bytes(&mut command, &names.slots(row.scope));
        bytes(&mut command, &names.slot_numbers(row.scope));
    }
    command.arg(process).arg(exchange.number).arg(exchange.share).arg(lease_ms);
    for row in rows {
        command.arg(row.had).arg(row.keep).arg(row.want).arg(row.limit);
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
        micros(self.began.elapsed())
    }

    /// Takes a call's units and slots, all or nothing.
    pub(in crate::redis) fn take_rates(
        &self,
        id: OrganizationId,
        buckets: &[Bucket],
        scopes: &[ScopeLimits],
    ) -> Option<Rates> {
        let (organization, now) = (self.organization(id), self.monotonic());
        let mut organization = organization.lock();
        let fits = organization.slots.fits(scopes, now);
        let taken = if fits { organization.rates.take(buckets, now) } else { None };
        if taken.is_some() {
            organization.slots.take(scopes);
        }
        if organization.slots.is_low(scopes, now) || organization.rates.is_low(buckets, now) {
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

    /// The store has refused a call for its rates or slots: what is here of them is to go back. Whether
    /// there is any.
    pub(in crate::redis) fn give_rates_back(
        &self,
        id: OrganizationId,
        buckets: &[Bucket],
        scopes: &[ScopeLimits],
    ) -> bool {
        if !self.settings.rates {
            return false;
        }
        let organization = self.organization(id);
        let mut organization = organization.lock();
        let now = self.monotonic();
        organization.rates.refused(buckets, now) | organization.slots.refused(scopes, now)
    }

    /// Calls in flight whose slots were had in advance.
    pub(in crate::redis) fn slots_used(&self, id: OrganizationId, scope: RateScope) -> u32 {
        self.organization(id).lock().slots.used(scope)
    }

    /// Takes in what the store answered for slots; without an answer their leases run out.
    pub(super) fn take_slots_in(
        &self,
        id: OrganizationId,
        exchange: &super::slots::Exchange,
        reply: Option<&Value>,
    ) {
        let Some(Value::Array(parts)) = reply else { return };
        let granted: Option<SmallVec<[u32; 4]>> =
            parts.iter().map(|part| u32::try_from(number(part)?).ok()).collect();
        if let Some(granted) = granted.filter(|granted| granted.len() == exchange.rows.len()) {
            self.organization(id).lock().slots.answered(exchange, &granted);
        }
    }

    /// A call that was admitted by grants has ended.
    pub(in crate::redis) fn ended(&self, lease: &Lease, used: Option<u64>) {
        let organization = self.organization(lease.organization_id);
        let mut organization = organization.lock();
        organization.slots.release(&lease.scopes);
        if let Some(used) = used {
            organization.rates.correct(&lease.scopes, lease.tokens, used);
        }
        self.make_due(lease.organization_id, &mut organization);
    }
}
