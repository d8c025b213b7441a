//! Trades the certificate for a fresh one when a third of its time has elapsed.

use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::enroll::RenewRequest;
use tidegate_proto::enroll::enroll_service_client::EnrollServiceClient;
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_telemetry::prometheus_client::metrics::gauge::Gauge;
use tidegate_types::Clock;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Identity, bad};
use crate::backoff::Backoff;
use crate::error::NodeError;
use crate::link::{ControlPlane, Link};
use crate::notary::Notary;
use crate::outage::{Outage, why};
use crate::state::State;

/// Looks at the clock at least this often: it may be set.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Longest time for one try: who takes a connection and says nothing is away as well.
const ASKED: Duration = Duration::from_secs(60);

/// What a renewal needs, and who is told of it.
pub(crate) struct Renewing {
    pub(crate) state: Arc<State>,
    pub(crate) control: ControlPlane,
    pub(crate) link: Arc<Link>,
    pub(crate) notary: Arc<Notary>,
    pub(crate) clock: Arc<dyn Clock>,
    /// When the certificate in force ends, Unix time in seconds.
    pub(crate) ends: Gauge,
}

/// Renews until `stop`. A failure is tried again; the old certificate serves meanwhile.
pub(crate) async fn keep_fresh(renewing: Renewing, mut identity: Arc<Identity>, stop: CancellationToken) {
    let Renewing { state, control, link, notary, clock, ends } = renewing;
    let (mut backoff, outage) = (Backoff::default(), Outage::default());
    loop {
        ends.set(identity.not_after().as_seconds());
        let left = identity.renew_at().millis_since(clock.now());
        let wait = if left > 0 {
            Duration::from_millis(left.unsigned_abs()).min(LOOK_EVERY)
        } else {
            let asked = timeout(ASKED, renew(&identity, &state, &control, &link, &*clock));
            let Some(answer) = stop.run_until_cancelled(asked).await else { return };
            match answer.unwrap_or_else(|_| Err(bad("no answer"))) {
                Ok(fresh) => {
                    identity = Arc::new(fresh);
                    notary.renew(Arc::clone(&identity));
                    backoff = Backoff::default();
                    outage.ends();
                    ends.set(identity.not_after().as_seconds());
                    // By a clock that is ahead the fresh one is due as well: it is no use to ask all the time.
                    LOOK_EVERY
                }
                Err(error) => {
                    let hours_left = identity.not_after().millis_since(clock.now()) / 3_600_000;
                    if outage.begins(hours_left < 24) {
                        tracing::warn!(%error, hours_left, "the node's certificate could not be renewed");
                    }
                    backoff.next(Duration::ZERO)
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// A fresh key and certificate; the sealing key stays, since the pool's secrets are sealed to it.
async fn renew(
    old: &Identity,
    state: &State,
    control: &ControlPlane,
    link: &Link,
    clock: &dyn Clock,
) -> Result<Identity, NodeError> {
    let key = NodeKey::generate().map_err(bad)?;
    let request = RenewRequest {
        certificate_request: key.certificate_request().map_err(bad)?,
        sealing_key: old.sealing.public().to_vec(),
    };
    let answer = EnrollServiceClient::new(link.channel())
        .renew(request)
        .await
        .map_err(|status| bad(format_args!("{:?}: {}", status.code(), why(&status))))?
        .into_inner();
    let sealing = SealingKeyPair::from_bytes(old.sealing.expose()).map_err(bad)?;
    let fresh = Identity::new(key, sealing, answer, clock.now())?;
    if fresh.node_id != old.node_id {
        return Err(bad("the new certificate names another node"));
    }
    fresh.store(state)?;
    link.replace(fresh.dial(control)?);
    tracing::info!(node = %fresh.node_id, not_after = %fresh.not_after(), "certificate renewed");
    Ok(fresh)
}
