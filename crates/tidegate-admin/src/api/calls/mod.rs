//! `/calls`: one record for each call, refusals included. No content, only ids, numbers and
//! keyed hashes.

mod get;
mod list;
mod plan;

use serde::Serialize;
use tidegate_types::usage::{AttemptRecord, CallOutcome, CallRecord, Surface, Usage};
use tidegate_types::{CallId, KeyId, LabelHash, ModelId, NanoUsd, RouteId, TeamId, Timestamp, TraceParent};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::plan::PlanView;
use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(get::get))
}

/// One call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub(crate) struct CallView {
    /// The call's id, as the caller got it.
    #[schema(value_type = String)]
    id: CallId,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Whose key.
    #[schema(value_type = String)]
    team_id: TeamId,
    /// The key.
    #[schema(value_type = String)]
    key_id: KeyId,
    /// Which surface was called.
    #[schema(value_type = String)]
    surface: Surface,
    /// Whether a stream was asked for.
    stream: bool,
    /// The model that answered, or was asked for.
    #[schema(value_type = Option<String>)]
    model_id: Option<ModelId>,
    /// The route that was asked for.
    #[schema(value_type = Option<String>)]
    route_id: Option<RouteId>,
    /// HTTP status that the client got.
    status: u16,
    /// How it ended.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    outcome: CallOutcome,
    /// Attempts in order.
    #[schema(value_type = Vec<Object>)]
    attempts: Vec<AttemptRecord>,
    /// Who could have answered, and who was taken out; absent where that says no more than the attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanView>,
    /// Counts of all attempts together.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    usage: Usage,
    /// Charge of all attempts together, USD.
    #[schema(value_type = String)]
    cost: NanoUsd,
    /// Milliseconds to the first event.
    ttft_ms: Option<u32>,
    /// Milliseconds to the end.
    duration_ms: u32,
    /// Microseconds spent in the gateway before the first attempt.
    overhead_us: u32,
    /// Keyed hash of the end user.
    #[schema(value_type = Option<String>)]
    end_user: Option<LabelHash>,
    /// Keyed hash of the session.
    #[schema(value_type = Option<String>)]
    session: Option<LabelHash>,
    /// Keyed hash of the application's name.
    #[schema(value_type = Option<String>)]
    app: Option<LabelHash>,
    /// Keyed hashes of the tags.
    #[schema(value_type = Vec<String>)]
    tags: Vec<LabelHash>,
    /// The trace that the request said it belongs to (W3C `traceparent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    trace: Option<TraceParent>,
    /// The call whose answer this one got from the response cache: nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    cached_from: Option<CallId>,
    /// Revision of the configuration that decided, `shard.n`.
    revision: String,
}

impl From<&CallRecord> for CallView {
    fn from(record: &CallRecord) -> Self {
        Self {
            id: record.call_id,
            at: record.at,
            team_id: record.team_id,
            key_id: record.key_id,
            surface: record.surface,
            stream: record.stream,
            model_id: record.model_id,
            route_id: record.route_id,
            status: record.status,
            outcome: record.outcome,
            attempts: record.attempts.clone(),
            plan: record.plan.as_deref().map(Into::into),
            usage: record.usage,
            cost: record.cost,
            ttft_ms: record.ttft_ms,
            duration_ms: record.duration_ms,
            overhead_us: record.overhead_us,
            end_user: record.end_user,
            session: record.session,
            app: record.app,
            tags: record.tags.clone(),
            trace: record.trace,
            cached_from: record.cached_from,
            revision: format!("{}.{}", record.revision.shard.index(), record.revision.n),
        }
    }
}
