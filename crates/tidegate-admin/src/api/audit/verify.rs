//! `GET /audit/verify`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::audit::{self, Verdict};
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::problem::Problem;
use crate::state::App;

/// What checking the chain found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditVerdict {
    /// Every entry follows from the one before, up to the head.
    whole: bool,
    /// Entries checked, when whole.
    entries: Option<u64>,
    /// The first entry that is missing or edited.
    broken_at: Option<u64>,
}

/// Checks the audit's chain of hashes from its first entry to its head.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", operation_id = "audit_verify",
    responses((status = OK, description = "Whether the chain is whole", body = AuditVerdict)))]
pub(super) async fn verify(State(app): State<App>, caller: Caller) -> Result<Json<AuditVerdict>, Problem> {
    let mut tx = app.store.begin_snapshot(caller.actor()).await?;
    Ok(Json(match audit::verify(&mut tx).await? {
        Verdict::Whole(entries) => AuditVerdict { whole: true, entries: Some(entries), broken_at: None },
        Verdict::BrokenAt(n) => AuditVerdict { whole: false, entries: None, broken_at: Some(n) },
    }))
}
