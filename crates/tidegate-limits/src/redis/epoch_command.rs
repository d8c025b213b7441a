//! Commands that write an epoch, and the one that asks for it. The order of keys and arguments is the script's own.

use redis::Cmd;
use tidegate_types::OrganizationId;
use tidegate_types::Timestamp;
use tidegate_types::resource::OpeningBalance;
use tidegate_types::window::Window;

use super::command::{bytes, common_keys, expiry_ms, score_ms};
use super::names::{Names, budget_field, member};
use super::script::Scripts;
use crate::budget::Hold;
use crate::expiry;

/// A step that concerns the marker only.
#[derive(Debug, Clone, Copy)]
pub(super) enum EpochStep {
    Begin,
    Finish,
    Close,
}

/// One node's permit to write one epoch.
pub(super) struct EpochWriter<'a> {
    pub(super) scripts: &'a Scripts,
    pub(super) organization: OrganizationId,
    pub(super) epoch: u64,
    pub(super) run_id: &'a str,
    /// Unique among all that ever write an epoch of the organization. Ends in `.w`: the epoch has a record of the
    /// windows that it began, which those of earlier releases have not.
    pub(super) nonce: &'a str,
}

/// Asks which epoch is open.
pub(super) fn present(scripts: &Scripts, run_id: &str, organization: OrganizationId) -> Cmd {
    let mut command = scripts.present.call(1, 1);
    bytes(&mut command, &Names::of(organization).epoch());
    command.arg(run_id);
    command
}

impl EpochWriter<'_> {
    fn head(&self, command: &mut Cmd, step: &str) {
        command.arg(step).arg(self.epoch).arg(self.run_id).arg(self.nonce);
    }

    pub(super) fn step(&self, step: EpochStep) -> Cmd {
        let names = Names::of(self.organization);
        let mut command = self.scripts.epoch.call(3, 4);
        bytes(&mut command, &names.epoch());
        bytes(&mut command, &names.deadlines());
        bytes(&mut command, &names.windows());
        let step = match step {
            EpochStep::Begin => "begin",
            EpochStep::Finish => "finish",
            EpochStep::Close => "close",
        };
        self.head(&mut command, step);
        command
    }

    pub(super) fn balance(&self, balance: &OpeningBalance) -> Cmd {
        let names = Names::of(self.organization);
        let window = Window { start: balance.window_start, end: balance.window_end };
        let mut command = self.scripts.epoch.call(3, 7);
        bytes(&mut command, &names.epoch());
        bytes(&mut command, &names.budget(&budget_field(balance.budget_id, window)));
        bytes(&mut command, &names.windows());
        self.head(&mut command, "balance");
        command.arg(balance.spent.get()).arg(balance.unresolved.get()).arg(expiry_ms(expiry::of_window(
            window,
            Timestamp::default(),
            0,
        )));
        command
    }

    pub(super) fn hold(&self, hold: &Hold, grace_micros: i64) -> Cmd {
        let mut command = self.scripts.epoch.call(4 + hold.budgets.len(), 7 + 3 * hold.budgets.len());
        let member = member(hold.call_id, hold.attempt);
        let fields = hold.budgets.iter().map(|part| budget_field(part.budget_id, part.window)).collect();
        common_keys(&mut command, &Names::of(self.organization), &member, &fields);
        self.head(&mut command, "hold");
        command
            .arg(score_ms(hold.deadline))
            .arg(expiry_ms(expiry::of_hold(&hold.budgets, hold.deadline, grace_micros)))
            .arg(member.as_slice());
        for (part, field) in hold.budgets.iter().zip(&fields) {
            command.arg(field.as_slice()).arg(part.amount.get()).arg(expiry_ms(expiry::of_window(
                part.window,
                hold.deadline,
                grace_micros,
            )));
        }
        command
    }
}
