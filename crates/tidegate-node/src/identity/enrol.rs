//! Trades the join token, or the pod's service-account token, for a certificate, once in a node's life.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_proto::enroll::{EnrollRequest, EnrollResponse};
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_types::{Clock, Secret};
use tokio::time::timeout;
use tonic::{Code, Status};

use super::{Identity, bad};
use crate::backoff::Backoff;
use crate::copy::Beginning;
use crate::error::NodeError;
use crate::link::{ControlPlane, dial};
use crate::outage::{is_refusal, why};
use crate::settings::ServiceAccount;
use crate::state::State;

/// A control plane that did not answer for so long is away.
const AWAY_AFTER: Duration = Duration::from_secs(2);
/// Longest time for one try, of which a herd of others may take most: the connection's own bound ends before TLS.
const ASKED: Duration = Duration::from_secs(60);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(50);

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
    pub(super) async fn enrol(
        &self,
        state: &State,
        beginning: Option<&Arc<Beginning>>,
        clock: &dyn Clock,
    ) -> Result<Identity, NodeError> {
        let key = NodeKey::generate().map_err(bad)?;
        let sealing = SealingKeyPair::generate().map_err(bad)?;
        let mut request = EnrollRequest {
            certificate_request: key.certificate_request().map_err(bad)?,
            sealing_key: sealing.public().to_vec(),
            name: self.name.clone(),
            software_version: self.software_version.clone(),
            ..EnrollRequest::default()
        };
        let answer = match self.ask(&mut request, beginning).await? {
            Got::Answer(answer) => answer,
            Got::Begun(identity) => return Ok(*identity),
        };
        let identity = Identity::new(key, sealing, answer, clock.now())?;
        identity.store(state)?;
        tracing::info!(node = %identity.node_id, pool = %identity.pool, "enrolled");
        Ok(identity)
    }

    /// Asks the control plane, and begins by the copy once nobody has answered for a while.
    async fn ask(
        &self,
        request: &mut EnrollRequest,
        beginning: Option<&Arc<Beginning>>,
    ) -> Result<Got, NodeError> {
        let presence = Presence::default();
        let asking = self.answer(request, beginning.is_some(), &presence);
        let Some(beginning) = beginning else { return asking.await.map(Got::Answer) };
        let (mut asking, mut told) = (pin!(asking), String::new());
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return answer.map(Got::Answer),
                () = presence.goes() => {}
            }
            // Nobody is asked meanwhile: a node gets one identity.
            match beginning.take().await {
                Ok(identity) => return Ok(Got::Begun(Box::new(identity))),
                Err(error) => {
                    let why = error.to_string();
                    if told != why {
                        tracing::warn!(why, "this node cannot begin by the copy of the configuration either");
                        told = why;
                    }
                }
            }
            presence.waits_anew();
        }
    }

    /// Asks until there is an answer; `often`: something else may have been found meanwhile.
    async fn answer(
        &self,
        request: &mut EnrollRequest,
        often: bool,
        presence: &Presence,
    ) -> Result<EnrollResponse, NodeError> {
        let control = &self.control;
        let mut client = EnrollServiceClient::new(dial(control, &control.roots_pem, None)?);
        let (mut backoff, mut told) = (Backoff::default(), String::new());
        loop {
            self.show(request)?;
            presence.is_asked();
            let asked = timeout(ASKED, client.enroll(request.clone())).await;
            match asked.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))) {
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
                    presence.note(&status);
                    let wait = backoff.next(Duration::ZERO).max(Duration::from_millis(50));
                    tokio::time::sleep(if often { wait.min(AWAY_AFTER) } else { wait }).await;
                }
            }
        }
    }
}

/// How a node got its identity.
enum Got {
    Answer(EnrollResponse),
    /// By the copy of the configuration; it is kept already.
    Begun(Box<Identity>),
}

/// Whether the control plane is there: since when it was asked and has not answered.
#[derive(Default)]
struct Presence(Mutex<Option<Instant>>);

impl Presence {
    fn is_asked(&self) {
        self.0.lock().get_or_insert_with(Instant::now);
    }

    /// Who answers that it is too busy is there.
    fn note(&self, status: &Status) {
        if !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown) {
            *self.0.lock() = None;
        }
    }

    fn waits_anew(&self) {
        if let Some(since) = &mut *self.0.lock() {
            *since = Instant::now();
        }
    }

    /// Back when nobody has answered for a while.
    async fn goes(&self) {
        let is_away = || self.0.lock().is_some_and(|since| since.elapsed() >= AWAY_AFTER);
        let mut looks = tokio::time::interval(LOOK);
        while !is_away() {
            looks.tick().await;
        }
    }
}

/// Whether asking again is of no use: the control plane has read what was shown, and said no.
fn is_final(status: &Status) -> bool {
    is_refusal(status) || matches!(status.code(), Code::AlreadyExists | Code::NotFound | Code::Unimplemented)
}
