//! `/pools`: nodes that share a counter store, a region and a pool key. Organizations name those that
//! serve them (`pools` of `/organizations/{id}`).

mod create;
mod list;

pub(crate) use create::make;

use serde::Serialize;
use tidegate_store::placement::Pool;
use tidegate_types::Timestamp;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list, create::create))
}

/// A pool.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Pool)]
pub(crate) struct PoolView {
    /// Its name, as nodes and join tokens say it.
    #[schema(example = "eu")]
    name: String,
    /// Nodes of it that were heard of within 30 seconds.
    live_nodes: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Pool> for PoolView {
    fn from(pool: &Pool) -> Self {
        Self { name: pool.name.clone(), live_nodes: pool.live_nodes, created_at: pool.created_at }
    }
}
