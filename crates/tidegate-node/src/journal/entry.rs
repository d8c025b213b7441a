//! A record on its way into the journal, and what it says about attempts: one begins, one ends, or
//! neither.

use tidegate_proto::usage::journal_record::Record;
use tidegate_proto::usage::{BillingEvent, CallOutcome, EventKind, MeterMethod, Outcome, Usage};
use tidegate_proto::{encode_call, encode_event};
use tidegate_types::Timestamp;
use tidegate_types::usage as types;

/// Which attempt: call and attempt within it.
pub(crate) type AttemptKey = (u128, u32);

/// What a record means for the open attempts of its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meaning {
    /// Begins an attempt that must end by `deadline` (microseconds since the unix epoch), or adds to
    /// what is held for it: of several, the last one tells all.
    Opens { attempt: AttemptKey, deadline: i64 },
    /// Ends an attempt.
    Closes { attempt: AttemptKey },
    /// Anything else.
    Neutral,
}

/// A record, encoded but for its place.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) body: Vec<u8>,
    pub(super) meaning: Meaning,
    /// Begins work that must be ended, or is bookkeeping that must not crowd that out.
    pub(super) fresh: bool,
    /// The call's random half. All records of a call go to one lane.
    pub(super) call: u64,
}

/// Room for a record without labels.
const USUAL: usize = 384;

impl Entry {
    /// What happened to an attempt.
    pub(crate) fn event(event: &types::BillingEvent) -> Self {
        let mut body = Vec::with_capacity(USUAL);
        encode_event(event, &mut body);
        let call = event.call_id.to_u128();
        let attempt = (call, u32::from(event.attempt));
        let meaning = match event.kind {
            types::EventKind::Intent => Meaning::Opens { attempt, deadline: event.deadline.as_micros() },
            types::EventKind::Final => Meaning::Closes { attempt },
            types::EventKind::Correction => Meaning::Neutral,
        };
        Self { body, meaning, fresh: event.kind == types::EventKind::Intent, call: call as u64 }
    }

    /// How a call went.
    pub(crate) fn call(call: &types::CallRecord) -> Self {
        let mut body = Vec::with_capacity(USUAL);
        encode_call(call, &mut body);
        let fresh = matches!(call.outcome, types::CallOutcome::Refused { .. });
        Self { body, meaning: Meaning::Neutral, fresh, call: call.call_id.to_u128() as u64 }
    }

    /// A record in the wire's words.
    pub(super) fn of(record: &Record) -> Self {
        let mut body = Vec::with_capacity(record.encoded_len());
        record.encode(&mut body);
        let (fresh, call) = match record {
            Record::Event(event) => (event.kind() == EventKind::Intent, &event.call_id),
            // What no intent came before needs room of its own.
            Record::Call(call) => {
                let free = call.cached_from.is_some() && call.cost_nano_usd == 0;
                (free || call.outcome() == CallOutcome::Refused, &call.call_id)
            }
        };
        Self { body, meaning: meaning(record), fresh, call: id(call) as u64 }
    }
}

pub(super) fn meaning(record: &Record) -> Meaning {
    let Record::Event(event) = record else { return Meaning::Neutral };
    let attempt = attempt_of(event);
    match event.kind() {
        EventKind::Intent => Meaning::Opens { attempt, deadline: event.deadline_micros },
        EventKind::Final => Meaning::Closes { attempt },
        EventKind::Correction | EventKind::Unspecified => Meaning::Neutral,
    }
}

/// Which attempt an event is of.
pub(super) fn attempt_of(event: &BillingEvent) -> AttemptKey {
    (id(&event.call_id), event.attempt)
}

fn id(bytes: &[u8]) -> u128 {
    bytes.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

/// The final of an attempt whose process died: nobody knows what the provider billed.
pub(crate) fn unresolved(intent: &BillingEvent, now: Timestamp) -> BillingEvent {
    BillingEvent {
        kind: EventKind::Final.into(),
        outcome: Outcome::Unresolved.into(),
        method: MeterMethod::Held.into(),
        at_micros: now.as_micros(),
        step: 0,
        usage: Some(Usage::default()),
        cost_nano_usd: 0,
        ..intent.clone()
    }
}
