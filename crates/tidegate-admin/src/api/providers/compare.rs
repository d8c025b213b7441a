//! `POST /providers/{id}/compare`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_store::notices::{self, Notice, NoticeKind};
use tidegate_store::reconcile::{Covered, booked};
use tidegate_types::{NanoUsd, OrganizationId, Timestamp};
use utoipa::ToSchema;

use super::reconcile::{ReconcileQuery, provider};
use crate::body::Query;
use crate::checks::Checks;
use crate::idempotency::PostedTo;
use crate::state::App;
use crate::write::{Halt, Write};

/// What a provider bills for a span of time.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BilledSpan)]
pub(crate) struct Span {
    /// First instant.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// First instant after it.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Billed for it, USD.
    #[schema(value_type = String, example = "12.34")]
    cost: NanoUsd,
}

/// A provider's totals.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderTotals)]
pub(crate) struct Totals {
    /// Span by span.
    spans: Vec<Span>,
}

/// A span of time in both books.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComparedSpan)]
pub(crate) struct SpanView {
    /// First instant.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// First instant after it.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Charged for calls begun in it, over the operator's own credentials, USD.
    #[schema(value_type = String)]
    ours: NanoUsd,
    /// Billed, USD.
    #[schema(value_type = String)]
    theirs: NanoUsd,
    /// Theirs less ours, USD.
    #[schema(value_type = String)]
    difference: NanoUsd,
    /// Attempts of that time whose outcome is not known: part of the difference may be theirs.
    unresolved: u64,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Compared {
    /// Span by span.
    data: Vec<SpanView>,
}

/// Sets a provider's totals by time against the books. No charge is changed, because a total says
/// nothing of single calls; differences are told to the platform's webhooks, unless this is a dry run.
#[utoipa::path(post, path = "/providers/{id}/compare", tag = "providers", operation_id = "providers_compare",
    params(ReconcileQuery, ("id" = String, Path, description = "Its id or slug")), request_body = Totals,
    responses((status = OK, description = "Both books, side by side", body = Compared)))]
pub(super) async fn compare(
    State(app): State<App>,
    Query(query): Query<ReconcileQuery>,
    PostedTo { id, posted }: PostedTo<String, Totals>,
) -> Result<Json<Compared>, Halt> {
    let spans = posted.body.spans;
    let mut checks = Checks::default();
    checks.at_most("spans", &spans, 1_000);
    checks.that(spans.iter().all(|span| span.from < span.to), "spans", "must end after they begin").done()?;
    let mut write = Write::begin(&app, &posted.caller).await?;
    let provider = provider(&mut write, &id).await?;
    drop(write);
    let mut data = Vec::new();
    for Span { from, to, cost } in spans {
        let ours = booked(&app.store, provider, Covered { from, to }).await?;
        data.push(SpanView {
            from,
            to,
            ours: ours.charged,
            theirs: cost,
            difference: cost - ours.charged,
            unresolved: ours.unresolved,
        });
    }
    if !query.dry_run {
        let differing = data.iter().filter(|span| span.difference != NanoUsd::ZERO);
        let notice = |span: &SpanView| Notice {
            organization_id: OrganizationId::SYSTEM,
            kind: NoticeKind::ReconciliationDifference,
            subject: format!("{provider}/{}/{}/{}/{}", span.from, span.to, span.ours, span.theirs),
            data: json!({"provider_id": provider, "from": span.from, "to": span.to, "ours": span.ours,
                "theirs": span.theirs, "unresolved": span.unresolved}),
        };
        notices::raise_now(&app.store, differing.map(notice).collect(), app.clock.now()).await?;
    }
    Ok(Json(Compared { data }))
}
