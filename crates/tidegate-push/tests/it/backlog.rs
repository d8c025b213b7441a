//! A node comes back with what it kept while nobody took it: all of it is booked once, and how fast is told.

use std::time::{Duration, Instant};

use tidegate_proto::usage::{JournalRecord, ReportRequest};
use tidegate_types::NanoUsd;
use tokio::task::JoinSet;

use crate::fake_node::FakeNode;
use crate::samples::{Attempt, COST};
use crate::usage::{Reporter, books, call, event};

/// Records in one message of a node (`ship.rs` of the node).
const BATCH: usize = 500;
/// Of one call: intent, final, call record.
const OF_ONE: usize = 3;

/// Calls of the backlog: so many in `./test`, and in `./test-full`.
fn size() -> usize {
    let full = std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1");
    if full { 30_000 } else { 1_500 }
}

fn backlog(attempt: &Attempt, calls: usize) -> Vec<JournalRecord> {
    let mut records = Vec::with_capacity(calls * OF_ONE);
    for _ in 0..calls {
        let (intent, next) = (attempt.intent(), records.len() as u64 + 1);
        let end = Attempt::end(&intent, COST);
        records.extend([event(next, &intent), event(next + 1, &end), call(next + 2, &Attempt::call(&end))]);
    }
    records
}

/// Time of the processor that this process has used.
fn used() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).map(|text| text.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_booked_once_and_in_order_however_much_of_it_there_is() {
    let (books, calls) = (books().await, size());
    let node = FakeNode::enrol(&books.plane).await;
    let records = backlog(&books.attempt, calls);
    let mut reporter = Reporter::open(&node).await;
    let (begun, before) = (Instant::now(), used());
    let say = reporter.say.clone();
    let batches: Vec<Vec<JournalRecord>> = records.chunks(BATCH).map(<[_]>::to_vec).collect();
    let mut sending = JoinSet::new();
    sending.spawn(async move {
        for records in batches {
            say.send(ReportRequest { records, ..ReportRequest::default() }).await.unwrap();
        }
    });
    let mut stored = 0;
    while stored < records.len() as u64 {
        let now = reporter.acknowledged().await.unwrap();
        assert!(now > stored, "each answer says more");
        stored = now;
    }
    sending.join_all().await;
    let (took, cpu) = (begun.elapsed(), used().saturating_sub(before));
    println!(
        "{calls} calls booked in {took:?}: {:.0} a second; {:.0} us of this process for each",
        calls as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / calls as f64
    );
    let total = NanoUsd::new(calls as i64 * COST.get());
    assert_eq!(books.spent().await, (total, total));

    // The end of it comes once more, as after a break: nothing is counted twice.
    let again = records[records.len() - BATCH..].to_vec();
    assert_eq!(reporter.report(again).await.unwrap(), stored);
    assert_eq!(books.spent().await, (total, total));
    assert_eq!(books.plane.metrics.records.get(), records.len() as u64);
    assert_eq!(books.plane.metrics.cost_disagreements.get(), 0);
}
