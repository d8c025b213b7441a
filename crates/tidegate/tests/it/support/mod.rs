//! What the stories share: calls as applications make them, and the books to compare.

mod app;
mod balancer;
mod books;
pub(crate) mod kms;
mod prometheus;
pub(crate) mod vault;

use std::path::Path;
use std::time::Duration;

use tidegate_testkit::installation::{Installation, Shape};
use tidegate_testkit::process::PATIENCE;

pub(crate) use app::{App, Ask, Reply, client};
pub(crate) use balancer::Balancer;
pub(crate) use books::{OwnBudget, bill, bill_lines, calls, charge, metric, nano, usage};
pub(crate) use prometheus::{Prometheus, Target};

/// The executable under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// A running installation.
pub(crate) async fn install(shape: Shape) -> Installation {
    Installation::start(binary(), shape).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// So many nodes with Redis, and one control plane.
pub(crate) fn nodes(nodes: usize) -> Shape {
    Shape { nodes, ..Shape::default() }
}

/// The same for stories in which Redis goes away: nodes wait for it no longer than a second.
pub(crate) fn losing_redis(count: usize) -> Shape {
    Shape { decision_timeout_ms: Some(1_000), ..nodes(count) }
}

/// The same, where what a dead process had in advance comes back within seconds, and counters open anew for it.
pub(crate) fn reclaiming(count: usize) -> Shape {
    Shape { reclaim_after_seconds: Some(2), ..losing_redis(count) }
}

/// The epoch under which the counters of the only organization that has any are open, as Redis names it.
pub(crate) fn epoch(installation: &Installation) -> String {
    let redis = |words: &[&str]| installation.redis.as_ref().unwrap().command(words).unwrap();
    redis(&["GET", redis(&["KEYS", "tg:*:e"]).trim()])
}

/// Lets the control plane deliver to these ports of this machine, for the installation's organization: private
/// targets are the operator's to open, in the process's own configuration.
pub(crate) async fn open_to_deliveries(installation: &mut Installation, ports: &[u16]) {
    let organization = installation.admin.get("/organizations").await.unwrap()["data"][0]["id"].clone();
    let file = installation.folder().join("control-0.toml");
    let opened = format!(
        "{}\n[[upstream.private]]\ncidr = \"127.0.0.1/32\"\nports = {ports:?}\nhttp = true\norganizations = [{organization}]\n",
        std::fs::read_to_string(&file).unwrap()
    );
    std::fs::write(&file, opened).unwrap();
    installation.control_planes[0].kill();
    installation.restart_control_plane(0).await.unwrap();
}

/// An application with `key` at each node.
pub(crate) fn apps(installation: &Installation, key: &str) -> Vec<App> {
    (0..installation.nodes.len()).map(|node| App::new(&installation.gateway(node).unwrap(), key)).collect()
}

/// Asks until `ready` says yes: for `limit`, what it takes at most on a machine of one's own, and for much longer on
/// one that others use. A state that does not come is a failure, one that comes late is none.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, limit: Duration, ready: impl FnMut() -> F) {
    within(what, limit.max(PATIENCE), ready).await;
}

/// Asks until `ready` says yes, and no longer than `limit`: where the time is the promise.
pub(crate) async fn within<F: Future<Output = bool>>(what: &str, limit: Duration, ready: impl FnMut() -> F) {
    if let Err(error) = Installation::wait_until(what, limit, ready).await {
        panic!("{error:#}");
    }
}

/// Whether the long counts are asked for.
pub(crate) fn full() -> bool {
    std::env::var_os("TIDEGATE_FULL").is_some_and(|value| value == "1")
}

/// So many seconds.
pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
