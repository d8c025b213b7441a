//! What was decided for a call, read from its journal record as it lies on the disk.
//!
//! A node reads it of every call that it ships. The fields that a decision is not made of are passed over;
//! what comes out is what the whole record's conversion would give (a test compares them).

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tidegate_types::usage::{AttemptDecision, Decision, Evidence};
use tidegate_types::{Id, Timestamp, id::IdKind};

use crate::error::ConvertError;
use crate::fields::Fields;
use crate::usage as wire;
use crate::usage_choices::{choice, read_call_outcome, read_credential_type, read_zdr_tier};

/// The decision about the call of an encoded `JournalRecord`; `None` where there is no call, or no sound one.
#[must_use]
pub fn decision_of(record: &[u8]) -> Option<Decision> {
    let mut call = None;
    each(record, |field, value| {
        if let (5, Value::Bytes(bytes)) = (field, value) {
            call = Some(bytes);
        }
        Some(())
    })?;
    decision(call?)
}

/// A field's value, as far as decisions know them.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }

    /// An enumeration's number.
    fn choice(self) -> Option<i32> {
        self.number().and_then(|number| i32::try_from(number).ok())
    }

    fn id<K: IdKind>(self) -> Option<Id<K>> {
        let raw = self.bytes()?.try_into().ok()?;
        Some(Id::from_u128(u128::from_be_bytes(raw)))
    }

    fn time(self) -> Option<Timestamp> {
        self.number().map(|micros| Timestamp::from_micros(micros.cast_signed()))
    }
}

/// Hands the fields of a message to `take`, until it has no use for one. `None` for that, and for what is no
/// message.
fn each<'a>(mut message: &'a [u8], mut take: impl FnMut(u32, Value<'a>) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let (field, wire_type) = decode_key(&mut message).ok()?;
        let value = match wire_type {
            WireType::Varint => Value::Number(decode_varint(&mut message).ok()?),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(bytes)
            }
            _ => {
                skip_field(wire_type, field, &mut message, DecodeContext::default()).ok()?;
                continue;
            }
        };
        take(field, value)?;
    }
    Some(())
}

fn decision(message: &[u8]) -> Option<Decision> {
    const AT: Fields = Fields("CallRecord");
    let (mut call_id, mut organization_id, mut team_id, mut key_id) = (None, None, None, None);
    let mut at = Timestamp::default();
    let (mut status, mut shard, mut n, mut tier, mut areas) = (0, 0, 0, 0, None);
    let mut end = wire::CallRecord::default();
    let mut attempts = Vec::with_capacity(1);
    each(message, |field, value| {
        match field {
            1 => call_id = Some(value.id()?),
            2 => at = value.time()?,
            3 => organization_id = Some(value.id()?),
            4 => team_id = Some(value.id()?),
            5 => key_id = Some(value.id()?),
            10 => status = value.number()?,
            11 => end.outcome = value.choice()?,
            12 => end.refusal_cause = value.choice()?,
            13 => end.refusal_budget_id = Some(value.bytes()?.to_vec()),
            14 => attempts.push(attempt(value.bytes()?)?),
            24 => shard = value.number()?,
            25 => n = value.number()?,
            26 => tier = value.number()?,
            30 => areas = Some(std::str::from_utf8(value.bytes()?).ok()?.parse().ok()?),
            _ => {}
        }
        Some(())
    })?;
    Some(Decision {
        call_id: call_id?,
        at,
        organization_id: organization_id?,
        team_id: team_id?,
        key_id: key_id?,
        zdr: sound(read_zdr_tier(AT, "zdr_tier", u32::try_from(tier).ok()?))?,
        inference_regions: areas,
        revision: sound(AT.revision(u32::try_from(shard).ok()?, n))?,
        outcome: sound(read_call_outcome(AT, &end))?,
        status: u16::try_from(status).ok()?,
        attempts,
    })
}

fn attempt(message: &[u8]) -> Option<AttemptDecision> {
    const AT: Fields = Fields("AttemptRecord");
    let (mut provider_id, mut offering_id, mut credential_id) = (None, None, None);
    let (mut kind, mut status) = (0, 0);
    let mut evidence = Vec::new();
    each(message, |field, value| {
        match field {
            1 => provider_id = Some(value.id()?),
            2 => offering_id = Some(value.id()?),
            3 => credential_id = Some(value.id()?),
            4 => kind = value.choice()?,
            5 => status = value.number()?,
            8 => evidence.push(read_evidence(value.bytes()?)?),
            _ => {}
        }
        Some(())
    })?;
    Some(AttemptDecision {
        provider_id: provider_id?,
        offering_id: offering_id?,
        credential_id,
        credential_type: sound(choice(AT, "credential_type", kind, read_credential_type))?,
        status: u16::try_from(status).ok()?,
        evidence,
    })
}

/// Seldom: only calls under a data-handling tier have any.
fn read_evidence(message: &[u8]) -> Option<Evidence> {
    let message: wire::Evidence = prost::Message::decode(message).ok()?;
    sound((&message).try_into())
}

fn sound<T>(read: Result<T, ConvertError>) -> Option<T> {
    read.ok()
}
