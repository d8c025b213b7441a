//! Enrolment: a single-use join token, or a pod's service-account token, becomes a certificate; a valid
//! certificate becomes a fresh one.

use std::sync::Arc;

use tidegate_proto::enroll::enroll_service_server::EnrollService;
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse, RenewRequest, RetireRequest, RetireResponse};
use tidegate_secrets::ca::SignedChain;
use tidegate_secrets::envelope::Aad;
use tidegate_secrets::sealing;
use tidegate_secrets::token::{self, TokenKind};
use tidegate_store::fleet::{self, Enrolment};
use tidegate_store::join_tokens::{self, Offer};
use tidegate_store::placement::DEFAULT;
use tidegate_store::{Store, StoreError};
use tidegate_telemetry::entropy;
use tidegate_types::id::kind;
use tidegate_types::{Clock, NodeId, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Request, Response, Status};

use crate::admission::Admission;
use crate::material::Material;
use crate::metrics::PushMetrics;
use crate::nodes::{Nodes, unavailable};
use crate::peer;
use crate::workload::Workloads;

const LONGEST_NAME: usize = 100;
/// Enrolments and renewals at work at once. The others wait for their turn: all of a herd at once would have every
/// one of them wait for the database until none gets it in time, and begin anew.
pub(crate) const TURNS: usize = 4;

/// The service behind `Enroll` and `Renew`.
pub(crate) struct Enroller {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) material: Arc<Material>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) admission: Arc<Admission>,
    /// Of [`TURNS`].
    pub(crate) turns: Semaphore,
    pub(crate) metrics: PushMetrics,
    /// Pods enrol by their service account, where that is set up.
    pub(crate) workloads: Option<Workloads>,
}

/// What a newcomer has shown.
enum Shown {
    JoinToken([u8; 32]),
    /// The pod's uid.
    Pod(String),
}

#[tonic::async_trait]
impl EnrollService for Enroller {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let now = self.clock.now();
        // The only call that anybody may make: its cryptography must not become a weapon.
        self.admission
            .take(now)
            .map_err(|_| Status::resource_exhausted("too many enrolments; try again later"))?;
        let _turn = self.turn().await?;
        let request = request.into_inner();
        let (name, sealing_key) = (readable(&request.name)?, sealing_key(&request.sealing_key)?);
        let fresh: NodeId = entropy::new_id(now);
        // Everything else is checked first: a malformed request does not use a token up.
        self.sign(&request.certificate_request, fresh, "unchecked", now)?;
        let (node_id, pool, signed) = match self.shown(&request).await? {
            Shown::JoinToken(hash) => self.redeem(&hash, &request, &name, sealing_key, now).await?,
            Shown::Pod(uid) => {
                let (node_id, pool) = (self.node_of_pod(&uid, fresh).await?, pool_of(&request));
                let signed = self.sign(&request.certificate_request, node_id, &pool, now)?;
                self.remember(node_id, &pool, &name, sealing_key, &signed, Some(&uid)).await?;
                (node_id, pool, signed)
            }
        };
        self.metrics.enrolled.inc();
        tracing::info!(node = %node_id, pool, "node enrolled");
        Ok(Response::new(self.answer(node_id, pool, &signed)))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<EnrollResponse>, Status> {
        let now = self.clock.now();
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        self.admission
            .take(now)
            .map_err(|_| Status::resource_exhausted("too many renewals; try again later"))?;
        let _turn = self.turn().await?;
        let request = request.into_inner();
        let sealing_key = sealing_key(&request.sealing_key)?;
        let signed = self.sign(&request.certificate_request, node.node_id, &node.pool, now)?;
        self.remember(node.node_id, &node.pool, "", sealing_key, &signed, None).await?;
        Ok(Response::new(self.answer(node.node_id, node.pool, &signed)))
    }

    async fn retire(&self, request: Request<RetireRequest>) -> Result<Response<RetireResponse>, Status> {
        let node = self.nodes.admit(peer::identity(&request)?).await?;
        let retired = fleet::retire_itself(&self.store, node.node_id, self.clock.now()).await;
        retired.map_err(|error| unavailable(&error))?;
        tracing::info!(node = %node.node_id, "the node has shipped everything and ended for good");
        Ok(Response::new(RetireResponse {}))
    }
}

impl Enroller {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Status> {
        self.turns.acquire().await.map_err(|_| Status::unavailable("the control plane is ending"))
    }

    /// Checks what a newcomer shows, without using it up.
    async fn shown(&self, request: &EnrollRequest) -> Result<Shown, Status> {
        if request.kubernetes_token.is_empty() {
            let token = token::parse::<kind::Node>(TokenKind::Join, &request.join_token);
            return token.map(|token| Shown::JoinToken(*token.hash())).ok_or_else(bad_join_token);
        }
        let Some(workloads) = &self.workloads else {
            return Err(Status::failed_precondition(
                "this control plane does not take service-account tokens; use a join token",
            ));
        };
        workloads.pod(&request.kubernetes_token, &pool_of(request)).await.map(Shown::Pod)
    }

    /// The identity of a pod: the one it was given when the answer never reached it, else a fresh one.
    /// A pod whose node has spoken has its identity.
    async fn node_of_pod(&self, uid: &str, fresh: NodeId) -> Result<NodeId, Status> {
        match fleet::of_pod(&self.store, uid).await.map_err(|error| unavailable(&error))? {
            None => Ok(fresh),
            Some((node, false)) => Ok(node),
            Some((_, true)) => Err(already_enrolled()),
        }
    }

    /// Enrols the bearer of a join token. The token is used up in the transaction that adds the node: whoever got
    /// no answer, for whatever reason, asks again with the same keys.
    async fn redeem(
        &self,
        hash: &[u8; 32],
        request: &EnrollRequest,
        name: &str,
        sealing_key: [u8; 32],
        now: Timestamp,
    ) -> Result<(NodeId, String, SignedChain), Status> {
        // The second time, an earlier request of the same newcomer was faster than this one.
        for _ in 0..2 {
            let offer = join_tokens::offer(&self.store, hash, &sealing_key, now).await;
            let Offer { pool, enrolled } =
                offer.map_err(|error| unavailable(&error))?.ok_or_else(bad_join_token)?;
            let node_id = enrolled.unwrap_or_else(|| entropy::new_id(now));
            let signed = self.sign(&request.certificate_request, node_id, &pool, now)?;
            let enrolment = enrolment(node_id, &pool, name, sealing_key, &signed);
            match join_tokens::redeem(&self.store, hash, &enrolment, now).await {
                Ok(()) => return Ok((node_id, pool, signed)),
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Err(bad_join_token())
    }

    fn sign(&self, request: &[u8], node: NodeId, pool: &str, now: Timestamp) -> Result<SignedChain, Status> {
        let signed = self.material.authority.sign_node(request, node, pool, now);
        signed.map_err(|error| Status::invalid_argument(error.to_string()))
    }

    /// Adds the node, or renews what is known of it (its name and pool stay as they were).
    async fn remember(
        &self,
        node_id: NodeId,
        pool: &str,
        name: &str,
        sealing_key: [u8; 32],
        signed: &SignedChain,
        pod: Option<&str>,
    ) -> Result<(), Status> {
        let enrolment = enrolment(node_id, pool, name, sealing_key, signed);
        match fleet::enrol_in_pod(&self.store, &enrolment, pod, self.clock.now()).await {
            Ok(()) => Ok(()),
            Err(StoreError::Taken(_)) => Err(already_enrolled()),
            Err(StoreError::Dangling(_)) => Err(Status::failed_precondition("there is no such pool")),
            Err(StoreError::NotFound) => Err(Status::permission_denied("this node may not connect any more")),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn answer(&self, node_id: NodeId, pool: String, signed: &SignedChain) -> EnrollResponse {
        EnrollResponse {
            node_id: node_id.to_string(),
            pool,
            certificate_chain: signed.chain.iter().map(|certificate| certificate.to_vec()).collect(),
            trust_roots: self.material.roots.iter().map(|root| root.to_vec()).collect(),
            not_after_micros: signed.not_after.as_micros(),
        }
    }
}

fn enrolment<'a>(
    node_id: NodeId,
    pool: &'a str,
    name: &'a str,
    sealing_key: [u8; 32],
    signed: &'a SignedChain,
) -> Enrolment<'a> {
    Enrolment {
        node_id,
        pool,
        name,
        certificate_serial: &signed.serial,
        certificate_expires_at: signed.not_after,
        sealing_key,
    }
}

fn bad_join_token() -> Status {
    Status::unauthenticated("the join token is unknown, used or expired")
}

fn already_enrolled() -> Status {
    Status::already_exists("this pod has enrolled a node already; make a new pod")
}

fn pool_of(request: &EnrollRequest) -> String {
    Some(request.pool.clone()).filter(|pool| !pool.is_empty()).unwrap_or_else(|| DEFAULT.to_owned())
}

/// A public key that something can be sealed to.
fn sealing_key(bytes: &[u8]) -> Result<[u8; 32], Status> {
    let key: [u8; 32] = bytes
        .try_into()
        .map_err(|_| Status::invalid_argument("EnrollRequest.sealing_key is not 32 bytes"))?;
    sealing::seal_to(&key, &Aad::new("check"), b"")
        .map_err(|_| Status::invalid_argument("EnrollRequest.sealing_key is not an X25519 public key"))?;
    Ok(key)
}

fn readable(name: &str) -> Result<String, Status> {
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Status::invalid_argument(
            "EnrollRequest.name is longer than 100 characters or has control characters",
        ));
    }
    Ok(name.to_owned())
}
