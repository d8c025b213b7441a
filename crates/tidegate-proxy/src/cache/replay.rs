//! A kept answer, given to a call: admitted like any other, charged by its rules, recorded at once.
//!
//! It goes through the code that an answer of its provider would, so that its dialect, its id, its cost and its
//! usage are those of this call. Nobody is called, and no attempt is made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use tidegate_dialect::answer::{self, Costing};
use tidegate_dialect::stream::{AnswerStream, End, stream_content_type};
use tidegate_dialect::task::{self, Payload};
use tidegate_policy::Candidate;
use tidegate_pricing::share;
use tidegate_types::NanoUsd;
use tidegate_types::usage::CredentialType;

use super::Told;
use super::slot::Slot;
use super::store::Kept;
use crate::admit::admit_cached;
use crate::failover::{Answer, By, Content, Planned, answer_facts};
use crate::headers::NO_CACHE;
use crate::refusal::Refused;
use crate::routing;
use crate::settle::{Attempt, Whose};

/// The kept answer that this call may have; `None`: it must be made.
pub(crate) async fn answered(planned: &Planned<'_>, slot: &Slot) -> Result<Option<Answer>, Refused> {
    let meters = &planned.gateway.meters;
    let found = find(planned, slot).and_then(|(kept, candidate)| {
        let charge = charge(slot, candidate, &kept);
        Some((written(planned, &kept, candidate, charge)?, kept, candidate, charge))
    });
    let Some((payload, kept, candidate, charge)) = found else {
        meters.cache(Told::Miss);
        return Ok(None);
    };
    book(planned, slot, &kept, candidate, charge).await?;
    let age = kept.made.elapsed().as_secs();
    meters.cache(Told::Hit(age));
    let content = Content::Whole(payload);
    Ok(Some(Answer { content, by: By::of(candidate, planned.plan), cache: Told::Hit(age) }))
}

/// What lies there, if whoever made it could answer this call too, and is still what it was.
fn find<'p>(planned: &'p Planned<'_>, slot: &Slot) -> Option<(Arc<Kept>, &'p Candidate)> {
    let (gateway, now) = (planned.gateway, Instant::now());
    if slot.wish.anew {
        return None;
    }
    let kept = gateway.cache.get(&slot.key, now)?;
    // Rules may have become stricter since it was kept.
    let oldest = slot.wish.max_age.map_or(slot.life, |seconds| Duration::from_secs(seconds).min(slot.life));
    if now.saturating_duration_since(kept.made) > oldest || kept.stream != planned.call.body.stream {
        return None;
    }
    let by = &kept.by;
    let made = |candidate: &&Candidate| {
        candidate.offering.id == by.offering
            && candidate.model.id == slot.model
            && candidate.credential_type == by.credential_type
            && candidate.upstream_name() == by.upstream_name
            && candidate.provider == by.provider
            && candidate.is_vouched_at(gateway.now())
            && (candidate.vouched.is_empty()
                || candidate.credential.as_ref().map(|credential| credential.id) == by.credential)
    };
    let candidate = planned.plan.candidates.iter().find(made)?;
    Some((kept, candidate))
}

/// What the rules charge. Whoever pays the provider itself owes nothing for what was not asked of it.
fn charge(slot: &Slot, candidate: &Candidate, kept: &Kept) -> NanoUsd {
    match candidate.credential_type {
        CredentialType::System => share(candidate.tariff.cost(&kept.usage), slot.percent),
        CredentialType::Byok | CredentialType::Client => NanoUsd::ZERO,
    }
}

/// The answer in this call's words; `None` where it cannot be read any more.
fn written(planned: &Planned<'_>, kept: &Kept, candidate: &Candidate, charge: NanoUsd) -> Option<Payload> {
    let Planned { account, call, .. } = *planned;
    let (surface, target) = (account.dialect(), kept.by.target);
    let call_id: Arc<str> = account.arrival.call_id.to_string().into();
    let routing = |planned: &Planned<'_>| routing::of_cached(planned, candidate);
    let costing = Costing::new(move |_| charge);
    let facts = answer_facts(planned, candidate, target, (call_id, costing), routing);
    if kept.stream {
        let mut stream = AnswerStream::new(surface, target, &facts);
        let mut out = Vec::new();
        stream.push(&kept.bytes, &mut out);
        let complete = stream.end(&mut out) == End::Complete;
        let content_type = stream_content_type(surface).into();
        return complete.then(|| Payload { bytes: joined(&out), content_type });
    }
    if call.body.is_task() {
        let received = Payload { bytes: kept.bytes.clone(), content_type: kept.content_type.clone() };
        let slug = candidate.provider.slug.as_str();
        let finished = task::complete(&call.body, target, slug, &received, kept.input_tokens, &facts);
        return finished.ok().map(|finished| finished.payload);
    }
    let complete = answer::complete(surface, target, &kept.bytes, &facts).ok()?;
    Some(Payload::json(complete.bytes))
}

fn joined(pieces: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

/// Rates, slots and the charge; then the record, before anything is given: nothing is given unrecorded.
async fn book(
    planned: &Planned<'_>,
    slot: &Slot,
    kept: &Kept,
    candidate: &Candidate,
    charge: NanoUsd,
) -> Result<(), Refused> {
    let Planned { gateway, account, caller, call, plan, .. } = *planned;
    let organization = caller.view.organization_id();
    let held = admit_cached(gateway, account, organization, plan, candidate, charge).await?;
    if charge == NanoUsd::ZERO {
        let record = account.close_cached(kept.by.call, candidate.model.id, charge);
        if let Some(record) = record {
            gateway.records.append(crate::edges::Record::Call(&record))?;
        }
        return Ok(());
    }
    let whose = Whose { caller, labels: &call.labels };
    let mut attempt = Attempt::held(gateway, account, whose, candidate, 0, held);
    attempt
        .book_cached(kept.by.call, &kept.usage, slot.percent)
        .map_err(|failed| failed.into_refusal(account.dialect()))
}

/// Headers of an answer: what came of it, and how old it is.
pub(crate) fn put(headers: &mut http::HeaderMap, told: Told) {
    let word = match told {
        Told::Nothing => return,
        Told::Hit(_) => "hit",
        Told::Miss => "miss",
        Told::Bypass => "bypass",
    };
    headers.insert(super::wish::CACHE, HeaderValue::from_static(word));
    if let Told::Hit(age) = told {
        headers.insert(header::AGE, HeaderValue::from(age));
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if content_type.is_some_and(|content_type| content_type.starts_with(b"text/event-stream")) {
            headers.insert(header::CACHE_CONTROL, NO_CACHE);
        }
    }
}
