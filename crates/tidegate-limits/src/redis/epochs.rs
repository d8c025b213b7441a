//! Opening and closing an organization's epoch, and reading its counters.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, NanoUsd, OrganizationId};

use super::RedisStore;
use super::command;
use super::decide::{number, spread};
use super::epoch_command::{self, EpochStep, EpochWriter};
use super::link::Link;
use super::shard::Shard;
use crate::budget::Balance;
use crate::error::LimitError;

/// Longest time for one trip; these calls are rare and may carry a lot.
const TRIP: Duration = Duration::from_secs(2);
/// Most writes in one trip.
const BATCH: usize = 200;

impl RedisStore {
    pub(crate) async fn present_epoch(&self, organization: OrganizationId) -> Result<u64, LimitError> {
        let shard = self.route.of(organization);
        let link = shard.breaker.front(spread(organization)).ok_or(LimitError::Away)?;
        self.seen.insert(organization);
        let command = epoch_command::present(&self.scripts, link.run_id(), organization);
        let found = shard.breaker.ask(&link, &command).await.map_err(|_| LimitError::Away)?;
        number(&found).map(i64::unsigned_abs).ok_or(LimitError::Away)
    }

    pub(crate) async fn open_epoch(
        &self,
        organization: OrganizationId,
        epoch: u64,
        balances: &[OpeningBalance],
        holds: &[OpenHold],
    ) -> Result<(), LimitError> {
        self.grants.end_before(organization, epoch);
        let shard = self.route.of(organization);
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let permit = self.permits.fetch_add(1, Ordering::Relaxed);
        let nonce = format!("{:x}.{permit:x}.w", self.seed);
        let writer =
            EpochWriter { scripts: &self.scripts, organization, epoch, run_id: link.run_id(), nonce: &nonce };
        match step(&shard, &link, &[writer.step(EpochStep::Begin)]).await? {
            Step::Already => return Ok(()),
            Step::Done => {}
        }
        let grace = self.grace_micros();
        let balances = balances.iter().map(|balance| writer.balance(balance));
        let holds = crate::epoch::grouped(holds);
        let writes: Vec<Cmd> = balances.chain(holds.iter().map(|hold| writer.hold(hold, grace))).collect();
        for batch in writes.chunks(BATCH) {
            step(&shard, &link, batch).await?;
        }
        step(&shard, &link, &[writer.step(EpochStep::Finish)]).await?;
        self.seen.insert(organization);
        shard.queue.epoch_opened();
        Ok(())
    }

    pub(crate) async fn close_epoch(
        &self,
        organization: OrganizationId,
        epoch: u64,
    ) -> Result<(), LimitError> {
        self.grants.end_before(organization, epoch.saturating_add(1));
        let shard = self.route.of(organization);
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let writer =
            EpochWriter { scripts: &self.scripts, organization, epoch, run_id: link.run_id(), nonce: "-" };
        step(&shard, &link, &[writer.step(EpochStep::Close)]).await.map(|_| ())
    }

    pub(crate) async fn balances(
        &self,
        organization: OrganizationId,
        asked: &[(BudgetId, Window)],
    ) -> Result<Vec<Balance>, LimitError> {
        let shard = self.route.of(organization);
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let command = command::balances(&self.scripts, link.run_id(), organization, asked);
        let reply = shard.breaker.ask_back(&link, &command, TRIP).await.map_err(|_| LimitError::Away)?;
        let rows = match reply {
            Value::Array(rows) if rows.len() == asked.len() => rows,
            Value::Nil => return Err(LimitError::NoEpoch { found: 0 }),
            _ => return Err(LimitError::Away),
        };
        asked.iter().zip(&rows).map(|((budget_id, window), row)| balance(*budget_id, *window, row)).collect()
    }
}

/// Does some steps in one trip.
async fn step(shard: &Shard, link: &Link, commands: &[Cmd]) -> Result<Step, LimitError> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command.clone());
    }
    let replies = shard.breaker.ask_many(link, &pipeline, TRIP).await.map_err(|_| LimitError::Away)?;
    let mut step = Step::Done;
    for reply in &replies {
        let Value::Array(parts) = reply else { return Err(LimitError::Away) };
        let numbers: Vec<i64> = parts.iter().filter_map(number).collect();
        match *numbers.as_slice() {
            [0] => {}
            [1] => step = Step::Already,
            [2, found] => return Err(LimitError::NoEpoch { found: found.unsigned_abs() }),
            _ => return Err(LimitError::Away),
        }
    }
    Ok(step)
}

enum Step {
    Done,
    Already,
}

fn balance(budget_id: BudgetId, window: Window, row: &Value) -> Result<Balance, LimitError> {
    let Value::Array(parts) = row else { return Err(LimitError::Away) };
    let read = |index: usize| parts.get(index).and_then(number).map(NanoUsd::new);
    let (Some(spent), Some(held), Some(unresolved)) = (read(0), read(1), read(2)) else {
        return Err(LimitError::Away);
    };
    // What nodes have in advance is as good as held: some of it is.
    let granted = read(4).unwrap_or_default();
    Ok(Balance { budget_id, window, spent, held: held + granted, unresolved, limit: read(3) })
}
