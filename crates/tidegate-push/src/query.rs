//! Questions that nodes ask for their callers: the store answers within one organization.

use std::sync::Arc;

use chrono::NaiveDate;
use tidegate_proto::query::query_service_server::QueryService;
use tidegate_proto::query::{
    CreditsRequest, CreditsResponse, GenerationRequest, GenerationResponse, ReportRequest, ReportResponse,
    ReportRow,
};
use tidegate_store::reports::{self, Group, Wanted};
use tidegate_store::{Store, StoreError, SystemActor, TenantTx, calls, placement};
use tidegate_types::usage::{CallOutcome, CallRecord, CredentialType};
use tidegate_types::{CallId, LabelHash, OrganizationId};
use tonic::{Request, Response, Status};

use crate::nodes::{Admitted, Nodes, unavailable};
use crate::peer;
use crate::steps;

/// The service behind `/v1/credits`, `/v1/generation` and `/v1/report`.
pub(crate) struct Questions {
    pub(crate) store: Store,
    pub(crate) nodes: Arc<Nodes>,
}

/// Most labels in a filter.
const MOST_TAGS: usize = 64;
/// Longest name in a filter, in bytes.
const LONGEST_NAME: usize = 256;

impl Questions {
    /// A transaction that sees the organization and no other: one that the node's pool serves.
    async fn within(&self, node: &Admitted, organization: &str) -> Result<TenantTx, Status> {
        let organization: OrganizationId =
            organization.parse().map_err(|_| Status::invalid_argument("organization_id is malformed"))?;
        if organization == OrganizationId::SYSTEM {
            return Err(Status::invalid_argument("organization_id is malformed"));
        }
        let served = placement::is_served(&self.store, organization, &node.pool).await;
        if !served.map_err(|error| refusal(&error))? {
            return Err(Status::permission_denied("this pool does not serve that organization"));
        }
        let actor = SystemActor::new("query").acting_for(organization);
        self.store.begin(&actor).await.map_err(|error| refusal(&error))
    }
}

#[tonic::async_trait]
impl QueryService for Questions {
    async fn credits(&self, request: Request<CreditsRequest>) -> Result<Response<CreditsResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let mut tx = self.within(&node, &request.get_ref().organization_id).await?;
        let total = reports::charged_ever(&mut tx).await.map_err(|error| refusal(&error))?;
        Ok(Response::new(CreditsResponse { total_used_nano_usd: total.get() }))
    }

    async fn generation(
        &self,
        request: Request<GenerationRequest>,
    ) -> Result<Response<GenerationResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let mut tx = self.within(&node, &request.organization_id).await?;
        let id: CallId =
            request.call_id.parse().map_err(|_| Status::invalid_argument("call_id is malformed"))?;
        let record = calls::get(&mut tx, id).await.map_err(|error| refusal(&error))?;
        generation(&mut tx, &record).await.map(Response::new).map_err(|error| refusal(&error))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let mut tx = self.within(&node, &request.organization_id).await?;
        let sums = reports::sums(&mut tx, &wanted(request)?).await.map_err(|error| refusal(&error))?;
        let rows = sums.into_iter().map(|sum| ReportRow {
            key: sum.key,
            cost_nano_usd: sum.cost.get(),
            input_tokens: sum.input_tokens,
            output_tokens: sum.output_tokens,
            cached_input_tokens: sum.cached_input_tokens,
            cache_creation_input_tokens: sum.cache_creation_input_tokens,
            reasoning_tokens: sum.reasoning_tokens,
            request_count: sum.request_count,
        });
        Ok(Response::new(ReportResponse { rows: rows.collect() }))
    }
}

/// One call in the words of its callers.
async fn generation(tx: &mut TenantTx, record: &CallRecord) -> tidegate_store::Result<GenerationResponse> {
    let answering = record.attempts.last();
    let model = match record.model_id {
        Some(id) => reports::model_name(tx, id).await?,
        None => None,
    };
    let provider = match answering {
        Some(attempt) => reports::provider_slug(tx, attempt.provider_id).await?,
        None => None,
    };
    let usage = &record.usage;
    let steps = steps::of(tx, record).await?;
    Ok(GenerationResponse {
        created_at_micros: record.at.as_micros(),
        model: model.unwrap_or_default(),
        provider: provider.unwrap_or_default(),
        byok: answering.is_some_and(|attempt| attempt.credential_type != CredentialType::System),
        stream: record.stream,
        status: u32::from(record.status),
        outcome: outcome(&record.outcome).to_owned(),
        cost_nano_usd: record.cost.get(),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        cache_creation_input_tokens: usage.cache_creation_input_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        searches: usage.searches,
        ttft_ms: record.ttft_ms,
        duration_ms: record.duration_ms,
        candidates: steps.candidates,
        removed: steps.removed,
        attempts: steps.attempts,
    })
}

const fn outcome(outcome: &CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Answered => "answered",
        CallOutcome::Disconnected => "disconnected",
        CallOutcome::Broken => "broken",
        CallOutcome::UpstreamError => "upstream_error",
        CallOutcome::Refused { .. } => "refused",
    }
}

fn wanted(request: ReportRequest) -> Result<Wanted, Status> {
    let day = |text: &str, name: &str| {
        let wrong = |_| Status::invalid_argument(format!("{name} must be a day, YYYY-MM-DD"));
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(wrong)
    };
    let (start, end) = (day(&request.start_date, "start_date")?, day(&request.end_date, "end_date")?);
    if end < start || (end - start).num_days() > 366 {
        return Err(Status::invalid_argument("end_date must be 0 to 366 days after start_date"));
    }
    let by_hour = request.date_part == "hour";
    let group = match Group::from_name(&request.group_by) {
        Some(Group::Day) if by_hour => Group::Hour,
        Some(group) => group,
        None => return Err(Status::invalid_argument("group_by is not known")),
    };
    let name = |text: String| {
        if text.len() > LONGEST_NAME {
            return Err(Status::invalid_argument("a filter is too long"));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    };
    if request.tags.len() > MOST_TAGS {
        return Err(Status::invalid_argument("too many tags"));
    }
    let label = |bytes: Vec<u8>| {
        let bytes = bytes.try_into().map_err(|_| Status::invalid_argument("a label is malformed"))?;
        Ok::<_, Status>(LabelHash::from_bytes(bytes))
    };
    Ok(Wanted {
        start,
        end,
        group,
        user: request.user.map(label).transpose()?,
        model: name(request.model)?,
        provider: name(request.provider)?,
        credential_type: name(request.credential_type)?,
        tags: request.tags.into_iter().map(label).collect::<Result<_, _>>()?,
        all_tags: request.all_tags,
    })
}

fn refusal(error: &StoreError) -> Status {
    match error {
        StoreError::NotFound => Status::not_found("nothing is stored under this id"),
        other => unavailable(other),
    }
}
