//! Once a second, beside the requests' way: kept answers go when their time is over, when they were purged,
//! and when nothing of their makers may be kept any more (zero data retention, rules that say `off`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_policy::{Config, OrgSnapshot};
use tidegate_types::OrganizationId;
use tokio_util::sync::CancellationToken;

use super::slot::Owner;
use super::store::ResponseCache;

/// Tends a cache until the node stops.
pub(crate) async fn tend(cache: Arc<ResponseCache>, config: Arc<Config>, stopping: CancellationToken) {
    while tokio::time::timeout(Duration::from_secs(1), stopping.cancelled()).await.is_err() {
        if cache.stock().answers > 0 {
            sweep(&cache, &config);
        }
    }
}

fn sweep(cache: &ResponseCache, config: &Config) {
    let mut snapshots: HashMap<OrganizationId, Option<Arc<OrgSnapshot>>> = HashMap::new();
    cache.sweep(Instant::now(), |owner| {
        let id = owner.organization;
        let snapshot = snapshots.entry(id).or_insert_with(|| config.organization(id));
        snapshot.as_ref().is_some_and(|snapshot| may_stay(snapshot, owner))
    });
}

fn may_stay(snapshot: &OrgSnapshot, owner: &Owner) -> bool {
    let unpurged = owner.purges == snapshot.organization().cache_purges;
    let on_route = owner.route.is_none_or(|(route, purges)| snapshot.route_purges(route) == Some(purges));
    unpurged && on_route && snapshot.keeps_answers(owner.team, owner.key)
}
