//! Trades the join token, or the pod's service-account token, for a certificate, once in a node's life.

use std::time::Duration;

use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse};
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_types::{Clock, Secret};
use tonic::{Code, Status};

use super::{Identity, bad};
use crate::backoff::Backoff;
use crate::error::NodeError;
use crate::link::{ControlPlane, dial};
use crate::outage::{is_refusal, why};
use crate::settings::ServiceAccount;
use crate::state::State;

/// Where to enrol, by what, and as whom.
#[derive(Debug, Clone)]
pub struct Enrolling {
    /// Where the control plane is and whom to trust.
    pub control: ControlPlane,
    /// A single-use token.
    pub join_token: Option<Secret>,
    /// Instead of it: the pod's service account.
    pub service_account: Option<ServiceAccount>,
    /// Name for people.
    pub name: String,
    /// Version of the software, for display.
    pub software_version: String,
}

impl Enrolling {
    /// What the control plane is shown. A service account's token is read anew: it is rotated.
    fn show(&self, request: &mut EnrollRequest) -> Result<(), NodeError> {
        match (&self.join_token, &self.service_account) {
            (Some(token), _) => token.expose().clone_into(&mut request.join_token),
            (None, Some(account)) => {
                let token = std::fs::read_to_string(&account.token_file)
                    .map_err(NodeError::io("read the service account's token"))?;
                token.trim().clone_into(&mut request.kubernetes_token);
                request.pool.clone_from(&account.pool);
            }
            (None, None) => return Err(NodeError::NoJoinToken),
        }
        Ok(())
    }

    /// Enrols and keeps the identity. Waits for a control plane that is not there yet, or lets others in first;
    /// a refusal is final.
    pub(super) async fn enrol(&self, state: &State, clock: &dyn Clock) -> Result<Identity, NodeError> {
        let key = NodeKey::generate().map_err(bad)?;
        let sealing = SealingKeyPair::generate().map_err(bad)?;
        let mut request = EnrollRequest {
            certificate_request: key.certificate_request().map_err(bad)?,
            sealing_key: sealing.public().to_vec(),
            name: self.name.clone(),
            software_version: self.software_version.clone(),
            ..EnrollRequest::default()
        };
        let answer = self.ask(&mut request).await?;
        let identity = Identity::new(key, sealing, answer, clock.now())?;
        identity.store(state)?;
        tracing::info!(node = %identity.node_id, pool = %identity.pool, "enrolled");
        Ok(identity)
    }

    async fn ask(&self, request: &mut EnrollRequest) -> Result<EnrollResponse, NodeError> {
        let control = &self.control;
        let mut client = EnrollServiceClient::new(dial(control, &control.roots_pem, None)?);
        let (mut backoff, mut told) = (Backoff::default(), String::new());
        loop {
            self.show(request)?;
            match client.enroll(request.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_final(&status) => {
                    return Err(bad(format_args!("{:?}: {}", status.code(), status.message())));
                }
                // The same keys are shown again: where only the answer got lost, it is given again.
                Err(status) => {
                    let why = why(&status);
                    if told != why {
                        tracing::warn!(
                            why,
                            url = control.url,
                            "waiting for the control plane: this node has no identity yet, and needs it to enrol"
                        );
                        told = why;
                    }
                    let wait = backoff.next(Duration::ZERO).max(Duration::from_millis(50));
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

/// Whether asking again is of no use: the control plane has read what was shown, and said no.
fn is_final(status: &Status) -> bool {
    is_refusal(status) || matches!(status.code(), Code::AlreadyExists | Code::NotFound | Code::Unimplemented)
}
