//! `POST /providers/{id}/reconcile`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_store::notices::{self, Notice, NoticeKind};
use tidegate_store::reconcile::{Bill, Covered, Difference, Outcome, reconcile as settle};
use tidegate_store::{AuditNote, epochs, providers, resources};
use tidegate_types::resource::{Resource, ResourceKind};
use tidegate_types::{CallId, NanoUsd, OrganizationId, ProviderId, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::body::Query;
use crate::checks::Checks;
use crate::idempotency::PostedTo;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Halt, Write};

/// Differences that an answer lists; more are counted only.
const MOST_DIFFERENCES: usize = 1_000;
/// A node not heard of for so long is away: its pool's counters are left alone.
const AWAY_MS: i64 = 90_000;

/// How to reconcile.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReconcileQuery {
    /// Change nothing; only say what would change.
    pub(super) dry_run: bool,
}

/// One line of a provider's bill.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BillLine)]
pub(crate) struct Line {
    /// The call: what Tidegate sent as `x-client-request-id`.
    #[schema(value_type = String)]
    call_id: CallId,
    /// What is billed, USD. Several lines of one call are one sum.
    #[schema(value_type = String, example = "0.000123")]
    cost: NanoUsd,
}

/// For which time the bill is complete.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BillCovers)]
pub(crate) struct Covers {
    /// First instant.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// First instant after it.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
}

/// A provider's bill, or a part of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderBill)]
pub(crate) struct BillSpec {
    /// What is billed for which call.
    lines: Vec<Line>,
    /// With it, attempts of that time whose outcome is not known and that are on no line turn out
    /// not to be billed.
    #[serde(default)]
    covers: Option<Covers>,
}

/// A call whose charge was not what its provider bills.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BillDifference)]
pub(crate) struct DifferenceView {
    /// The call.
    #[schema(value_type = String)]
    call_id: CallId,
    /// Whose; `null`: no such call at this provider.
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// In our books before, USD.
    #[schema(value_type = String)]
    ours: NanoUsd,
    /// On the bill, USD.
    #[schema(value_type = String)]
    theirs: NanoUsd,
    /// Whether the books agree with the bill now. Charges that the provider itself had reported are
    /// not changed.
    settled: bool,
}

impl From<&Difference> for DifferenceView {
    fn from(found: &Difference) -> Self {
        let Difference { call_id, organization_id, ours, theirs, settled } = *found;
        Self { call_id, organization_id, ours, theirs, settled }
    }
}

/// What came of a bill.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Reconciled {
    /// Whether nothing was stored.
    dry_run: bool,
    /// Calls on the bill that our books agree with.
    agreeing: usize,
    /// Attempts that got the charge that the bill says.
    charged: usize,
    /// Attempts that turned out not to be billed.
    voided: usize,
    /// Attempts on the bill that are still running: bring it again later.
    running: usize,
    /// Calls whose charge differed.
    differing: usize,
    /// The first 1,000 of them.
    differences: Vec<DifferenceView>,
    /// Organizations whose live counters are being written anew.
    #[schema(value_type = Vec<String>)]
    reopened: Vec<OrganizationId>,
}

/// Sets a provider's bill against the books: what nobody knew is resolved by it, what differs is
/// told. Bringing the same bill again changes nothing.
#[utoipa::path(post, path = "/providers/{id}/reconcile", tag = "providers", operation_id = "providers_reconcile",
    params(ReconcileQuery, ("id" = String, Path, description = "Its id or slug")), request_body = BillSpec,
    responses((status = OK, description = "What came of it", body = Reconciled)))]
pub(super) async fn reconcile(
    State(app): State<App>,
    Query(query): Query<ReconcileQuery>,
    PostedTo { id, posted }: PostedTo<String, BillSpec>,
) -> Result<Response, Halt> {
    let bill = bill(posted.body)?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let provider = provider(&mut write, &id).await?;
    let now = app.clock.now();
    let outcome = settle(&app.store, provider, &bill, query.dry_run, now).await?;
    let mut reopened = Vec::new();
    if !query.dry_run {
        for organization in &outcome.changed {
            let pools = epochs::reopen(&app.store, *organization, now.plus_millis(-AWAY_MS), now).await?;
            reopened.extend((!pools.is_empty()).then_some(*organization));
        }
    }
    if !query.dry_run {
        notices::raise_now(&app.store, differing(provider, &outcome, now), now).await?;
    }
    let answer = answer(&outcome, query.dry_run, reopened);
    if query.dry_run {
        return Ok((StatusCode::OK, axum::Json(answer)).into_response());
    }
    let told = Reconciled { differences: Vec::new(), ..answer.clone() };
    let after = Some(serde_json::to_value(told).map_err(|_| Problem::internal())?);
    let note = AuditNote { action: "provider.reconcile", object: provider.to_string(), before: None, after };
    Ok(write.finish(note, answer, StatusCode::OK, None).await?.into_response())
}

/// What is told to whom: each organization of its own calls, the platform of all.
fn differing(provider: ProviderId, outcome: &Outcome, now: Timestamp) -> Vec<Notice> {
    let mut sums: BTreeMap<OrganizationId, (u64, NanoUsd, NanoUsd)> = BTreeMap::new();
    for found in &outcome.differences {
        for owner in [Some(OrganizationId::SYSTEM), found.organization_id].into_iter().flatten() {
            let (calls, ours, theirs) = sums.entry(owner).or_default();
            (*calls, *ours, *theirs) = (*calls + 1, *ours + found.ours, *theirs + found.theirs);
        }
    }
    let notice = |(organization_id, (calls, ours, theirs))| Notice {
        organization_id,
        kind: NoticeKind::ReconciliationDifference,
        subject: format!("{provider}/{now}"),
        data: json!({"provider_id": provider, "calls": calls, "ours": ours, "theirs": theirs}),
    };
    sums.into_iter().map(notice).collect()
}

fn answer(outcome: &Outcome, dry_run: bool, reopened: Vec<OrganizationId>) -> Reconciled {
    Reconciled {
        dry_run,
        agreeing: outcome.agreeing,
        charged: outcome.charged,
        voided: outcome.voided,
        running: outcome.running,
        differing: outcome.differences.len(),
        differences: outcome.differences.iter().take(MOST_DIFFERENCES).map(Into::into).collect(),
        reopened,
    }
}

fn bill(asked: BillSpec) -> Result<Bill, Problem> {
    let mut checks = Checks::default();
    checks.that(asked.lines.iter().all(|line| line.cost >= NanoUsd::ZERO), "lines", "must not be negative");
    if let Some(covers) = asked.covers {
        checks.that(covers.from < covers.to, "covers.to", "must be after covers.from");
    }
    checks.done()?;
    let mut lines: BTreeMap<CallId, NanoUsd> = BTreeMap::new();
    for line in asked.lines {
        *lines.entry(line.call_id).or_default() += line.cost;
    }
    let covered = asked.covers.map(|covers| Covered { from: covers.from, to: covers.to });
    Ok(Bill { lines, covered })
}

/// The shared catalogue's provider of this id or slug.
pub(super) async fn provider(write: &mut Write, named: &str) -> Result<ProviderId, Problem> {
    if let Ok(id) = named.parse::<ProviderId>() {
        return Ok(providers::get(write, OrganizationId::SYSTEM, id).await?.value.id);
    }
    let known = resources(write, &[ResourceKind::Provider]).await?;
    let found = known.iter().find_map(|resource| match resource {
        Resource::Provider(provider) if provider.slug.as_str() == named => Some(provider.id),
        _ => None,
    });
    found.ok_or_else(|| Problem::not_found("provider"))
}
