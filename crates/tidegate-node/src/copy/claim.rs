//! Which node a reserve is: the first that has claimed it over Redis.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_limits::{LimitError, Limiter};
use tidegate_types::NodeId;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::begun::Begun;
use crate::pulse::Pulse;

/// For so long nobody else gets a claimed reserve: longer than its certificate.
const CLAIMED: Duration = Duration::from_secs(8 * 86_400);
/// Between two claims of the reserve that a node runs by.
const EVERY: Duration = Duration::from_secs(5);

/// Whether the reserve is this folder's, now or from an earlier time.
pub(super) async fn own(limiter: &Limiter, node: NodeId, begun: &Begun) -> Result<bool, LimitError> {
    limiter.own(&format!("reserve:{node}"), begun.owner(), CLAIMED).await
}

/// Goes on claiming the reserve that the node runs by until `stop`: a Redis that has lost the claim is told again, before
/// another node takes the same. A node that finds another one under its identity takes no calls.
pub(crate) async fn keep(limiter: Limiter, begun: Begun, pulse: Arc<Pulse>, stop: CancellationToken) {
    let Some(node) = begun.node else { return };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // Without Redis nobody can claim it either.
        let Ok(is_own) = own(&limiter, node, &begun).await else { continue };
        if pulse.doubled.swap(!is_own, Ordering::AcqRel) == is_own {
            match is_own {
                true => tracing::info!(%node, "no other node has begun by the same reserve any more"),
                false => tracing::error!(
                    %node,
                    "another node has begun by the same reserve: this one takes no calls; ship its journal and empty its state folder"
                ),
            }
        }
    }
}
