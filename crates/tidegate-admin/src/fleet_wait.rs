//! `wait=fleet`: answers when every live node has applied a revision, or says who has not.

use std::time::Duration;

use serde::Serialize;
use tidegate_store::fleet::{self, Node, NodeState};
use tidegate_store::waves::{self, Stage};
use tidegate_store::{SystemActor, placement};
use tidegate_types::{NodeId, OrganizationId, Revision, Timestamp};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::api::fleet::WaveView;
use crate::problem::Problem;
use crate::state::App;

/// Longest wait; then the laggards are listed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(50);
/// A node that has been silent for so long is not waited for.
pub(crate) const LIVE_MS: i64 = 30_000;

/// How far a change has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FleetOutcome {
    /// Whether every live node has applied it and none has rejected it.
    applied: bool,
    /// Live nodes.
    nodes: usize,
    /// Nodes that have not applied it in time.
    laggards: Vec<Laggard>,
    /// Nodes that reject a resource of the caller's organization.
    rejections: Vec<FleetRejection>,
    /// The change is staged: it reaches nodes in waves, and this is how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<WaveView>,
}

/// A node that has not applied a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Laggard {
    /// The node.
    #[schema(value_type = String)]
    node_id: NodeId,
    /// Its name for people.
    name: String,
    /// Its pool.
    pool: String,
    /// Changes of the same shard that it has not applied, this one included.
    behind: u64,
}

/// A resource that a node refuses to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FleetRejection {
    /// The node.
    #[schema(value_type = String)]
    node_id: NodeId,
    /// Its name for people.
    name: String,
    /// Kind and id of the resource.
    resource: String,
    /// What is wrong with it.
    reason: String,
}

/// Waits until every live node has applied `revision`, at most [`PATIENCE`]. What is staged must be released first; where
/// it is halted nobody waits.
pub(crate) async fn wait(
    app: &App,
    organization: OrganizationId,
    mut revision: Revision,
    mut staged: bool,
) -> Result<FleetOutcome, Problem> {
    let actor = SystemActor::new("fleet-wait").acting_for(OrganizationId::SYSTEM);
    // Nobody else gets the change, but for pools that are told that the organization has left them.
    let pools = placement::ever_serving(&app.store, organization).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (nodes, wave) = {
            let mut tx = app.store.begin(&actor).await?;
            let mut nodes = fleet::list(&mut tx).await?;
            nodes.retain(|node| pools.contains(&node.pool));
            let wave = if staged { Some(waves::look(&mut tx).await?) } else { None };
            (nodes, wave)
        };
        let mut outcome = judge(&nodes, organization, revision, app.clock.now());
        let mut halted = false;
        if let Some(wave) = wave {
            if wave.staged.is_empty() {
                (staged, revision.n) = (false, wave.upto.max(revision.n));
                continue;
            }
            // What was just written has a halted wave begin again.
            halted = wave.stage == Stage::Halted && !wave.has_news();
            (outcome.applied, outcome.wave) = (false, Some(WaveView::from(&wave)));
        }
        let done = outcome.laggards.is_empty() && !staged;
        if done || halted || Instant::now() >= deadline {
            return Ok(outcome);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Whether a node is enrolled and has been heard of lately.
pub(crate) fn is_live(node: &Node, now: Timestamp) -> bool {
    node.state == NodeState::Enrolled && node.last_seen.is_some_and(|seen| now.millis_since(seen) < LIVE_MS)
}

fn judge(nodes: &[Node], organization: OrganizationId, revision: Revision, now: Timestamp) -> FleetOutcome {
    let live: Vec<&Node> = nodes.iter().filter(|node| is_live(node, now)).collect();
    let behind = live.iter().filter(|node| !node.heartbeat.applied.includes(revision));
    let laggard = |node: &&Node| Laggard {
        node_id: node.id,
        name: node.name.clone(),
        pool: node.pool.clone(),
        behind: revision.n.saturating_sub(node.heartbeat.applied.get(revision.shard)),
    };
    let laggards: Vec<Laggard> = behind.map(laggard).collect();
    let rejections: Vec<FleetRejection> =
        live.iter().flat_map(|node| rejections(node, organization)).collect();
    FleetOutcome {
        applied: laggards.is_empty() && rejections.is_empty(),
        nodes: live.len(),
        laggards,
        rejections,
        wave: None,
    }
}

fn rejections(node: &Node, organization: OrganizationId) -> impl Iterator<Item = FleetRejection> + '_ {
    let own = node.heartbeat.rejections.iter().filter(move |said| said.key.organization_id == organization);
    own.map(|said| FleetRejection {
        node_id: node.id,
        name: node.name.clone(),
        resource: format!("{} {}", said.key.kind.as_str(), said.key.id),
        reason: said.reason.clone(),
    })
}
