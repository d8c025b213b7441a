//! One candidate after the other, until one answers: free before the first event, never after.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tidegate_dialect::answer::{AnswerFacts, Costing, Note, NotePlace};
use tidegate_dialect::count;
use tidegate_dialect::outbound::{self, Edits, Stored};
use tidegate_dialect::read::{CallBody, GatewayOptions};
use tidegate_dialect::task::{self, Payload};
use tidegate_dialect::{Asked, RequestError};
use tidegate_policy::{Candidate, Plan, View};
use tidegate_types::resource::{AuthScheme, DialectName, PlaceError, Provider, ZdrTier, fill_base_url};
use tidegate_types::usage::{CredentialType, Surface};
use tidegate_upstream::{SignIn, Unsigned, forwarded, post};
use tokio::time::Instant;

use crate::account::Account;
use crate::admit::{Permit, hold_further};
use crate::attempt::{Exchange, Exchanged, Outbound};
use crate::authenticate::Caller;
use crate::byok::{self, Brought};
use crate::cache::{Keep, Seat, Told};
use crate::failed::{Failed, Next};
use crate::gateway::Gateway;
use crate::headers;
use crate::in_time::in_time;
use crate::read_call::Call;
use crate::refusal::Refused;
use crate::relay::Live;
use crate::routing;
use crate::settle::{Attempt, Whose};
use crate::target;
use crate::ticket::Ticket;
use crate::vitals::Measurements;

/// Names the call to the provider, as OpenAI's API documents it; others ignore it.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// A planned call on its way.
pub(crate) struct Planned<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    pub(crate) account: &'a Arc<Account>,
    pub(crate) caller: &'a Caller,
    pub(crate) call: &'a Call,
    pub(crate) plan: &'a Plan,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) brought: &'a Brought,
    /// How it stands to the cache.
    pub(crate) seat: &'a Seat,
}

/// What the caller gets.
pub(crate) struct Answer {
    pub(crate) content: Content,
    pub(crate) by: By,
    /// What it says of the cache.
    pub(crate) cache: Told,
}

/// Who answered, as headers tell it.
pub(crate) struct By {
    pub(crate) provider: Arc<Provider>,
    pub(crate) credential: CredentialType,
    /// The data handling that was demanded.
    pub(crate) tier: ZdrTier,
}

impl By {
    pub(crate) fn of(candidate: &Candidate, plan: &Plan) -> Self {
        Self {
            provider: Arc::clone(&candidate.provider),
            credential: candidate.credential_type,
            tier: plan.policy.zdr,
        }
    }
}

/// Whole, as it comes, or when a job is done.
pub(crate) enum Content {
    Whole(Payload),
    Stream(Box<Live>),
    /// The beginning of a job whose outcome is the answer, and who asks.
    Job(Payload, Box<View>),
}

/// Calls candidates until one answers, or says why none did.
pub(crate) async fn call_with_failover(
    planned: &Planned<'_>,
    permit: &mut Permit,
) -> Result<Answer, Refused> {
    let Planned { gateway, account, caller, call, plan, .. } = *planned;
    let total = plan.policy.total_timeout_ms.map_or(gateway.settings.total_timeout, millis);
    let deadline = Instant::from_std(account.arrival.clock) + total;
    let most = u16::from(plan.policy.max_attempts.max(1));
    let mut last: Option<(Failed, usize)> = None;
    let mut untried = std::mem::take(&mut permit.order).into_iter();
    for number in 0..most {
        let Some(index) = next(planned, &mut untried, last.as_ref()).await else { break };
        let Some(candidate) = plan.candidates.get(index) else { break };
        if last.is_some() && deadline <= Instant::now() {
            break;
        }
        let held = match permit.first.take() {
            Some(held) => held,
            None => {
                let organization = caller.view.organization_id();
                let held = hold_further(gateway, account, organization, call, plan, candidate, number);
                match Box::pin(held).await {
                    Ok(held) => held,
                    Err(refused) => {
                        return Err(refusal(planned, last).unwrap_or(refused));
                    }
                }
            }
        };
        let whose = Whose { caller, labels: &call.labels };
        let attempt = Attempt::held(gateway, account, whose, candidate, number, held);
        match make(planned, candidate, attempt, deadline).await {
            Ok(content) => {
                let (by, cache) = (By::of(candidate, plan), planned.seat.told());
                return Ok(Answer { content, by, cache });
            }
            Err(failed) => {
                tracing::debug!(call = %account.arrival.call_id, attempt = number, provider = %candidate.provider.slug, %failed, "an attempt failed");
                note_failure(planned, candidate, &failed);
                last = Some((failed, index));
            }
        }
    }
    Err(refusal(planned, last).unwrap_or_else(crate::refusal::Refusal::away))
}

/// What the caller is told when the last attempt's failure is all there is.
fn refusal(planned: &Planned<'_>, last: Option<(Failed, usize)>) -> Option<Refused> {
    let (failed, index) = last?;
    let mut refusal = failed.into_refusal(planned.account.dialect());
    if planned.account.note_place == NotePlace::AiSdk {
        let candidate = planned.plan.candidates.get(index);
        refusal.routing = candidate.map(|candidate| routing::of_failed(planned, candidate));
    }
    Some(refusal)
}

/// The candidate of the next attempt: those not tried yet in their order, then the last one
/// again, if its failure allows it and its provider's share of retries is not used up.
async fn next(
    planned: &Planned<'_>,
    untried: &mut impl Iterator<Item = usize>,
    last: Option<&(Failed, usize)>,
) -> Option<usize> {
    let health = &planned.gateway.health;
    let candidate = |index: usize| planned.plan.candidates.get(index);
    let provider = |index: usize| candidate(index).map(|candidate| candidate.provider.id);
    let Some((failed, index)) = last else {
        let first = untried.next()?;
        health.note_first(provider(first)?);
        return Some(first);
    };
    let after = failed.next();
    let untried = match after {
        Next::Nowhere => None,
        Next::OtherModel => {
            let model = candidate(*index)?.model.id;
            untried.find(|other| candidate(*other).is_some_and(|other| other.model.id != model))
        }
        Next::Another | Next::Any => untried.next(),
    };
    match (after, untried) {
        (Next::Nowhere, _) | (Next::OtherModel | Next::Another, None) => None,
        (_, Some(untried)) => Some(untried),
        (Next::Any, None) => {
            let again = health.may_retry(provider(*index)?).then_some(*index);
            if again.is_some() {
                // 25 to 75 ms, so that callers who failed together do not come back together.
                let jitter = u64::try_from((planned.gateway.entropy)() % 50).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(25 + jitter)).await;
            }
            again
        }
    }
}

/// What the node remembers of a failure.
fn note_failure(planned: &Planned<'_>, candidate: &Candidate, failed: &Failed) {
    let health = &planned.gateway.health;
    if let Some(wait) = failed.cool_down() {
        health.cool(candidate, wait, failed.is_told());
    }
    let policy = &planned.plan.policy;
    let own_time = policy.attempt_timeout_ms.is_some()
        || policy.total_timeout_ms.is_some()
        || byok::timeout(planned.call, candidate).is_some();
    if Measurements::counts(candidate) && failed.is_providers_fault(own_time) {
        health.measured.failed(candidate, failed.is_heard());
    }
}

/// Makes an attempt at a candidate.
async fn make(
    planned: &Planned<'_>,
    candidate: &Candidate,
    mut attempt: Box<Attempt>,
    deadline: Instant,
) -> Result<Content, Failed> {
    let Planned { gateway, call, plan, .. } = *planned;
    let limit = attempt.grant.limit;
    let longest = plan.policy.attempt_timeout_ms.map_or(gateway.settings.attempt_timeout, millis);
    let longest = byok::timeout(call, candidate).map_or(longest, |own| own.min(longest));
    let deadline = deadline.min(attempt.began() + longest);
    let outbound = match outbound(planned, candidate, limit, deadline).await {
        Ok(outbound) => outbound,
        Err(failed) => {
            attempt.not_sent();
            return Err(failed);
        }
    };
    let began = Instant::now();
    let mut exchange = Exchange::new(gateway, attempt, outbound);
    let exchanged = tokio::select! {
        biased;
        exchanged = &mut exchange => exchanged,
        () = tokio::time::sleep_until(deadline) => {
            exchange.abandon();
            return Err(Failed::TimedOut);
        }
        () = gateway.cut.cancelled() => return Err(Failed::Stopping),
    };
    if !matches!(exchanged, Exchanged::Failed(_)) {
        gateway.health.answered(candidate);
        if Measurements::counts(candidate) {
            gateway.health.measured.succeeded(candidate, began.elapsed());
        }
    }
    match exchanged {
        Exchanged::Whole(payload) => Ok(Content::Whole(payload)),
        Exchanged::Stream(live) => Ok(Content::Stream(live)),
        Exchanged::Failed(failed) => Err(failed),
    }
}

/// What is sent to this candidate.
async fn outbound(
    planned: &Planned<'_>,
    candidate: &Candidate,
    limit: Option<u64>,
    deadline: Instant,
) -> Result<Outbound, Failed> {
    let Planned { gateway, account, call, plan, headers, .. } = *planned;
    // Asked at every hop: time has gone by since the call was planned.
    let now = gateway.now();
    if !candidate.is_vouched_at(now) {
        return Err(Failed::NotVouched);
    }
    let provider = &*candidate.provider;
    let surface = account.dialect();
    let target = provider.spoken(surface);
    let edits = Edits {
        provider: provider.slug.as_str(),
        model: candidate.upstream_name(),
        output_limit: limit,
        default_output_limit: u64::from(candidate.max_output_tokens),
        limit_key: target::limit_key(provider),
        no_stream_options: provider.quirks.no_stream_options,
        no_store: plan.policy.zdr >= ZdrTier::ZdrWithSafetyRetention,
        vertex: target::is_vertex(provider),
    };
    let Payload { bytes: body, content_type } = written(&call.body, target, &edits, provider)?;
    refuse_by_credential(planned, candidate, &body).map_err(Failed::Untranslatable)?;
    let sign_in = sign_in(planned, candidate)?;
    let base_url = base_url(provider, sign_in.as_deref()).map_err(|_| Failed::NoEndpoint)?;
    let endpoint = gateway.upstreams.endpoint(&base_url).map_err(|_| Failed::NoEndpoint)?;
    let model = candidate.upstream_name();
    let tail = target::operation(provider, target, account.surface.operation(), model, call.body.stream);
    let tail = tail.and_then(|tail| target::way(tail, call.body.way));
    let path = tail.and_then(|tail| endpoint.path(&tail)).ok_or(Failed::NoEndpoint)?;
    let call_id: Arc<str> = account.arrival.call_id.to_string().into();
    let mut out = forwarded(headers, target, surface == target);
    if let Ok(id) = HeaderValue::from_str(&call_id) {
        out.insert(CLIENT_REQUEST_ID, id);
    }
    if let Some(content_type) = headers::content_type(&content_type) {
        out.insert(header::CONTENT_TYPE, content_type);
    }
    if let Some(sign_in) = &sign_in {
        let request = Unsigned { endpoint: &endpoint, path: &path, body: &body };
        let signed = pin!(sign_in.apply(provider.auth, request, &mut out, gateway.means(now)));
        match in_time(signed, || deadline).await {
            Ok(signed) => signed.map_err(Failed::SignIn)?,
            Err(_) => return Err(Failed::TimedOut),
        }
    }
    Ok(Outbound {
        endpoint,
        sign_in,
        owner: provider.organization_id,
        request: post(path, out, body),
        surface,
        target,
        stream: call.body.stream,
        counting: call.body.counting,
        task: call.body.is_task().then(|| Box::new((call.body.clone(), provider.slug.to_string()))),
        keep: planned.seat.slot().and_then(|slot| {
            let lowered = limit.filter(|limit| call.body.output_limit.is_none_or(|asked| *limit < asked));
            Keep::of(&gateway.cache, slot, candidate, (account.arrival.call_id, target, lowered))
                .map(Box::new)
        }),
        facts: {
            let tariff = candidate.tariff.clone();
            let costing = Costing::new(move |usage| tariff.cost(usage));
            let routing = |planned: &Planned<'_>| routing::of(planned, candidate);
            answer_facts(planned, candidate, target, (call_id, costing), routing)
        },
    })
}

/// What the gateway puts into the answer of this candidate.
pub(crate) fn answer_facts(
    planned: &Planned<'_>,
    candidate: &Candidate,
    target: DialectName,
    (call_id, costing): (Arc<str>, Costing),
    routing: impl FnOnce(&Planned<'_>) -> Bytes,
) -> AnswerFacts {
    let Planned { account, caller, call, .. } = *planned;
    AnswerFacts {
        note: Some(note(planned, candidate, call_id.clone(), costing, routing)),
        call_id,
        model: candidate.model.name.as_str().to_owned(),
        created: account.arrival.at.as_seconds(),
        asked_usage: call.body.asked_usage,
        spec: call.body.spec,
        warnings: call.body.gateway.warnings(),
        asked: if account.dialect() == target { Asked::default() } else { call.body.asked() },
        seal: (account.surface == Surface::AiSdkVideo).then(|| Ticket::seal(caller, candidate)),
    }
}

/// Refuses what may not be done with this candidate's credential: reach what is stored with it, or ask
/// again later with one that only this request has.
fn refuse_by_credential(
    planned: &Planned<'_>,
    candidate: &Candidate,
    body: &[u8],
) -> Result<(), RequestError> {
    if planned.plan.policy.zdr >= ZdrTier::ZdrWithSafetyRetention {
        outbound::refuse_stored(body, Stored::Forbidden)?;
    } else if candidate.credential_type == CredentialType::System {
        outbound::refuse_stored(body, Stored::Operators)?;
    }
    if planned.account.surface == Surface::AiSdkVideo && candidate.credential_type == CredentialType::Client {
        let why = "a video is asked for again later, without the request's credentials";
        let field = "providerOptions.gateway.byok".to_owned();
        return Err(RequestError::Untranslatable { field, why });
    }
    Ok(())
}

/// The body for this provider.
fn written(
    call: &CallBody,
    target: DialectName,
    edits: &Edits<'_>,
    provider: &Provider,
) -> Result<Payload, Failed> {
    let payload = if call.counting {
        count::request(call, target, edits).map(Payload::json)
    } else if call.is_task() {
        task::request(call, target, edits)
    } else {
        outbound::request(call, target, edits).map(Payload::json)
    };
    let fit = |payload: Payload| {
        let quirks = &provider.quirks;
        if payload.content_type != "application/json" {
            return Ok(payload);
        }
        outbound::fit(payload.bytes, &quirks.drops, &quirks.refuses).map(Payload::json)
    };
    payload.and_then(fit).map_err(Failed::Untranslatable)
}

/// What the gateway adds to the answer about itself.
fn note(
    planned: &Planned<'_>,
    candidate: &Candidate,
    generation_id: Arc<str>,
    costing: Costing,
    routing: impl FnOnce(&Planned<'_>) -> Bytes,
) -> Note {
    let place = planned.account.note_place;
    Note {
        generation_id,
        costing,
        place,
        provider: if place == NotePlace::Mlflow {
            candidate.provider.slug.to_string()
        } else {
            String::new()
        },
        routing: tells_routing(planned).then(|| routing(planned)),
    }
}

/// Whether the answer tells the plan and the attempts: always where the AI SDK looks for them, in OpenAI's chats
/// to those who use options of the gateway.
fn tells_routing(planned: &Planned<'_>) -> bool {
    match planned.account.note_place {
        NotePlace::AiSdk => true,
        NotePlace::ProviderMetadata => {
            planned.account.surface == Surface::OpenaiChat
                && planned.call.body.gateway != GatewayOptions::default()
        }
        NotePlace::Logfire | NotePlace::Groq | NotePlace::Mlflow => false,
    }
}

/// The opened credential of a candidate; none where nobody signs in.
fn sign_in(planned: &Planned<'_>, candidate: &Candidate) -> Result<Option<Arc<SignIn>>, Failed> {
    if candidate.provider.auth == AuthScheme::None {
        return Ok(None);
    }
    let credential = candidate.credential.as_ref().ok_or(Failed::NoSecret)?;
    let opened = match candidate.credential_type {
        CredentialType::Client => planned.brought.sign_in(credential),
        CredentialType::System | CredentialType::Byok => planned.gateway.vault.sign_in(credential),
    };
    opened.ok_or(Failed::NoSecret).map(Some)
}

/// The provider's base URL, its places filled from the credential.
pub(crate) fn base_url<'p>(
    provider: &'p Provider,
    sign_in: Option<&SignIn>,
) -> Result<Cow<'p, str>, PlaceError> {
    match sign_in {
        Some(sign_in) => sign_in.base_url(&provider.base_url),
        None => fill_base_url(&provider.base_url, |_| None),
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}
