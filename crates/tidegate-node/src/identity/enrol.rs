//! Trades the join token for a certificate, once in a node's life.

use std::time::Duration;

use tidegate_proto::enroll::EnrollRequest;
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_types::{Clock, Secret};
use tonic::Code;

use super::{Identity, bad};
use crate::backoff::Backoff;
use crate::error::NodeError;
use crate::link::{ControlPlane, dial};
use crate::outage::why;
use crate::state::State;

/// What the control plane is told about the node, for people.
pub(crate) struct About<'a> {
    pub(crate) name: &'a str,
    pub(crate) software_version: &'a str,
}

/// Enrols and keeps the identity. Waits for a control plane that is not there yet; a refusal is
/// final.
pub(crate) async fn enrol(
    state: &State,
    control: &ControlPlane,
    join_token: &Secret,
    about: About<'_>,
    clock: &dyn Clock,
) -> Result<Identity, NodeError> {
    let key = NodeKey::generate().map_err(bad)?;
    let sealing = SealingKeyPair::generate().map_err(bad)?;
    let request = EnrollRequest {
        join_token: join_token.expose().to_owned(),
        certificate_request: key.certificate_request().map_err(bad)?,
        sealing_key: sealing.public().to_vec(),
        name: about.name.to_owned(),
        software_version: about.software_version.to_owned(),
    };
    let mut client = EnrollServiceClient::new(dial(control, &control.roots_pem, None)?);
    let (mut backoff, mut told) = (Backoff::default(), String::new());
    let answer = loop {
        match client.enroll(request.clone()).await {
            Ok(answer) => break answer.into_inner(),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
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
            Err(status) => return Err(bad(format_args!("{:?}: {}", status.code(), status.message()))),
        }
    };
    let identity = Identity::new(key, sealing, answer, clock.now())?;
    identity.store(state)?;
    tracing::info!(node = %identity.node_id, pool = %identity.pool, "enrolled");
    Ok(identity)
}
