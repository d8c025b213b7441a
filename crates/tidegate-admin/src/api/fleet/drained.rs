//! `POST /fleet/{id}/drained`

use axum::extract::State;
use tidegate_store::AuditNote;
use tidegate_store::fleet::{self, NodeState};
use tidegate_types::NodeId;

use crate::actor::Caller;
use crate::body::Path;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Declares that a node has shipped everything and will not return: budgets no longer wait for it.
#[utoipa::path(post, path = "/fleet/{id}/drained", tag = "fleet", operation_id = "fleet_drained",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = NO_CONTENT, description = "Done")))]
pub(super) async fn drained(State(app): State<App>, caller: Caller, Path(id): Path<NodeId>) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    fleet::retire(&mut write, id, NodeState::Drained).await?;
    let note = AuditNote { action: "node.drained", object: id.to_string(), before: None, after: None };
    write.finish(note, Gone {}, http::StatusCode::NO_CONTENT, None).await
}
