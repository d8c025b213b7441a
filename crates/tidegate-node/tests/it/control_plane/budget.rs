//! Its part for budgets: epochs that open when asked for, and what the books know of dead processes.

use std::sync::atomic::Ordering;

use tidegate_proto::budget::budget_service_server::BudgetService;
use tidegate_proto::budget::{
    AllowGrantsRequest, AllowGrantsResponse, ConfirmEpochRequest, ConfirmEpochResponse, EndedGrants,
    HeldAttempt, OpenEpochRequest, OpenEpochResponse, OpenWith, RetryLater, ReturnGrantsOfRequest,
    ReturnGrantsRequest, ReturnGrantsResponse, ReviewGrantsRequest, ReviewGrantsResponse, ReviewHoldsRequest,
    ReviewHoldsResponse, open_epoch_response::Outcome,
};
use tonic::{Request, Response, Status};

use super::{Service, node_of, take_one};

#[tonic::async_trait]
impl BudgetService for Service {
    async fn open_epoch(
        &self,
        request: Request<OpenEpochRequest>,
    ) -> Result<Response<OpenEpochResponse>, Status> {
        node_of(&request)?;
        self.shared.opened.lock().push(request.into_inner());
        let outcome = if take_one(&self.shared.retries) {
            Outcome::Retry(RetryLater { after_ms: 30, reason: "opening".into() })
        } else {
            Outcome::Open(OpenWith {
                epoch: self.shared.opened.lock().len() as u64,
                permit: "permit".into(),
                balances: self.shared.balances.lock().clone(),
                holds: Vec::new(),
            })
        };
        Ok(Response::new(OpenEpochResponse { outcome: Some(outcome) }))
    }

    async fn allow_grants(
        &self,
        _: Request<AllowGrantsRequest>,
    ) -> Result<Response<AllowGrantsResponse>, Status> {
        Ok(Response::new(AllowGrantsResponse { percent: 0 }))
    }

    async fn return_grants(
        &self,
        request: Request<ReturnGrantsRequest>,
    ) -> Result<Response<ReturnGrantsResponse>, Status> {
        let request = request.into_inner();
        // As the first release did: whatever organization is named.
        self.shared.ended_grants.lock().retain(|ended| ended.boot != request.boot);
        self.shared.returned.lock().push(request);
        Ok(Response::new(ReturnGrantsResponse {}))
    }

    async fn return_grants_of(
        &self,
        request: Request<ReturnGrantsOfRequest>,
    ) -> Result<Response<ReturnGrantsResponse>, Status> {
        if self.shared.is_of_an_earlier_release.load(Ordering::SeqCst) {
            return Err(Status::unimplemented("an earlier release"));
        }
        let told = request.into_inner();
        let of = |ended: &EndedGrants| ended.organization_id == told.organization_id;
        self.shared.ended_grants.lock().retain(|ended| ended.boot != told.boot || !of(ended));
        self.shared.returned_of.lock().push(told);
        Ok(Response::new(ReturnGrantsResponse {}))
    }

    async fn review_grants(
        &self,
        request: Request<ReviewGrantsRequest>,
    ) -> Result<Response<ReviewGrantsResponse>, Status> {
        node_of(&request)?;
        self.shared.reviewed_grants.fetch_add(1, Ordering::SeqCst);
        let asked = request.into_inner();
        let of = |ended: &&EndedGrants| (asked.from_boot..asked.before_boot).contains(&ended.boot);
        // One of several in each answer.
        let ended = self.shared.ended_grants.lock().iter().find(of).cloned().into_iter().collect();
        Ok(Response::new(ReviewGrantsResponse { ended }))
    }

    async fn review_holds(
        &self,
        request: Request<ReviewHoldsRequest>,
    ) -> Result<Response<ReviewHoldsResponse>, Status> {
        node_of(&request)?;
        let request = request.into_inner();
        self.shared.reviewed.lock().push(request.clone());
        let ended = self.shared.known_ends.lock().clone();
        let is_known = |held: &HeldAttempt| ended.iter().any(|end| end.call_id == held.call_id);
        let unknown = request.attempts.into_iter().filter(|held| !is_known(held)).collect();
        Ok(Response::new(ReviewHoldsResponse { unknown, ended }))
    }

    async fn confirm_epoch(
        &self,
        request: Request<ConfirmEpochRequest>,
    ) -> Result<Response<ConfirmEpochResponse>, Status> {
        self.shared.confirmed.lock().push(request.into_inner());
        Ok(Response::new(ConfirmEpochResponse { accepted: !take_one(&self.shared.unconfirmed) }))
    }
}
