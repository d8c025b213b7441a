//! Questions of callers that only the control plane can answer, asked over the node's own connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tidegate_proto::query::query_service_client::QueryServiceClient;
use tidegate_proto::query::{
    self as wire, CreditsRequest, GenerationRequest, GenerationResponse, ReportRequest,
};
use tidegate_proxy::{
    AttemptStep, Generation, NoAnswer, PlannedStep, Questions, RemovedStep, ReportQuery, ReportRow,
};
use tidegate_types::usage::Usage;
use tidegate_types::{CallId, NanoUsd, OrganizationId, Timestamp, TrustRuleId};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::link::Link;
use crate::wanted::WantedKeys;

/// One answer of the control plane.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks over the link.
pub(crate) struct Asker {
    link: Arc<Link>,
    wanted: Arc<WantedKeys>,
}

impl Asker {
    pub(crate) const fn new(link: Arc<Link>, wanted: Arc<WantedKeys>) -> Self {
        Self { link, wanted }
    }

    fn client(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.link.channel())
            .max_decoding_message_size(tidegate_proto::MAX_MESSAGE_BYTES)
    }
}

async fn answer<T>(asked: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, NoAnswer> {
    match timeout(ANSWER, asked).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(match status.code() {
            Code::NotFound => NoAnswer::NotFound,
            Code::InvalidArgument => NoAnswer::Wrong(status.message().to_owned()),
            _ => NoAnswer::Away,
        }),
        Err(_) => Err(NoAnswer::Away),
    }
}

impl Questions for Asker {
    fn want_issuer_keys(&self, organization: OrganizationId, rule: TrustRuleId) {
        self.wanted.note(organization, rule);
    }

    fn charged_ever(&self, organization: OrganizationId) -> BoxFuture<'_, Result<NanoUsd, NoAnswer>> {
        async move {
            let request = CreditsRequest { organization_id: organization.to_string() };
            let credits = answer(self.client().credits(request)).await?;
            Ok(NanoUsd::new(credits.total_used_nano_usd))
        }
        .boxed()
    }

    fn generation(
        &self,
        organization: OrganizationId,
        call: CallId,
    ) -> BoxFuture<'_, Result<Generation, NoAnswer>> {
        async move {
            let request =
                GenerationRequest { organization_id: organization.to_string(), call_id: call.to_string() };
            answer(self.client().generation(request)).await.map(generation)
        }
        .boxed()
    }

    fn report(
        &self,
        organization: OrganizationId,
        query: ReportQuery,
    ) -> BoxFuture<'_, Result<Vec<ReportRow>, NoAnswer>> {
        async move {
            let request = ReportRequest {
                organization_id: organization.to_string(),
                start_date: query.days.0,
                end_date: query.days.1,
                group_by: query.group_by,
                date_part: query.date_part,
                user: query.user.map(|user| user.as_bytes().to_vec()),
                model: query.model,
                provider: query.provider,
                credential_type: query.credential_type,
                tags: query.tags.iter().map(|tag| tag.as_bytes().to_vec()).collect(),
                all_tags: query.all_tags,
            };
            let report = answer(self.client().report(request)).await?;
            let row = |row: tidegate_proto::query::ReportRow| ReportRow {
                key: row.key,
                cost: NanoUsd::new(row.cost_nano_usd),
                usage: Usage {
                    input_tokens: row.input_tokens,
                    output_tokens: row.output_tokens,
                    cached_input_tokens: row.cached_input_tokens,
                    cache_creation_input_tokens: row.cache_creation_input_tokens,
                    reasoning_tokens: row.reasoning_tokens,
                    requests: row.request_count,
                    ..Usage::default()
                },
            };
            Ok(report.rows.into_iter().map(row).collect())
        }
        .boxed()
    }
}

fn generation(m: GenerationResponse) -> Generation {
    Generation {
        created_at: Timestamp::from_micros(m.created_at_micros),
        model: m.model,
        provider: m.provider,
        byok: m.byok,
        stream: m.stream,
        outcome: m.outcome,
        cost: NanoUsd::new(m.cost_nano_usd),
        usage: Usage {
            input_tokens: m.input_tokens,
            output_tokens: m.output_tokens,
            cached_input_tokens: m.cached_input_tokens,
            cache_creation_input_tokens: m.cache_creation_input_tokens,
            reasoning_tokens: m.reasoning_tokens,
            searches: m.searches,
            ..Usage::default()
        },
        ttft_ms: m.ttft_ms,
        duration_ms: m.duration_ms,
        candidates: m.candidates.into_iter().map(planned).collect(),
        removed: m.removed.into_iter().map(removed).collect(),
        attempts: m.attempts.into_iter().map(attempt).collect(),
    }
}

fn planned(m: wire::PlannedStep) -> PlannedStep {
    let wire::PlannedStep { model, provider, credential_type, role, standing, ejected } = m;
    PlannedStep { model, provider, credential_type, role, standing, ejected }
}

fn removed(m: wire::RemovedStep) -> RemovedStep {
    let wire::RemovedStep { model, provider, filter } = m;
    RemovedStep { model, provider, filter }
}

fn attempt(m: wire::AttemptStep) -> AttemptStep {
    AttemptStep {
        model: m.model,
        provider: m.provider,
        credential_type: m.credential_type,
        status: u16::try_from(m.status).unwrap_or(0),
        outcome: m.outcome,
        started_ms: m.started_ms,
        duration_ms: m.duration_ms,
    }
}
