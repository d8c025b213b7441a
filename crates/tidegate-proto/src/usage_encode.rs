//! Records of the journal written as protobuf at once, without the message in between.
//!
//! Byte for byte what prost writes for the converted message (a test compares them); fields of
//! zero are left out, as proto3 has it. Every field is named, so that a new one cannot be forgotten.

use tidegate_types::Id;
use tidegate_types::id::IdKind;
use tidegate_types::usage::{
    AttemptRecord, BillingEvent, CallRecord, CallShare, Evidence, HeldBudget, PlanRecord, PlannedCandidate,
    RemovedCandidate, Usage,
};
use tidegate_types::{LabelHash, Timestamp};

use crate::usage_choices::{call_outcome, credential_type, event_kind, method, outcome, surface, zdr_tier};
use crate::usage_plan;

/// Writes the field `event` of a `JournalRecord`.
pub fn encode_event(event: &BillingEvent, out: &mut Vec<u8>) {
    Out(out).long_message(4, |out| write_event(out, event));
}

/// Writes the field `call` of a `JournalRecord`.
pub fn encode_call(call: &CallRecord, out: &mut Vec<u8>) {
    Out(out).long_message(5, |out| write_call(out, call));
}

/// Writes fields behind what is there.
struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number that is there even when it is 0.
    fn stated(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field << 3));
        self.varint(value);
    }

    fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.stated(field, value);
        }
    }

    fn signed(&mut self, field: u32, value: i64) {
        self.number(field, value.cast_unsigned());
    }

    fn time(&mut self, field: u32, at: Timestamp) {
        self.signed(field, at.as_micros());
    }

    fn stated_bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A text that is there even when it is empty.
    fn stated_text(&mut self, field: u32, text: &str) {
        self.varint(u64::from(field << 3 | 2));
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Tag, length and content in one piece: the numbers of fields are known where this is compiled.
    #[inline]
    fn bytes(&mut self, field: u32, bytes: [u8; 16]) {
        let tag = field << 3 | 2;
        if tag >= 0x80 {
            return self.stated_bytes(field, &bytes);
        }
        let mut piece = [0; 18];
        let (head, content) = piece.split_at_mut(2);
        head.copy_from_slice(&[tag as u8, 16]);
        content.copy_from_slice(&bytes);
        self.0.extend_from_slice(&piece);
    }

    #[inline]
    fn id<K: IdKind>(&mut self, field: u32, id: Id<K>) {
        self.bytes(field, id.to_u128().to_be_bytes());
    }

    fn id_opt<K: IdKind>(&mut self, field: u32, id: Option<Id<K>>) {
        if let Some(id) = id {
            self.id(field, id);
        }
    }

    fn labels<'l>(&mut self, field: u32, labels: impl IntoIterator<Item = &'l LabelHash>) {
        for label in labels {
            self.bytes(field, *label.as_bytes());
        }
    }

    /// A message within; its length is written when it is known.
    fn message(&mut self, field: u32, write: impl FnOnce(&mut Out<'_>)) {
        self.varint(u64::from(field << 3 | 2));
        let start = self.0.len();
        self.0.push(0);
        write(&mut Out(self.0));
        let length = self.0.len() - start - 1;
        match self.0.get_mut(start) {
            Some(place) if length < 0x80 => *place = length as u8,
            _ => self.put_length(start, 1, length),
        }
    }

    /// The same for one whose length has two bytes as a rule: the outermost ones.
    fn long_message(&mut self, field: u32, write: impl FnOnce(&mut Out<'_>)) {
        self.varint(u64::from(field << 3 | 2));
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        write(&mut Out(self.0));
        let length = self.0.len() - start - 2;
        match self.0.get_mut(start..start + 2) {
            Some(place) if (0x80..0x4000).contains(&length) => {
                place.copy_from_slice(&[length as u8 | 0x80, (length >> 7) as u8]);
            }
            _ => self.put_length(start, 2, length),
        }
    }

    /// A length that does not fit into the room left for it moves the content.
    #[cold]
    fn put_length(&mut self, start: usize, room: usize, length: usize) {
        let end = self.0.len();
        self.varint(length as u64);
        let wide = self.0.len() - end;
        self.0.drain(start..start + room);
        if let Some(rest) = self.0.get_mut(start..) {
            rest.rotate_right(wide);
        }
    }
}

fn write_event(out: &mut Out<'_>, event: &BillingEvent) {
    let BillingEvent {
        call_id,
        attempt,
        kind,
        at,
        organization_id,
        team_id,
        key_id,
        model_id,
        provider_id,
        offering_id,
        credential_id,
        credential_type: credential,
        price_id,
        ceiling_pico,
        epoch,
        holds,
        deadline,
        outcome: end,
        method: how,
        usage,
        cost,
        revision,
        end_user,
        tags,
        cached_percent,
        step,
        in_advance,
    } = event;
    out.id(1, *call_id);
    out.number(2, u64::from(*attempt));
    out.number(3, event_kind(*kind) as u64);
    out.time(4, *at);
    out.id(5, *organization_id);
    out.id(6, *team_id);
    out.id(7, *key_id);
    out.id(8, *model_id);
    out.id(9, *provider_id);
    out.id(10, *offering_id);
    out.id_opt(11, *credential_id);
    out.number(12, credential_type(*credential) as u64);
    out.id_opt(13, *price_id);
    if let Some(ceiling) = ceiling_pico {
        out.stated(14, ceiling.cast_unsigned());
    }
    out.number(15, *epoch);
    for hold in holds {
        out.message(16, |out| write_hold(out, hold));
    }
    out.time(17, *deadline);
    out.number(18, outcome(*end) as u64);
    out.number(19, method(*how) as u64);
    out.message(20, |out| write_usage(out, usage));
    out.signed(21, cost.get());
    out.number(22, u64::from(revision.shard.index() as u32));
    out.number(23, revision.n);
    out.labels(24, end_user);
    out.labels(25, tags);
    if let Some(percent) = cached_percent {
        out.stated(26, u64::from(*percent));
    }
    out.number(27, u64::from(*step));
    out.number(28, u64::from(*in_advance));
}

fn write_call(out: &mut Out<'_>, call: &CallRecord) {
    let CallRecord {
        call_id,
        at,
        organization_id,
        team_id,
        key_id,
        surface: face,
        stream,
        model_id,
        route_id,
        status,
        outcome: end,
        attempts,
        usage,
        cost,
        ttft_ms,
        duration_ms,
        overhead_us,
        end_user,
        session,
        app,
        tags,
        revision,
        zdr,
        plan,
        trace,
        cached_from,
        inference_regions,
    } = call;
    let (end, cause, refusing) = call_outcome(end);
    out.id(1, *call_id);
    out.time(2, *at);
    out.id(3, *organization_id);
    out.id(4, *team_id);
    out.id(5, *key_id);
    out.number(6, surface(*face) as u64);
    out.number(7, u64::from(*stream));
    out.id_opt(8, *model_id);
    out.id_opt(9, *route_id);
    out.number(10, u64::from(*status));
    out.number(11, end as u64);
    out.number(12, cause as u64);
    out.id_opt(13, refusing);
    for attempt in attempts {
        out.message(14, |out| write_attempt(out, attempt));
    }
    out.message(15, |out| write_usage(out, usage));
    out.signed(16, cost.get());
    if let Some(ttft) = ttft_ms {
        out.stated(17, u64::from(*ttft));
    }
    out.number(18, u64::from(*duration_ms));
    out.number(19, u64::from(*overhead_us));
    out.labels(20, end_user);
    out.labels(21, session);
    out.labels(22, app);
    out.labels(23, tags);
    out.number(24, u64::from(revision.shard.index() as u32));
    out.number(25, revision.n);
    out.number(26, u64::from(zdr_tier(*zdr)));
    if let Some(plan) = plan {
        out.message(27, |out| write_plan(out, plan));
    }
    if let Some(trace) = trace {
        out.stated_bytes(28, &trace.to_bytes());
    }
    out.id_opt(29, *cached_from);
    if let Some(areas) = inference_regions {
        out.stated_text(30, &areas.to_string());
    }
}

fn write_plan(out: &mut Out<'_>, plan: &PlanRecord) {
    let PlanRecord { candidates, removed, more_candidates, more_removed } = plan;
    for candidate in candidates {
        out.message(1, |out| write_planned(out, candidate));
    }
    for removed in removed {
        out.message(2, |out| write_removed(out, removed));
    }
    out.number(3, u64::from(*more_candidates));
    out.number(4, u64::from(*more_removed));
}

fn write_planned(out: &mut Out<'_>, candidate: &PlannedCandidate) {
    let PlannedCandidate {
        offering_id,
        credential_id,
        credential_type: credential,
        role,
        place,
        standing,
        ejected,
        share,
        quota_tenths,
    } = candidate;
    let (role, number, of) = usage_plan::role(*role);
    out.id(1, *offering_id);
    out.id_opt(2, *credential_id);
    out.number(3, credential_type(*credential) as u64);
    out.number(4, u64::from(role));
    out.number(5, u64::from(number));
    out.number(6, of);
    if let Some(place) = place {
        out.stated(7, u64::from(*place));
    }
    out.number(8, u64::from(usage_plan::standing(*standing)));
    out.number(9, u64::from(*ejected));
    if let Some(CallShare { weight, of }) = share {
        out.stated(10, u64::from(*weight));
        out.number(11, *of);
    }
    if let Some(tenths) = quota_tenths {
        out.stated(12, u64::from(*tenths));
    }
}

fn write_removed(out: &mut Out<'_>, removed: &RemovedCandidate) {
    let RemovedCandidate { offering_id, model_id, credential_id, filter } = removed;
    out.id_opt(1, *offering_id);
    out.id_opt(2, *model_id);
    out.id_opt(3, *credential_id);
    out.number(4, *filter as u64);
}

fn write_hold(out: &mut Out<'_>, hold: &HeldBudget) {
    let HeldBudget { budget_id, window_start, window_end, amount } = hold;
    out.id(1, *budget_id);
    out.time(2, *window_start);
    out.time(3, *window_end);
    out.signed(4, amount.get());
}

fn write_attempt(out: &mut Out<'_>, attempt: &AttemptRecord) {
    let AttemptRecord {
        provider_id,
        offering_id,
        credential_id,
        credential_type: credential,
        status,
        started_ms,
        duration_ms,
        outcome: end,
        evidence,
    } = attempt;
    out.id(1, *provider_id);
    out.id(2, *offering_id);
    out.id_opt(3, *credential_id);
    out.number(4, credential_type(*credential) as u64);
    out.number(5, u64::from(*status));
    out.number(6, u64::from(*started_ms));
    out.number(7, u64::from(*duration_ms));
    for evidence in evidence {
        out.message(8, |out| write_evidence(out, evidence));
    }
    if let Some(end) = end {
        out.number(9, outcome(*end) as u64);
    }
}

fn write_evidence(out: &mut Out<'_>, evidence: &Evidence) {
    let Evidence { feature, tier, areas, source, read_at, expires_at } = evidence;
    if let Some(feature) = feature {
        out.stated_text(1, feature);
    }
    out.number(2, u64::from(zdr_tier(*tier)));
    if !source.is_empty() {
        out.stated_text(3, source);
    }
    out.time(4, *read_at);
    out.time(5, *expires_at);
    if !areas.is_empty() {
        out.stated_text(6, &areas.to_string());
    }
}

fn write_usage(out: &mut Out<'_>, usage: &Usage) {
    // The message numbers its fields in the order of the counts; a test compares with the generated code.
    for (field, value) in (1..).zip(usage.counts()) {
        out.number(field, value);
    }
}
