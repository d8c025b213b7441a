//! `DELETE /fleet/{id}`

use axum::extract::State;
use tidegate_keyring::{Keyring, Kind};
use tidegate_store::AuditNote;
use tidegate_store::fleet::{self, NodeState};
use tidegate_telemetry::entropy;
use tidegate_types::NodeId;

use crate::actor::Caller;
use crate::body::Path;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Shuts a node out for ever: its certificate is refused, budgets no longer wait for it.
#[utoipa::path(delete, path = "/fleet/{id}", tag = "fleet", operation_id = "fleet_revoke",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = NO_CONTENT, description = "Done")))]
pub(super) async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<NodeId>) -> Done<Gone> {
    let pool = fleet::get(&app.store, id).await?.pool;
    let mut write = Write::begin(&app, &caller).await?;
    fleet::retire(&mut write, id, NodeState::Revoked).await?;
    // It knew the pool's key: what is sealed from now on is not for it.
    let rotation = Keyring::ask(&mut write, entropy::random_u128(), Kind::PoolKey, Some(&pool)).await?.0;
    let after = Some(serde_json::json!({ "pool_key_rotation": rotation.id }));
    let note = AuditNote { action: "node.revoke", object: id.to_string(), before: None, after };
    write.finish(note, Gone {}, http::StatusCode::NO_CONTENT, None).await
}
