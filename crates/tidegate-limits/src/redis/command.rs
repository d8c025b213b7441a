//! Requests to the scripts as commands. Decides nothing; the order of keys and arguments is the
//! scripts' own (see the head of each).

use redis::Cmd;
use tidegate_types::OrganizationId;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, Timestamp};

use super::names::{Name, Names, budget_field, member};
use super::script::Scripts;
use crate::admit::{Lease, RateScope, ScopeLimits};
use crate::budget::{End, Hold, Settlement};
use crate::error::RateKind;
use crate::{expiry, rate};

/// A bucket that a call draws on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    pub(super) kind: RateKind,
    pub(super) scope: RateScope,
    pub(super) per_minute: u32,
    pub(super) units: u64,
    /// TAT that the bucket has at least, microseconds (0: none).
    pub(super) floor: i64,
    /// What this process has of it in advance, microseconds.
    pub(super) here: i64,
}

/// The buckets of a call, in the order of the script's replies.
pub(super) fn buckets_of(
    scopes: &[ScopeLimits],
    tokens: u64,
    floor: impl Fn(RateScope) -> i64,
) -> smallvec::SmallVec<[Bucket; 6]> {
    let mut buckets = smallvec::SmallVec::new();
    for entry in scopes {
        let kinds = [
            (RateKind::Requests, entry.limits.requests_per_minute, 1),
            (RateKind::Tokens, entry.limits.tokens_per_minute, tokens),
        ];
        for (kind, limit, units) in kinds {
            if let Some(per_minute) = limit {
                buckets.push(Bucket {
                    kind,
                    scope: entry.scope,
                    per_minute,
                    units,
                    floor: floor(entry.scope),
                    here: 0,
                });
            }
        }
    }
    buckets
}

/// Scopes that limit calls in flight.
pub(super) fn slots_of(scopes: &[ScopeLimits]) -> impl Iterator<Item = (RateScope, u32)> + Clone + '_ {
    scopes.iter().filter_map(|entry| Some((entry.scope, entry.limits.concurrency?)))
}

pub(super) fn bytes(command: &mut Cmd, name: &Name) {
    command.arg(name.as_slice());
}

/// Milliseconds for PEXPIREAT, rounded up; 0: never.
pub(super) fn expiry_ms(micros: i64) -> u64 {
    if micros == expiry::NEVER { 0 } else { rate::millis_up(micros).max(1) }
}

/// A time in milliseconds, rounded up, as a score that a double holds exactly.
pub(super) fn score_ms(at: Timestamp) -> u64 {
    rate::millis_up(at.as_micros()).min(1 << 53)
}

/// What one admission asks of the script.
pub(super) struct Question<'a> {
    pub(super) organization: OrganizationId,
    pub(super) run_id: &'a str,
    pub(super) hold: Option<&'a Hold>,
    pub(super) buckets: &'a [Bucket],
    pub(super) scopes: &'a [ScopeLimits],
    pub(super) call: &'a [u8],
    /// Who places the hold; empty: nobody in particular.
    pub(super) mark: &'a [u8],
    pub(super) grace_micros: i64,
    pub(super) lease_ms: u64,
}

impl Question<'_> {
    pub(super) fn command(&self, scripts: &Scripts) -> Cmd {
        let names = Names::of(self.organization);
        let slots = slots_of(self.scopes);
        let slot_count = slots.clone().count();
        let budgets = self.hold.map_or(0, |hold| hold.budgets.len());
        let keys = self.hold.map_or(0, |_| 4 + budgets) + self.buckets.len() + slot_count;
        let arguments = 12 + 6 * budgets + 2 * self.buckets.len() + slot_count;
        let mut command = scripts.admit.call(keys, arguments);
        let fields = self.hold.map(|hold| keys_of_hold(&mut command, &names, hold));
        for bucket in self.buckets {
            bytes(&mut command, &names.bucket(bucket.kind, bucket.scope));
        }
        for (scope, _) in slots.clone() {
            bytes(&mut command, &names.slots(scope));
        }
        match self.hold {
            Some(_) => command.arg(budgets),
            None => command.arg("-1"),
        };
        command.arg(self.buckets.len()).arg(slot_count);
        if let (Some(hold), Some(fields)) = (self.hold, fields) {
            self.arguments_of_hold(&mut command, hold, &fields);
        }
        for bucket in self.buckets {
            command.arg(rate::cost(bucket.units, bucket.per_minute)).arg(bucket.floor);
        }
        if slot_count > 0 {
            command.arg(self.call).arg(self.lease_ms);
            for (_, limit) in slots {
                command.arg(limit);
            }
        }
        command
    }

    fn arguments_of_hold(&self, command: &mut Cmd, hold: &Hold, fields: &Fields) {
        command
            .arg(hold.epoch)
            .arg(self.run_id)
            .arg(hold.step)
            .arg(score_ms(hold.deadline))
            .arg(expiry_ms(expiry::of_hold(&hold.budgets, hold.deadline, self.grace_micros)))
            .arg(member(hold.call_id, hold.attempt).as_slice())
            .arg(self.mark);
        for (part, field) in hold.budgets.iter().zip(fields) {
            command
                .arg(field.as_slice())
                .arg(u8::from(part.hard))
                .arg(part.amount.get())
                .arg(part.limit.get())
                .arg(part.limit_revision)
                .arg(expiry_ms(expiry::of_window(part.window, hold.deadline, self.grace_micros)));
        }
    }
}

pub(super) type Fields = smallvec::SmallVec<[Name; 4]>;

fn keys_of_hold(command: &mut Cmd, names: &Names, hold: &Hold) -> Fields {
    let member = member(hold.call_id, hold.attempt);
    let fields = hold.budgets.iter().map(|part| budget_field(part.budget_id, part.window)).collect();
    common_keys(command, names, &member, &fields);
    fields
}

pub(super) fn common_keys(command: &mut Cmd, names: &Names, member: &Name, fields: &Fields) {
    bytes(command, &names.epoch());
    bytes(command, &names.hold(member));
    bytes(command, &names.deadlines());
    bytes(command, &names.windows());
    for field in fields {
        bytes(command, &names.budget(field));
    }
}

/// The settlement of a hold.
pub(super) fn settle(
    scripts: &Scripts,
    run_id: &str,
    settlement: &Settlement,
    grace_micros: i64,
    ended_micros: i64,
) -> Cmd {
    let (ending, cost) = match settlement.end {
        End::Spent(cost) => ("s", cost.get()),
        End::Void => ("v", 0),
        End::Unresolved => ("u", 0),
    };
    let mut command = scripts.settle.call(4 + settlement.budgets.len(), 7 + 2 * settlement.budgets.len());
    let member = member(settlement.call_id, settlement.attempt);
    let fields = settlement.budgets.iter().map(|(budget, window)| budget_field(*budget, *window)).collect();
    common_keys(&mut command, &Names::of(settlement.organization_id), &member, &fields);
    command
        .arg(run_id)
        .arg(settlement.epoch)
        .arg(ending)
        .arg(cost)
        .arg(rate::millis_up(grace_micros))
        .arg(member.as_slice())
        .arg(rate::millis_up(expiry::of_end(settlement.epoch, ended_micros)));
    for ((_, window), field) in settlement.budgets.iter().zip(&fields) {
        command.arg(field.as_slice()).arg(expiry_ms(expiry::of_window(*window, Timestamp::default(), 0)));
    }
    command
}

/// Turns a hold into unresolved if it is overdue. `fields` are those of the hold.
pub(super) fn overdue(
    scripts: &Scripts,
    run_id: &str,
    organization: OrganizationId,
    member: &Name,
    fields: &Fields,
    grace_micros: i64,
) -> Cmd {
    let mut command = scripts.settle.call(4 + fields.len(), 7 + 2 * fields.len());
    common_keys(&mut command, &Names::of(organization), member, fields);
    command
        .arg(run_id)
        .arg("0")
        .arg("r")
        .arg("0")
        .arg(rate::millis_up(grace_micros))
        .arg(member.as_slice())
        .arg("0");
    for field in fields {
        command.arg(field.as_slice()).arg("0");
    }
    command
}

/// Gives back what a call was admitted with; `None` when there is nothing in Redis.
pub(super) fn release(scripts: &Scripts, lease: &Lease, tokens_used: Option<u64>) -> Option<Cmd> {
    let slots = slots_of(&lease.scopes);
    let slot_count = slots.clone().count();
    let corrections: smallvec::SmallVec<[(RateScope, i64); 3]> = lease
        .scopes
        .iter()
        .filter_map(|entry| {
            let limit = entry.limits.tokens_per_minute?;
            let change = rate::debt(tokens_used?, limit) - rate::cost(lease.tokens, limit);
            (change != 0).then_some((entry.scope, change))
        })
        .collect();
    if slot_count + corrections.len() == 0 {
        return None;
    }
    let names = Names::of(lease.organization_id);
    let mut command = scripts.release.call(slot_count + 2 * corrections.len(), 3 + corrections.len());
    for (scope, _) in slots {
        bytes(&mut command, &names.slots(scope));
    }
    for (scope, _) in &corrections {
        bytes(&mut command, &names.bucket(RateKind::Tokens, *scope));
    }
    for (scope, _) in &corrections {
        bytes(&mut command, &names.advances(RateKind::Tokens, *scope));
    }
    command.arg(slot_count).arg(lease.call_id.ulid_bytes().as_slice()).arg(super::grants::COVER);
    for (_, change) in corrections {
        command.arg(change);
    }
    Some(command)
}

/// Renews the slots of a running call.
pub(super) fn renew(
    scripts: &Scripts,
    organization: OrganizationId,
    call: &[u8],
    scopes: &[RateScope],
    lease_ms: u64,
) -> Cmd {
    let names = Names::of(organization);
    let mut command = scripts.renew.call(scopes.len(), 2);
    for scope in scopes {
        bytes(&mut command, &names.slots(*scope));
    }
    command.arg(call).arg(lease_ms);
    command
}

/// Reads counters.
pub(super) fn balances(
    scripts: &Scripts,
    run_id: &str,
    organization: OrganizationId,
    asked: &[(BudgetId, Window)],
) -> Cmd {
    let names = Names::of(organization);
    let mut command = scripts.balances.call(2 + asked.len(), 1);
    bytes(&mut command, &names.epoch());
    bytes(&mut command, &names.windows());
    for (budget, window) in asked {
        bytes(&mut command, &names.budget(&budget_field(*budget, *window)));
    }
    command.arg(run_id);
    command
}
