//! Which copy of each pool is the newest, whoever made it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_store::{Store, copies};
use tidegate_types::{Clock, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::metrics::PushMetrics;

/// Between two looks for what others have published.
const LOOK: Duration = Duration::from_secs(2);

/// The newest copy of each pool, as the store knows it.
#[derive(Debug, Default)]
pub(crate) struct Copies(Mutex<HashMap<String, Timestamp>>);

impl Copies {
    /// When a pool's newest copy was made, in microseconds; 0: there is none.
    pub(crate) fn issued_at_micros(&self, pool: &str) -> i64 {
        self.0.lock().get(pool).map_or(0, |at| at.as_micros())
    }

    /// Looks until `stop`. `metrics`, where copies are published: shows how old they are.
    pub(crate) async fn follow(
        self: Arc<Self>,
        store: Store,
        clock: Arc<dyn Clock>,
        metrics: Option<PushMetrics>,
        stop: CancellationToken,
    ) {
        let began = clock.now();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match copies::issued(&store).await {
                Ok(issued) => *self.0.lock() = issued.into_iter().collect(),
                Err(error) => tracing::debug!(%error, "published copies were not looked for"),
            }
            if let Some(metrics) = &metrics {
                metrics.copy_age.set(self.age_seconds(began, clock.now()));
            }
        }
    }

    /// Of the oldest of the pools' newest copies. Those that were never made are as old as this process.
    fn age_seconds(&self, began: Timestamp, now: Timestamp) -> i64 {
        let held = self.0.lock();
        let made = held.values().map(|at| if at.as_micros() == 0 { began } else { *at });
        let oldest = made.min().unwrap_or(began);
        now.millis_since(oldest).max(0) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_the_oldest_pools_and_a_pool_without_a_copy_counts_from_the_start() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let copies = Copies::default();
        assert_eq!(copies.age_seconds(at(100), at(130)), 30);
        copies.0.lock().insert("eu".into(), at(125));
        assert_eq!(copies.age_seconds(at(100), at(130)), 5);
        copies.0.lock().insert("us".into(), at(50));
        assert_eq!(copies.age_seconds(at(100), at(130)), 80);
        *copies.0.lock() = HashMap::from([("eu".into(), at(125)), ("us".into(), at(0))]);
        assert_eq!(copies.age_seconds(at(100), at(130)), 30);
        assert_eq!(copies.issued_at_micros("us"), 0);
    }
}
