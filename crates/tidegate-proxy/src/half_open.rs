//! Who finds out whether somebody answers again whose time to rest is over: one call of the fleet. Nodes
//! ask their common store for it, once in a while and only when it is due; without the store each node
//! probes for itself.

use tidegate_policy::{Candidate, Pause, Plan};

use crate::gateway::Gateway;
use crate::health::PROBE;

/// Makes this call the probe of whom its plan would try first, if nobody else is at it.
pub(crate) async fn probe(gateway: &Gateway, plan: &mut Plan) {
    let Some(candidate) = plan.to_probe().filter(|candidate| gateway.health.begin_probe(candidate)) else {
        return;
    };
    // Seldom, and kept out of every call's state.
    if Box::pin(gateway.limiter.claim(&name(candidate), PROBE)).await.unwrap_or(true) {
        plan.probe();
    }
}

/// What is probed: a credential at an offering, or a model at a provider.
fn name(candidate: &Candidate) -> String {
    let credential = candidate.credential.as_ref().filter(|_| candidate.pause != Pause::None);
    match credential {
        Some(credential) => format!("{}:{}", credential.id, candidate.offering.id),
        None => format!("{}:{}", candidate.provider.id, candidate.model.id),
    }
}
