//! Budget epochs over the wire: the store decides, this checks who asks and translates.

use std::sync::Arc;

use tidegate_proto::budget::budget_service_server::BudgetService;
use tidegate_proto::budget::{
    self as wire, AllowGrantsRequest, AllowGrantsResponse, ConfirmEpochRequest, ConfirmEpochResponse,
    OpenEpochRequest, OpenEpochResponse, ReturnGrantsOfRequest, ReturnGrantsRequest, ReturnGrantsResponse,
    ReviewGrantsRequest, ReviewGrantsResponse, ReviewHoldsRequest, ReviewHoldsResponse,
    open_epoch_response::Outcome,
};
use tidegate_store::epochs::{self, Asked, Asking, Decision, Known, Opening, Wait};
use tidegate_store::{Store, StoreError};
use tidegate_telemetry::entropy;
use tidegate_types::resource::{OpenHold, OpeningBalance};
use tidegate_types::{CallId, Clock, NanoUsd, OrganizationId};
use tonic::{Request, Response, Status};

use crate::nodes::{Admitted, Nodes, unavailable};
use crate::peer;

const LONGEST_RUN_ID: usize = 128;
/// Most attempts in one review.
const MOST_REVIEWED: usize = 1_000;

/// The service behind `OpenEpoch` and `ConfirmEpoch`.
pub(crate) struct Authority {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) nodes: Arc<Nodes>,
    /// Most of a window's limit that one node may have in advance; 0: nothing.
    pub(crate) grant_percent: u8,
}

#[tonic::async_trait]
impl BudgetService for Authority {
    async fn open_epoch(
        &self,
        request: Request<OpenEpochRequest>,
    ) -> Result<Response<OpenEpochResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let asked = Asked {
            organization_id: organization(&request.organization_id)?,
            pool: &node.pool,
            store_run_id: run_id(&request.store_run_id)?,
            found_epoch: epoch(request.found_epoch)?,
        };
        let permit = format!("{:032x}", entropy::random_u128());
        let decision = epochs::open(&self.store, &asked, &permit, self.clock.now()).await;
        let outcome = match decision.map_err(|error| refusal(&error))? {
            Decision::Open(opening) => Outcome::Open(open_with(opening)),
            Decision::Retry { after_ms, wait } => {
                let reason = match wait {
                    Wait::Opening => "opening",
                    Wait::Shipping => "shipping",
                    Wait::Elsewhere => "elsewhere",
                };
                Outcome::Retry(wire::RetryLater { after_ms, reason: reason.to_owned() })
            }
            Decision::Already { epoch } => Outcome::Already(wire::AlreadyOpen { epoch }),
        };
        Ok(Response::new(OpenEpochResponse { outcome: Some(outcome) }))
    }

    async fn confirm_epoch(
        &self,
        request: Request<ConfirmEpochRequest>,
    ) -> Result<Response<ConfirmEpochResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let epoch = epoch(request.epoch)?;
        let asked = Asked {
            organization_id: organization(&request.organization_id)?,
            pool: &node.pool,
            store_run_id: run_id(&request.store_run_id)?,
            found_epoch: epoch,
        };
        let confirmed =
            epochs::confirm(&self.store, &asked, epoch, run_id(&request.permit)?, self.clock.now()).await;
        let accepted = confirmed.map_err(|error| refusal(&error))?;
        Ok(Response::new(ConfirmEpochResponse { accepted }))
    }

    async fn allow_grants(
        &self,
        request: Request<AllowGrantsRequest>,
    ) -> Result<Response<AllowGrantsResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let (organization, epoch) = (organization(&request.organization_id)?, epoch(request.epoch)?);
        let percent = self.grant_percent.min(100);
        if percent == 0 {
            return Ok(Response::new(AllowGrantsResponse { percent: 0 }));
        }
        let asking = Asking { tells_apart: request.tells_apart, ..asking(&node, request.boot)? };
        let now = self.clock.now();
        let noted = epochs::allow_grants(&self.store, &asking, organization, epoch, percent, now).await;
        let allowed = noted.map_err(|error| refusal(&error))?;
        Ok(Response::new(AllowGrantsResponse { percent: if allowed { u32::from(percent) } else { 0 } }))
    }

    async fn return_grants(
        &self,
        request: Request<ReturnGrantsRequest>,
    ) -> Result<Response<ReturnGrantsResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let asking = asking(&node, request.boot)?;
        let of = request.organization_id.as_deref().map(organization).transpose()?;
        epochs::return_grants(&self.store, &asking, of).await.map_err(|error| refusal(&error))?;
        Ok(Response::new(ReturnGrantsResponse {}))
    }

    async fn return_grants_of(
        &self,
        request: Request<ReturnGrantsOfRequest>,
    ) -> Result<Response<ReturnGrantsResponse>, Status> {
        // The same under a name that an earlier control plane does not take for all organizations.
        self.return_grants(request.map(|of| {
            let ReturnGrantsOfRequest { boot, organization_id } = of;
            ReturnGrantsRequest { boot, organization_id: Some(organization_id) }
        }))
        .await
    }

    async fn review_grants(
        &self,
        request: Request<ReviewGrantsRequest>,
    ) -> Result<Response<ReviewGrantsResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let boots = asking(&node, request.from_boot)?.boot..asking(&node, request.before_boot)?.boot;
        let ended = epochs::review_grants(&self.store, node.node_id, boots).await;
        let ended = ended.map_err(|error| refusal(&error))?.into_iter().map(|ended| wire::EndedGrants {
            organization_id: ended.organization_id.to_string(),
            epoch: ended.epoch,
            boot: ended.boot,
            used: ended.used.iter().map(balance).collect(),
        });
        Ok(Response::new(ReviewGrantsResponse { ended: ended.collect() }))
    }

    async fn review_holds(
        &self,
        request: Request<ReviewHoldsRequest>,
    ) -> Result<Response<ReviewHoldsResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let request = request.into_inner();
        let organization = organization(&request.organization_id)?;
        if request.attempts.len() > MOST_REVIEWED {
            return Err(Status::invalid_argument("too many attempts at once"));
        }
        let attempts = request.attempts.iter().map(attempt).collect::<Result<Vec<_>, Status>>()?;
        let asking = (node.node_id, node.pool.as_str());
        let known = epochs::review(&self.store, asking, organization, &attempts, self.clock.now()).await;
        let known = known.map_err(|error| refusal(&error))?;
        let mut reviewed = ReviewHoldsResponse::default();
        for (held, known) in request.attempts.into_iter().zip(known) {
            match end(known) {
                Some(end) => reviewed.ended.push(wire::AttemptEnd {
                    call_id: held.call_id,
                    attempt: held.attempt,
                    end: Some(end),
                }),
                None if known == Known::Unknown => reviewed.unknown.push(held),
                None => {}
            }
        }
        Ok(Response::new(reviewed))
    }
}

const fn end(known: Known) -> Option<wire::attempt_end::End> {
    match known {
        Known::Unknown | Known::Open => None,
        Known::Spent(cost) => Some(wire::attempt_end::End::SpentNanoUsd(cost.get())),
        Known::Void => Some(wire::attempt_end::End::Voided(true)),
        Known::Unresolved => Some(wire::attempt_end::End::Unresolved(true)),
    }
}

fn attempt(held: &wire::HeldAttempt) -> Result<(CallId, u16), Status> {
    let call = held.call_id.parse().ok();
    call.zip(u16::try_from(held.attempt).ok())
        .ok_or_else(|| Status::invalid_argument("an attempt is malformed"))
}

fn asking(node: &Admitted, boot: u64) -> Result<Asking<'_>, Status> {
    // Postgres counts with signed numbers.
    if i64::try_from(boot).is_err() {
        return Err(Status::invalid_argument("the boot is out of range"));
    }
    Ok(Asking { node_id: node.node_id, boot, pool: &node.pool, tells_apart: false })
}

fn organization(text: &str) -> Result<OrganizationId, Status> {
    text.parse().map_err(|_| Status::invalid_argument("organization_id is malformed"))
}

/// A short printable text that a node made up.
fn run_id(text: &str) -> Result<&str, Status> {
    let is_fine =
        !text.is_empty() && text.len() <= LONGEST_RUN_ID && text.bytes().all(|b| b.is_ascii_graphic());
    if is_fine { Ok(text) } else { Err(Status::invalid_argument("store_run_id or permit is malformed")) }
}

fn epoch(epoch: u64) -> Result<u64, Status> {
    // Postgres counts with signed numbers, and the next one must fit as well.
    if epoch < i64::MAX as u64 {
        Ok(epoch)
    } else {
        Err(Status::invalid_argument("the epoch is out of range"))
    }
}

fn refusal(error: &StoreError) -> Status {
    match error {
        StoreError::NotFound | StoreError::Dangling(_) => Status::not_found("no such organization"),
        other => unavailable(other),
    }
}

fn open_with(opening: Opening) -> wire::OpenWith {
    wire::OpenWith {
        epoch: opening.epoch,
        permit: opening.permit,
        balances: opening.balances.iter().map(balance).collect(),
        holds: opening.holds.iter().map(hold).collect(),
    }
}

fn balance(balance: &OpeningBalance) -> wire::OpeningBalance {
    wire::OpeningBalance {
        budget_id: balance.budget_id.to_string(),
        window_start_micros: balance.window_start.as_micros(),
        window_end_micros: balance.window_end.as_micros(),
        spent_nano_usd: balance.spent.get(),
        unresolved_nano_usd: NanoUsd::get(balance.unresolved),
    }
}

fn hold(hold: &OpenHold) -> wire::OpenHold {
    wire::OpenHold {
        call_id: hold.call_id.to_string(),
        attempt: u32::from(hold.attempt),
        budget_id: hold.budget_id.to_string(),
        window_start_micros: hold.window_start.as_micros(),
        window_end_micros: hold.window_end.as_micros(),
        amount_nano_usd: hold.amount.get(),
        deadline_micros: hold.deadline.as_micros(),
    }
}
