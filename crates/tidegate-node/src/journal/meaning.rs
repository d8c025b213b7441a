//! What a record says about attempts: one begins, one ends, or neither.

use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, CallOutcome, EventKind, MeterMethod, Outcome, Usage};
use tidegate_types::Timestamp;

/// Which attempt: call and attempt within it.
pub(crate) type AttemptKey = (u128, u32);

/// What a record means for the open attempts of its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    /// Begins an attempt that must end by `deadline` (microseconds since the unix epoch).
    Opens { attempt: AttemptKey, deadline: i64 },
    /// Ends an attempt.
    Closes { attempt: AttemptKey },
    /// Anything else.
    Neutral,
}

fn id(bytes: &[u8]) -> u128 {
    bytes.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

/// The call's random half. All records of a call go to one lane.
pub(crate) fn call_number(record: &Record) -> u64 {
    let call = match record {
        Record::Event(event) => id(&event.call_id),
        Record::Call(call) => id(&call.call_id),
    };
    call as u64
}

/// Intents begin work that must be ended; refusals are bookkeeping that must not crowd it out.
pub(crate) fn is_new_work(record: &Record) -> bool {
    match record {
        Record::Event(event) => event.kind() == EventKind::Intent,
        Record::Call(call) => call.outcome() == CallOutcome::Refused,
    }
}

pub(crate) fn meaning(record: &Record) -> Meaning {
    let Record::Event(event) = record else { return Meaning::Neutral };
    let attempt = (id(&event.call_id), event.attempt);
    match event.kind() {
        EventKind::Intent => Meaning::Opens { attempt, deadline: event.deadline_micros },
        EventKind::Final => Meaning::Closes { attempt },
        EventKind::Correction | EventKind::Unspecified => Meaning::Neutral,
    }
}

/// The final of an attempt whose process died: nobody knows what the provider billed.
pub(crate) fn unresolved(intent: &BillingEvent, now: Timestamp) -> BillingEvent {
    BillingEvent {
        kind: EventKind::Final.into(),
        outcome: Outcome::Unresolved.into(),
        method: MeterMethod::Held.into(),
        at_micros: now.as_micros(),
        usage: Some(Usage::default()),
        cost_nano_usd: 0,
        ..intent.clone()
    }
}
