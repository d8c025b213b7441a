//! Billing events and call records, to and from the wire.
//!
//! Ids are 16 bytes big endian, enums are numbers: no text travels here.

use tidegate_types::usage::{AttemptRecord, BillingEvent, CallRecord, Evidence, HeldBudget, Usage};
use tidegate_types::{NanoUsd, Timestamp, TraceParent};

use crate::error::ConvertError;
use crate::fields::{Fields, hash, raw};
use crate::usage as wire;
use crate::usage_choices::{
    call_outcome, choice, credential_type, event_kind, method, outcome, read_call_outcome,
    read_credential_type, read_event_kind, read_method, read_outcome, read_surface, read_zdr_tier, surface,
    zdr_tier,
};

impl From<Usage> for wire::Usage {
    fn from(r: Usage) -> Self {
        Self {
            input_tokens: r.input_tokens,
            output_tokens: r.output_tokens,
            cached_input_tokens: r.cached_input_tokens,
            cache_creation_input_tokens: r.cache_creation_input_tokens,
            reasoning_tokens: r.reasoning_tokens,
            requests: r.requests,
            cache_creation_1h_input_tokens: r.cache_creation_1h_input_tokens,
            audio_input_tokens: r.audio_input_tokens,
            image_input_tokens: r.image_input_tokens,
            audio_output_tokens: r.audio_output_tokens,
            image_output_tokens: r.image_output_tokens,
            images: r.images,
            audio_seconds: r.audio_seconds,
            characters: r.characters,
            searches: r.searches,
            video_seconds: r.video_seconds,
        }
    }
}

impl From<wire::Usage> for Usage {
    fn from(m: wire::Usage) -> Self {
        Self {
            input_tokens: m.input_tokens,
            output_tokens: m.output_tokens,
            cached_input_tokens: m.cached_input_tokens,
            cache_creation_input_tokens: m.cache_creation_input_tokens,
            reasoning_tokens: m.reasoning_tokens,
            requests: m.requests,
            cache_creation_1h_input_tokens: m.cache_creation_1h_input_tokens,
            audio_input_tokens: m.audio_input_tokens,
            image_input_tokens: m.image_input_tokens,
            audio_output_tokens: m.audio_output_tokens,
            image_output_tokens: m.image_output_tokens,
            images: m.images,
            audio_seconds: m.audio_seconds,
            characters: m.characters,
            searches: m.searches,
            video_seconds: m.video_seconds,
        }
    }
}

impl From<&HeldBudget> for wire::HeldBudget {
    fn from(r: &HeldBudget) -> Self {
        Self {
            budget_id: raw(r.budget_id),
            window_start_micros: r.window_start.as_micros(),
            window_end_micros: r.window_end.as_micros(),
            amount_nano_usd: r.amount.get(),
        }
    }
}

impl TryFrom<&wire::HeldBudget> for HeldBudget {
    type Error = ConvertError;

    fn try_from(m: &wire::HeldBudget) -> Result<Self, ConvertError> {
        Ok(Self {
            budget_id: Fields("HeldBudget").raw_id("budget_id", &m.budget_id)?,
            window_start: Timestamp::from_micros(m.window_start_micros),
            window_end: Timestamp::from_micros(m.window_end_micros),
            amount: NanoUsd::new(m.amount_nano_usd),
        })
    }
}

impl From<&BillingEvent> for wire::BillingEvent {
    fn from(r: &BillingEvent) -> Self {
        Self {
            call_id: raw(r.call_id),
            attempt: u32::from(r.attempt),
            kind: event_kind(r.kind).into(),
            step: u32::from(r.step),
            at_micros: r.at.as_micros(),
            organization_id: raw(r.organization_id),
            team_id: raw(r.team_id),
            key_id: raw(r.key_id),
            model_id: raw(r.model_id),
            provider_id: raw(r.provider_id),
            offering_id: raw(r.offering_id),
            credential_id: r.credential_id.map(raw),
            credential_type: credential_type(r.credential_type).into(),
            price_id: r.price_id.map(raw),
            ceiling_pico_usd: r.ceiling_pico,
            epoch: r.epoch,
            holds: r.holds.iter().map(Into::into).collect(),
            deadline_micros: r.deadline.as_micros(),
            outcome: outcome(r.outcome).into(),
            method: method(r.method).into(),
            usage: Some(r.usage.into()),
            cost_nano_usd: r.cost.get(),
            shard: r.revision.shard.index() as u32,
            revision_n: r.revision.n,
            end_user: r.end_user.as_ref().map(hash),
            tags: r.tags.iter().map(hash).collect(),
            cached_percent: r.cached_percent.map(u32::from),
            in_advance: r.in_advance,
        }
    }
}

impl TryFrom<&wire::BillingEvent> for BillingEvent {
    type Error = ConvertError;

    fn try_from(m: &wire::BillingEvent) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("BillingEvent");
        Ok(Self {
            call_id: AT.raw_id("call_id", &m.call_id)?,
            attempt: AT.number("attempt", m.attempt)?,
            kind: choice(AT, "kind", m.kind, read_event_kind)?,
            step: AT.number("step", m.step)?,
            at: Timestamp::from_micros(m.at_micros),
            organization_id: AT.raw_id("organization_id", &m.organization_id)?,
            team_id: AT.raw_id("team_id", &m.team_id)?,
            key_id: AT.raw_id("key_id", &m.key_id)?,
            model_id: AT.raw_id("model_id", &m.model_id)?,
            provider_id: AT.raw_id("provider_id", &m.provider_id)?,
            offering_id: AT.raw_id("offering_id", &m.offering_id)?,
            credential_id: AT.raw_id_opt("credential_id", m.credential_id.as_deref())?,
            credential_type: choice(AT, "credential_type", m.credential_type, read_credential_type)?,
            price_id: AT.raw_id_opt("price_id", m.price_id.as_deref())?,
            ceiling_pico: m.ceiling_pico_usd,
            epoch: m.epoch,
            holds: m.holds.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            deadline: Timestamp::from_micros(m.deadline_micros),
            outcome: choice(AT, "outcome", m.outcome, read_outcome)?,
            method: choice(AT, "method", m.method, read_method)?,
            usage: AT.required("usage", m.usage)?.into(),
            cost: NanoUsd::new(m.cost_nano_usd),
            revision: AT.revision(m.shard, m.revision_n)?,
            end_user: AT.label_opt("end_user", m.end_user.as_deref())?,
            tags: AT.labels("tags", &m.tags)?,
            cached_percent: m.cached_percent.map(|n| AT.number("cached_percent", n)).transpose()?,
            in_advance: m.in_advance,
        })
    }
}

impl From<&AttemptRecord> for wire::AttemptRecord {
    fn from(r: &AttemptRecord) -> Self {
        Self {
            provider_id: raw(r.provider_id),
            offering_id: raw(r.offering_id),
            credential_id: r.credential_id.map(raw),
            credential_type: credential_type(r.credential_type).into(),
            status: u32::from(r.status),
            started_ms: r.started_ms,
            duration_ms: r.duration_ms,
            evidence: r.evidence.iter().map(Into::into).collect(),
            outcome: r.outcome.map_or(0, |end| outcome(end).into()),
        }
    }
}

impl From<&Evidence> for wire::Evidence {
    fn from(r: &Evidence) -> Self {
        Self {
            feature: r.feature.clone(),
            tier: zdr_tier(r.tier),
            areas: r.areas.to_string(),
            source: r.source.clone(),
            read_at_micros: r.read_at.as_micros(),
            expires_at_micros: r.expires_at.as_micros(),
        }
    }
}

impl TryFrom<&wire::Evidence> for Evidence {
    type Error = ConvertError;

    fn try_from(m: &wire::Evidence) -> Result<Self, ConvertError> {
        Ok(Self {
            feature: m.feature.clone(),
            tier: read_zdr_tier(Fields("Evidence"), "tier", m.tier)?,
            areas: Fields("Evidence").parse("areas", &m.areas)?,
            source: m.source.clone(),
            read_at: Timestamp::from_micros(m.read_at_micros),
            expires_at: Timestamp::from_micros(m.expires_at_micros),
        })
    }
}

impl TryFrom<&wire::AttemptRecord> for AttemptRecord {
    type Error = ConvertError;

    fn try_from(m: &wire::AttemptRecord) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("AttemptRecord");
        Ok(Self {
            provider_id: AT.raw_id("provider_id", &m.provider_id)?,
            offering_id: AT.raw_id("offering_id", &m.offering_id)?,
            credential_id: AT.raw_id_opt("credential_id", m.credential_id.as_deref())?,
            credential_type: choice(AT, "credential_type", m.credential_type, read_credential_type)?,
            status: AT.number("status", m.status)?,
            started_ms: m.started_ms,
            duration_ms: m.duration_ms,
            outcome: match m.outcome {
                0 => None,
                known => Some(choice(AT, "outcome", known, read_outcome)?),
            },
            evidence: m.evidence.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&CallRecord> for wire::CallRecord {
    fn from(r: &CallRecord) -> Self {
        let (outcome, cause, refusal_budget_id) = call_outcome(&r.outcome);
        Self {
            call_id: raw(r.call_id),
            at_micros: r.at.as_micros(),
            organization_id: raw(r.organization_id),
            team_id: raw(r.team_id),
            key_id: raw(r.key_id),
            surface: surface(r.surface).into(),
            stream: r.stream,
            model_id: r.model_id.map(raw),
            route_id: r.route_id.map(raw),
            status: u32::from(r.status),
            outcome: outcome.into(),
            refusal_cause: cause.into(),
            refusal_budget_id: refusal_budget_id.map(raw),
            attempts: r.attempts.iter().map(Into::into).collect(),
            usage: Some(r.usage.into()),
            cost_nano_usd: r.cost.get(),
            ttft_ms: r.ttft_ms,
            duration_ms: r.duration_ms,
            overhead_us: r.overhead_us,
            end_user: r.end_user.as_ref().map(hash),
            session: r.session.as_ref().map(hash),
            app: r.app.as_ref().map(hash),
            tags: r.tags.iter().map(hash).collect(),
            shard: r.revision.shard.index() as u32,
            revision_n: r.revision.n,
            zdr_tier: zdr_tier(r.zdr),
            plan: r.plan.as_deref().map(Into::into),
            trace_parent: r.trace.map(|trace| trace.to_bytes().to_vec()),
            cached_from: r.cached_from.map(raw),
            inference_regions: r.inference_regions.map(|areas| areas.to_string()),
        }
    }
}

impl TryFrom<&wire::CallRecord> for CallRecord {
    type Error = ConvertError;

    fn try_from(m: &wire::CallRecord) -> Result<Self, ConvertError> {
        const AT: Fields = Fields("CallRecord");
        Ok(Self {
            call_id: AT.raw_id("call_id", &m.call_id)?,
            at: Timestamp::from_micros(m.at_micros),
            organization_id: AT.raw_id("organization_id", &m.organization_id)?,
            team_id: AT.raw_id("team_id", &m.team_id)?,
            key_id: AT.raw_id("key_id", &m.key_id)?,
            surface: choice(AT, "surface", m.surface, read_surface)?,
            stream: m.stream,
            model_id: AT.raw_id_opt("model_id", m.model_id.as_deref())?,
            route_id: AT.raw_id_opt("route_id", m.route_id.as_deref())?,
            status: AT.number("status", m.status)?,
            outcome: read_call_outcome(AT, m)?,
            attempts: m.attempts.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            usage: AT.required("usage", m.usage)?.into(),
            cost: NanoUsd::new(m.cost_nano_usd),
            ttft_ms: m.ttft_ms,
            duration_ms: m.duration_ms,
            overhead_us: m.overhead_us,
            end_user: AT.label_opt("end_user", m.end_user.as_deref())?,
            session: AT.label_opt("session", m.session.as_deref())?,
            app: AT.label_opt("app", m.app.as_deref())?,
            tags: AT.labels("tags", &m.tags)?,
            revision: AT.revision(m.shard, m.revision_n)?,
            zdr: read_zdr_tier(AT, "zdr_tier", m.zdr_tier)?,
            plan: m.plan.as_ref().map(TryInto::try_into).transpose()?.map(Box::new),
            // A damaged one is no reason to refuse a bill.
            trace: m.trace_parent.as_deref().and_then(TraceParent::from_bytes),
            cached_from: AT.raw_id_opt("cached_from", m.cached_from.as_deref())?,
            inference_regions: AT.parse_opt("inference_regions", m.inference_regions.as_deref())?,
        })
    }
}
