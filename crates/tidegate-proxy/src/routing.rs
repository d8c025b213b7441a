//! What is told of the plan and the attempts: `providerMetadata.gateway.routing`, as the AI SDK's
//! users know it. Absent rather than null; no content.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::Serialize;
use tidegate_policy::{Candidate, Condition, Pause, Plan, Sort};
use tidegate_types::usage::{AttemptRecord, CredentialType};

use crate::failover::Planned;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Routing<'a> {
    original_model_id: &'a str,
    canonical_slug: &'a str,
    resolved_provider: &'a str,
    resolved_provider_api_model_id: &'a str,
    final_provider: &'a str,
    fallbacks_available: Vec<&'a str>,
    planning_reasoning: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<Sorted<'a>>,
    model_attempt_count: usize,
    total_provider_attempt_count: usize,
    model_attempts: Vec<ModelAttempt<'a>>,
}

/// How a request's `sort` ranked the providers of the model that answers, or failed last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sorted<'a> {
    option: &'static str,
    execution_order: Vec<&'a str>,
    /// USD, milliseconds, or tokens per second; absent where nothing is known.
    metrics: BTreeMap<&'a str, f64>,
    deprioritized_providers: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelAttempt<'a> {
    canonical_slug: &'a str,
    success: bool,
    provider_attempt_count: usize,
    provider_attempts: Vec<ProviderAttempt<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderAttempt<'a> {
    provider: &'a str,
    credential_type: &'static str,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    /// Milliseconds of the unix epoch.
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
}

/// The routing of a call that `candidate` is about to answer.
pub(crate) fn of(planned: &Planned<'_>, candidate: &Candidate) -> Bytes {
    told(planned, candidate, true)
}

/// The routing of a call that is answered with what `candidate` answered before: nobody is tried.
pub(crate) fn of_cached(planned: &Planned<'_>, candidate: &Candidate) -> Bytes {
    told(planned, candidate, false)
}

/// The routing of a call that nobody answered; `candidate` was tried last.
pub(crate) fn of_failed(planned: &Planned<'_>, candidate: &Candidate) -> Bytes {
    told(planned, candidate, false)
}

fn told(planned: &Planned<'_>, candidate: &Candidate, answers: bool) -> Bytes {
    let Planned { gateway, account, call, plan, .. } = *planned;
    let ended = account.attempts();
    let begun = account.arrival.at.as_millis();
    let tried: Vec<_> =
        ended.iter().filter_map(|attempt| Some((attempt, of_attempt(plan, attempt)?))).collect();
    let mut models: Vec<ModelAttempt<'_>> = Vec::new();
    for (attempt, tried) in &tried {
        note(&mut models, tried.model.name.as_str(), false, failed(attempt, tried, begun));
    }
    if answers {
        let now = ProviderAttempt {
            provider: candidate.provider.slug.as_str(),
            credential_type: paid_by(candidate.credential_type),
            success: true,
            status_code: None,
            start_time: gateway.now().as_millis(),
            end_time: None,
        };
        note(&mut models, candidate.model.name.as_str(), true, now);
    }
    let mut fallbacks: Vec<&str> = Vec::new();
    for other in &plan.candidates {
        let slug = other.provider.slug.as_str();
        if slug != candidate.provider.slug.as_str() && !fallbacks.contains(&slug) {
            fallbacks.push(slug);
        }
    }
    let first = plan.candidates.first().unwrap_or(candidate);
    let routing = Routing {
        original_model_id: &call.body.model,
        canonical_slug: candidate.model.name.as_str(),
        resolved_provider: first.provider.slug.as_str(),
        resolved_provider_api_model_id: candidate.upstream_name(),
        final_provider: candidate.provider.slug.as_str(),
        fallbacks_available: fallbacks,
        planning_reasoning: reasoning(plan),
        sort: call
            .body
            .gateway
            .sort
            .as_deref()
            .and_then(Sort::from_word)
            .map(|by| sorted(plan, candidate, by)),
        model_attempt_count: models.len(),
        total_provider_attempt_count: ended.len() + usize::from(answers),
        model_attempts: models,
    };
    serde_json::to_vec(&routing).unwrap_or_else(|_| b"{}".to_vec()).into()
}

/// Most candidates and most removed ones that are told of.
const MOST_TOLD: usize = 8;

/// Why the candidates are there and in this order, and what took out the others.
fn reasoning(plan: &Plan) -> String {
    let mut text = String::from("In order:");
    for candidate in plan.candidates.iter().take(MOST_TOLD) {
        let (slug, model) = (&candidate.provider.slug, &candidate.model.name);
        let _ = write!(text, " {slug} for {model} ({});", candidate.why());
    }
    more(&mut text, plan.candidates.len());
    if !plan.removed.is_empty() {
        text.push_str(" Taken out:");
    }
    for removed in plan.removed.iter().take(MOST_TOLD) {
        let provider = removed.provider.as_ref().map_or("everybody", |slug| slug.as_str());
        let _ = write!(text, " {provider} for {} ({});", removed.model, removed.filter);
    }
    more(&mut text, plan.removed.len());
    text.truncate(text.trim_end_matches(';').len());
    text
}

fn more(text: &mut String, count: usize) {
    if count > MOST_TOLD {
        let _ = write!(text, " and {} more;", count - MOST_TOLD);
    }
}

fn sorted<'a>(plan: &'a Plan, candidate: &Candidate, by: Sort) -> Sorted<'a> {
    let mut found = Sorted {
        option: by.as_str(),
        execution_order: Vec::new(),
        metrics: BTreeMap::new(),
        deprioritized_providers: Vec::new(),
    };
    for other in plan.candidates.iter().filter(|other| other.model.id == candidate.model.id) {
        let slug = other.provider.slug.as_str();
        if found.execution_order.contains(&slug) {
            continue;
        }
        found.execution_order.push(slug);
        if other.vitals.condition != Condition::Fine || other.pause != Pause::None {
            found.deprioritized_providers.push(slug);
        }
        if let Some(metric) = other.metric(by) {
            found.metrics.insert(slug, metric);
        }
    }
    found
}

fn note<'a>(models: &mut Vec<ModelAttempt<'a>>, model: &'a str, success: bool, attempt: ProviderAttempt<'a>) {
    match models.last_mut().filter(|last| last.canonical_slug == model) {
        Some(last) => {
            last.success = success;
            last.provider_attempt_count += 1;
            last.provider_attempts.push(attempt);
        }
        None => models.push(ModelAttempt {
            canonical_slug: model,
            success,
            provider_attempt_count: 1,
            provider_attempts: vec![attempt],
        }),
    }
}

fn failed<'a>(attempt: &AttemptRecord, tried: &'a Candidate, begun: i64) -> ProviderAttempt<'a> {
    let start_time = begun.saturating_add(i64::from(attempt.started_ms));
    ProviderAttempt {
        provider: tried.provider.slug.as_str(),
        credential_type: paid_by(attempt.credential_type),
        success: false,
        status_code: (attempt.status != 0).then_some(attempt.status),
        start_time,
        end_time: Some(start_time.saturating_add(i64::from(attempt.duration_ms))),
    }
}

fn of_attempt<'a>(plan: &'a Plan, attempt: &AttemptRecord) -> Option<&'a Candidate> {
    plan.candidates.iter().find(|candidate| candidate.offering.id == attempt.offering_id)
}

/// Whose credential it was, as the AI SDK's users know it.
pub(crate) const fn paid_by(credential: CredentialType) -> &'static str {
    match credential {
        CredentialType::System => "system",
        CredentialType::Byok | CredentialType::Client => "byok",
    }
}
