//! Call records as spans: one for the call, by the GenAI semantic conventions, and one below it for each
//! attempt at a provider.
//!
//! Names of attributes: open-telemetry/semantic-conventions-genai (status Development); `mlflow.llm.cost`
//! is what MLflow reads cost from, `gen_ai.usage.cost` is Langfuse's. Nothing here has seen content: a
//! record has none. Labels of calls under zero retention are left out.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tidegate_store::{TenantTx, reports};
use tidegate_types::resource::ZdrTier;
use tidegate_types::usage::{AttemptRecord, CallOutcome, CallRecord, gen_ai_operation, gen_ai_provider};
use tidegate_types::{CallId, LabelHash, ModelId, ProviderId};

/// Names of the things that records name by id; what is gone has none.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Models.
    pub models: HashMap<ModelId, String>,
    /// Providers' slugs.
    pub providers: HashMap<ProviderId, String>,
    /// Readable forms of end users and sessions.
    pub labels: HashMap<LabelHash, String>,
}

impl Names {
    /// Looks up what these records name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn of(tx: &mut TenantTx, records: &[CallRecord]) -> tidegate_store::Result<Self> {
        let mut names = Self::default();
        for record in records {
            if let Some(id) = record.model_id.filter(|id| !names.models.contains_key(id))
                && let Some(name) = reports::model_name(tx, id).await?
            {
                names.models.insert(id, name);
            }
            for attempt in &record.attempts {
                if !names.providers.contains_key(&attempt.provider_id)
                    && let Some(slug) = reports::provider_slug(tx, attempt.provider_id).await?
                {
                    names.providers.insert(attempt.provider_id, slug);
                }
            }
        }
        let labels: Vec<LabelHash> = records
            .iter()
            .flat_map(|record| [record.end_user, record.session, record.app])
            .flatten()
            .collect();
        names.labels = tidegate_store::labels::texts(tx, &labels).await?;
        Ok(names)
    }

    /// Readable, or else the keyed hash in hexadecimal digits.
    fn label(&self, hash: LabelHash) -> String {
        self.labels
            .get(&hash)
            .cloned()
            .unwrap_or_else(|| hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The OTLP request for these calls.
#[must_use]
pub fn request(records: &[CallRecord], names: &Names) -> ExportTraceServiceRequest {
    let spans = records.iter().flat_map(|record| spans(record, names)).collect();
    let resource = vec![text("service.name", "tidegate"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let scope = InstrumentationScope {
        name: "tidegate".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: resource, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

/// Flags of a span: sampled; with a parent, also that it is known to be remote.
const SAMPLED: u32 = 1;
const REMOTE: u32 = 0x300;

fn spans(record: &CallRecord, names: &Names) -> Vec<Span> {
    let own: Span = call_span(record, names);
    let below = record.attempts.iter().zip(1..).map(|(attempt, number)| Span {
        trace_id: own.trace_id.clone(),
        parent_span_id: own.span_id.clone(),
        ..attempt_span(record, attempt, number, names)
    });
    let below: Vec<Span> = below.collect();
    std::iter::once(own).chain(below).collect()
}

fn call_span(record: &CallRecord, names: &Names) -> Span {
    let operation = gen_ai_operation(record.surface);
    let model = record.model_id.and_then(|id| names.models.get(&id));
    let start = micros_to_nanos(record.at.as_micros());
    let (trace_id, parent_span_id, flags) = match record.trace {
        Some(parent) => (parent.trace_id.to_vec(), parent.span_id.to_vec(), SAMPLED | REMOTE),
        None => (record.call_id.to_u128().to_be_bytes().to_vec(), Vec::new(), SAMPLED),
    };
    Span {
        trace_id,
        parent_span_id,
        flags,
        span_id: span_id(record.call_id, 0),
        name: model.map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}")),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + u64::from(record.duration_ms) * 1_000_000,
        attributes: call_attributes(record, operation, model, names),
        status: error_type(record.outcome, record.status).map(|_| failed()),
        ..Span::default()
    }
}

fn call_attributes(
    record: &CallRecord,
    operation: &str,
    model: Option<&String>,
    names: &Names,
) -> Vec<KeyValue> {
    let usage = &record.usage;
    let mut attributes = vec![
        text("gen_ai.operation.name", operation),
        flag("gen_ai.request.stream", record.stream),
        number("http.response.status_code", i64::from(record.status)),
        text("tidegate.call_id", record.call_id.to_string()),
        text("tidegate.team_id", record.team_id.to_string()),
        text("tidegate.key_id", record.key_id.to_string()),
        text("tidegate.surface", record.surface.as_str()),
        number("tidegate.attempts", record.attempts.len().try_into().unwrap_or(i64::MAX)),
        number("tidegate.overhead_us", i64::from(record.overhead_us)),
        text("tidegate.cost_usd", record.cost.to_string()),
    ];
    if let Some(model) = model {
        attributes.push(text("gen_ai.request.model", model));
    }
    // The one that answered, or was tried last.
    if let Some(slug) = record.attempts.last().and_then(|attempt| names.providers.get(&attempt.provider_id)) {
        attributes.push(text("gen_ai.provider.name", gen_ai_provider(slug)));
        attributes.push(text("tidegate.provider", slug));
    }
    if let Some(route) = record.route_id {
        attributes.push(text("tidegate.route_id", route.to_string()));
    }
    if let Some(ttft) = record.ttft_ms {
        attributes.push(double("gen_ai.response.time_to_first_chunk", f64::from(ttft) / 1000.0));
    }
    if usage.input_tokens > 0 || usage.output_tokens > 0 {
        attributes.push(count("gen_ai.usage.input_tokens", usage.input_tokens));
        attributes.push(count("gen_ai.usage.output_tokens", usage.output_tokens));
    }
    for (name, tokens) in [
        ("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens),
        ("gen_ai.usage.cache_creation.input_tokens", usage.cache_creation_input_tokens),
        ("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens),
    ] {
        if tokens > 0 {
            attributes.push(count(name, tokens));
        }
    }
    if record.cost.get() != 0 || usage.input_tokens > 0 {
        // The exact sum is in `tidegate.cost_usd`.
        let dollars = record.cost.to_string().parse::<f64>().unwrap_or(0.0);
        attributes.push(double("gen_ai.usage.cost", dollars));
        attributes.push(text("mlflow.llm.cost", json!({ "total_cost": dollars }).to_string()));
    }
    if let Some(error) = error_type(record.outcome, record.status) {
        attributes.push(text("error.type", error));
    }
    if record.zdr < ZdrTier::ZdrWithSafetyRetention {
        let labels =
            [("user.id", record.end_user), ("session.id", record.session), ("tidegate.app", record.app)];
        let labels = labels.into_iter().filter_map(|(name, hash)| Some((name, hash?)));
        attributes.extend(labels.map(|(name, hash)| text(name, names.label(hash))));
    }
    attributes
}

fn attempt_span(record: &CallRecord, attempt: &AttemptRecord, number_of: u32, names: &Names) -> Span {
    let slug = names.providers.get(&attempt.provider_id);
    let start = micros_to_nanos(record.at.as_micros()) + u64::from(attempt.started_ms) * 1_000_000;
    let mut attributes = vec![
        number("tidegate.attempt", i64::from(number_of)),
        number("http.response.status_code", i64::from(attempt.status)),
        text("tidegate.offering_id", attempt.offering_id.to_string()),
    ];
    if let Some(slug) = slug {
        attributes.push(text("gen_ai.provider.name", gen_ai_provider(slug)));
        attributes.push(text("tidegate.provider", slug));
    }
    if let Some(credential) = attempt.credential_id {
        attributes.push(text("tidegate.credential_id", credential.to_string()));
    }
    let is_failed = attempt.status == 0 || attempt.status >= 400;
    if is_failed {
        let error = if attempt.status == 0 { "no_answer".into() } else { attempt.status.to_string() };
        attributes.push(text("error.type", error));
    }
    Span {
        flags: SAMPLED,
        span_id: span_id(record.call_id, number_of),
        name: format!("attempt {number_of} {}", slug.map_or("", String::as_str)).trim_end().to_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + u64::from(attempt.duration_ms) * 1_000_000,
        attributes,
        status: is_failed.then(failed),
        ..Span::default()
    }
}

/// The same for the same call whenever it is made: a repetition is no second span.
fn span_id(call: CallId, number: u32) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(call.to_u128().to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.finalize().iter().copied().take(8).collect()
}

fn micros_to_nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

fn failed() -> Status {
    Status { code: StatusCode::Error.into(), ..Status::default() }
}

/// `error.type` of a call that did not succeed.
fn error_type(outcome: CallOutcome, status: u16) -> Option<String> {
    match outcome {
        CallOutcome::Answered => None,
        CallOutcome::Disconnected => Some("client_disconnected".into()),
        CallOutcome::Broken => Some("stream_broken".into()),
        CallOutcome::UpstreamError => Some(status.to_string()),
        CallOutcome::Refused { cause, .. } => match serde_json::to_value(cause) {
            Ok(serde_json::Value::String(name)) => Some(name),
            _ => Some("refused".into()),
        },
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn count(key: &str, value: u64) -> KeyValue {
    number(key, i64::try_from(value).unwrap_or(i64::MAX))
}

fn double(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}
