//! What a dead process had in advance goes back, under the epoch that is open: what it was granted less what the
//! books say that it used. Decides nothing: the caller has the books.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Cmd, Value};
use tidegate_types::resource::OpeningBalance;
use tidegate_types::window::Window;
use tidegate_types::{NanoUsd, OrganizationId, Timestamp};

use crate::error::LimitError;
use crate::expiry;
use crate::left::Process;
use crate::redis::RedisStore;
use crate::redis::command::{bytes, expiry_ms};
use crate::redis::decide::number;
use crate::redis::left::mark;
use crate::redis::link::Link;
use crate::redis::names::{Name, Names, budget_field};
use crate::redis::shard::Shard;

/// Longest time for one trip.
const TRIP: Duration = Duration::from_secs(2);
/// Most windows in one trip.
const BATCH: usize = 64;
/// What the dead process sent and the store has not read yet comes by then, or never.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3_600);

/// One window of the dead process.
#[derive(Debug, Clone)]
struct Row {
    budget: Name,
    record: Name,
    spent: i64,
    unresolved: i64,
    expires: i64,
}

/// One process under one epoch.
struct Reclaim<'a> {
    store: &'a RedisStore,
    shard: &'a Shard,
    link: &'a Link,
    names: Names,
    mark: Name,
    epoch: u64,
}

/// Records that the store has of the process, by the key of their budget.
type Records = BTreeMap<Vec<u8>, Vec<Name>>;

impl RedisStore {
    /// How this process is named in the lists of records.
    pub(super) fn grants_mark(&self) -> Name {
        let mark = self.mark.read().clone();
        if mark.is_empty() {
            Name::from_slice(itoa::Buffer::new().format(self.grants.process).as_bytes())
        } else {
            mark
        }
    }

    /// Sets what a dead process used, and gives the rest back.
    pub(crate) async fn reclaim(
        &self,
        organization: OrganizationId,
        process: Process,
        epoch: u64,
        used: &[OpeningBalance],
    ) -> Result<NanoUsd, LimitError> {
        let shard = self.route.of(organization);
        let link = shard.breaker.back().ok_or(LimitError::Away)?;
        let (names, mark) = (Names::of(organization), mark(process));
        let reclaim = Reclaim { store: self, shard: &shard, link: &link, names, mark, epoch };
        // From here on the process is over, and the records are all that there will be.
        let (_, records) = reclaim.ask(&[]).await?;
        let rows = reclaim.rows(records, used, self.now());
        let mut back = 0;
        for some in rows.chunks(BATCH) {
            back += reclaim.ask(some).await?.0;
        }
        self.grants.reclaimed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(NanoUsd::new(back))
    }
}

impl Reclaim<'_> {
    /// Every window of which the store or the books know something.
    fn rows(&self, mut records: Records, used: &[OpeningBalance], now: Timestamp) -> Vec<Row> {
        let mut rows = Vec::with_capacity(records.len().max(used.len()));
        for used in used {
            let window = Window { start: used.window_start, end: used.window_end };
            let field = budget_field(used.budget_id, window);
            let budget = self.names.budget(&field);
            let record = match records.get_mut(budget.as_slice()).and_then(Vec::pop) {
                Some(record) => record,
                // It is over, and the process's record of it may be forgotten.
                None if window.end <= now => continue,
                None => self.names.late_grant(&self.mark, &field),
            };
            let (spent, unresolved) = (used.spent.get(), used.unresolved.get());
            let expires = expiry::of_window(window, window.end, 0);
            rows.push(Row { budget, record, spent, unresolved, expires });
        }
        // Taken, and nothing of it used.
        let unused = records.into_iter().flat_map(|(budget, records)| {
            let budget = Name::from_vec(budget);
            let row =
                move |record| Row { budget: budget.clone(), record, spent: 0, unresolved: 0, expires: 0 };
            records.into_iter().map(row)
        });
        rows.extend(unused);
        rows
    }

    fn command(&self, rows: &[Row]) -> Cmd {
        let mut command = self.store.scripts.reclaim.call(3 + 2 * rows.len(), 3 + 3 * rows.len());
        bytes(&mut command, &self.names.epoch());
        bytes(&mut command, &self.names.grants(&self.mark));
        bytes(&mut command, &self.names.windows());
        for row in rows {
            bytes(&mut command, &row.budget);
            bytes(&mut command, &row.record);
        }
        let remembered = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
        command.arg(self.epoch).arg(self.link.run_id()).arg(remembered);
        for row in rows {
            command.arg(row.spent).arg(row.unresolved).arg(expiry_ms(row.expires));
        }
        command
    }

    /// What came back, and the records that there are.
    async fn ask(&self, rows: &[Row]) -> Result<(i64, Records), LimitError> {
        let reply = self
            .shard
            .breaker
            .ask_back(self.link, &self.command(rows), TRIP)
            .await
            .map_err(|_| LimitError::Away)?;
        let Value::Array(parts) = reply else { return Err(LimitError::Away) };
        let (code, at) = (parts.first().and_then(number), parts.get(2).and_then(number));
        match (code, at) {
            (Some(0), Some(back)) => Ok((back, records(parts.get(3..).unwrap_or_default()))),
            (Some(4), Some(found)) => Err(LimitError::NoEpoch { found: found.unsigned_abs() }),
            _ => Err(LimitError::Away),
        }
    }
}

fn records(parts: &[Value]) -> Records {
    let mut records = Records::new();
    for pair in parts.chunks_exact(2) {
        if let [Value::BulkString(record), Value::BulkString(budget)] = pair {
            records.entry(budget.clone()).or_default().push(Name::from_slice(record));
        }
    }
    records
}
