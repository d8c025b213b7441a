//! `POST /pools`

use axum::extract::State;
use serde::Deserialize;
use tidegate_store::{Change, placement, wrapped};
use utoipa::ToSchema;

use super::PoolView;
use crate::api::credentials;
use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// A pool to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolCreate {
    /// Unique in the installation; it cannot be changed later.
    #[schema(example = "eu")]
    name: String,
}

/// Makes a pool with a key of its own. System credentials are sealed for it at once; organizations are
/// served there once they name it. Its nodes need a counter store that no other pool has.
#[utoipa::path(post, path = "/pools", tag = "fleet", operation_id = "pools_create", request_body = PoolCreate,
    responses((status = CREATED, description = "The new pool", body = PoolView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<PoolCreate>) -> Done<PoolView> {
    let name = posted.body.name;
    Checks::default().slug("name", &name).done()?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    make(&app, &mut write, &name).await?;
    let view = PoolView { name: name.clone(), live_nodes: 0, created_at: app.clock.now() };
    write.created("pool.create", name, view).await
}

/// The pool, its key, and the system's credentials sealed for it, within one change of the system's.
pub(crate) async fn make(app: &App, change: &mut Change, name: &str) -> Result<(), Problem> {
    placement::insert_pool(change, name).await?;
    let key = app.vault.new_pool_key(name)?;
    wrapped::insert_pool_key(change, name, &key).await?;
    credentials::seal_for(app, change, &[name.to_owned()]).await
}
