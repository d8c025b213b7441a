//! `/fleet`: the nodes, what they hold, how far behind they are, what they reject.

mod drained;
mod list;
mod revoke;
mod trust_roots;
mod wave;

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_store::fleet::{Node, NodeState, Rejection};
use tidegate_types::{NodeId, OrganizationId, Position, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::fleet_wait::is_live;
use crate::state::App;

pub(crate) use wave::WaveView;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(trust_roots::trust_roots))
        .routes(routes!(wave::wave))
        .routes(routes!(wave::resume))
        .routes(routes!(revoke::revoke))
        .routes(routes!(drained::drained))
}

/// A node.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Node)]
pub(crate) struct NodeView {
    /// Identity, as in its certificate.
    #[schema(value_type = String)]
    id: NodeId,
    /// Nodes that share a limiter, a region and a pool key.
    pool: String,
    /// Name for people.
    name: String,
    /// `enrolled`, `drained` or `revoked`.
    #[schema(value_type = String)]
    state: NodeState,
    /// Enrolled, and heard of within 30 seconds.
    live: bool,
    /// Taking no new calls.
    draining: bool,
    /// Its software.
    software_version: String,
    /// Where its gateway listens.
    gateway_address: String,
    /// Its last heartbeat.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// Changes that it has not applied yet, all shards together.
    lag: u64,
    /// The newest change of each shard that it has applied, shards without changes left out.
    applied: BTreeMap<String, u64>,
    /// What it refuses to apply.
    rejections: Vec<RejectionView>,
    /// Journal records not yet acknowledged.
    journal_pending_records: u64,
    /// Their size.
    journal_pending_bytes: u64,
    /// Seconds until the journal is full at the present rate.
    journal_horizon_seconds: u64,
    /// Records of its journal that are lost: stored once, before the database was restored to an
    /// earlier state, and no longer held by the node.
    missing_records: u64,
    /// Calls in flight.
    in_flight_calls: u32,
    /// `healthy`, `away` or `memory`.
    limiter_mode: String,
    /// When its certificate expires.
    #[schema(value_type = String, format = DateTime)]
    certificate_expires_at: Timestamp,
    /// Since when it is enrolled.
    #[schema(value_type = String, format = DateTime)]
    enrolled_at: Timestamp,
}

/// A resource that a node refuses to apply.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Rejection)]
pub(crate) struct RejectionView {
    /// Its owner.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// Its kind.
    kind: String,
    /// Its id.
    id: String,
    /// The refused version's place in its shard.
    n: u64,
    /// What is wrong with it.
    reason: String,
}

impl NodeView {
    /// A node as it is shown beside the heads of the feed.
    fn of(node: &Node, heads: &Position, now: Timestamp) -> Self {
        let said = &node.heartbeat;
        let behind = heads.iter().map(|head| head.n.saturating_sub(said.applied.get(head.shard)));
        let applied = said.applied.iter().filter(|revision| revision.n > 0);
        Self {
            id: node.id,
            pool: node.pool.clone(),
            name: node.name.clone(),
            state: node.state,
            live: is_live(node, now),
            draining: said.draining,
            software_version: said.software_version.clone(),
            gateway_address: said.gateway_address.clone(),
            last_seen: node.last_seen,
            lag: behind.sum(),
            applied: applied.map(|revision| (revision.shard.index().to_string(), revision.n)).collect(),
            rejections: said.rejections.iter().map(RejectionView::from).collect(),
            journal_pending_records: said.journal_pending_records,
            journal_pending_bytes: said.journal_pending_bytes,
            journal_horizon_seconds: said.journal_horizon_seconds,
            missing_records: node.missing_records,
            in_flight_calls: said.in_flight_calls,
            limiter_mode: said.limiter_mode.clone(),
            certificate_expires_at: node.certificate_expires_at,
            enrolled_at: node.enrolled_at,
        }
    }
}

impl From<&Rejection> for RejectionView {
    fn from(said: &Rejection) -> Self {
        Self {
            organization_id: said.key.organization_id,
            kind: said.key.kind.as_str().to_owned(),
            id: said.key.id.clone(),
            n: said.n,
            reason: said.reason.clone(),
        }
    }
}
