//! Measures appends to the journal under a steady rate: `cargo run --release --example append -- DIR`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_node::journal::{Journal, JournalSettings};
use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, EventKind, HeldBudget, Usage};
use tidegate_telemetry::SystemClock;

fn event(call: u128) -> Record {
    let id = || call.to_be_bytes().to_vec();
    let held = HeldBudget { budget_id: id(), amount_nano_usd: 1, ..HeldBudget::default() };
    Record::Event(BillingEvent {
        call_id: id(),
        kind: EventKind::Final.into(),
        organization_id: id(),
        team_id: id(),
        key_id: id(),
        model_id: id(),
        provider_id: id(),
        offering_id: id(),
        credential_id: Some(id()),
        price_id: Some(id()),
        holds: vec![held],
        usage: Some(Usage::default()),
        ..BillingEvent::default()
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name an empty folder")?;
    let (journal, _) = Journal::open(&JournalSettings::new(folder.into()), Arc::new(SystemClock))?;
    let mut took = Vec::new();
    for call in 0..100_000u128 {
        let record = event(call.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let began = Instant::now();
        journal.append(&record)?;
        took.push(began.elapsed());
        // About 10,000 a second, as a loaded node writes.
        while began.elapsed() < Duration::from_micros(100) {
            std::hint::spin_loop();
        }
    }
    took.sort();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        let index = ((took.len() as f64 * share) as usize).min(took.len() - 1);
        println!("{name} {:?}", took.get(index).ok_or("no measurement")?);
    }
    Ok(())
}
