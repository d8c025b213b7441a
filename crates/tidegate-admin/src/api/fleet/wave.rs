//! `GET /fleet/wave`, `POST /fleet/wave/resume`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_store::waves::{self, Move, Stage, Wave};
use tidegate_store::{AuditNote, SystemActor};
use tidegate_types::{NodeId, OrganizationId, Timestamp};
use utoipa::ToSchema;

use crate::actor::Caller;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// A change of the shared catalogue on its way to the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Wave)]
pub(crate) struct WaveView {
    /// `none` (nothing is staged, or it begins in a moment), `one`, `tenth` or `halted`.
    #[schema(value_type = String)]
    pub(crate) stage: Stage,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Versions that are not released.
    pub(crate) resources: Vec<StagedView>,
    /// Nodes that have them, or had them when the wave was halted.
    #[schema(value_type = Vec<String>)]
    members: Vec<NodeId>,
    /// Why it was halted.
    #[schema(value_type = Option<String>)]
    reason: Option<String>,
}

/// A version that is not released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StagedResource)]
pub(crate) struct StagedView {
    /// `provider`, `model` or `offering`.
    kind: String,
    /// Its id.
    id: String,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
}

impl From<&Wave> for WaveView {
    fn from(wave: &Wave) -> Self {
        let staged = wave.staged.iter().filter(|staged| !staged.outdated).map(|staged| StagedView {
            kind: staged.key.kind.as_str().to_owned(),
            id: staged.key.id.clone(),
            written_at: staged.updated_at,
        });
        let members = if wave.stage == Stage::None { Vec::new() } else { wave.members.clone() };
        Self {
            stage: wave.stage,
            since: wave.began_at,
            resources: staged.collect(),
            members,
            reason: (!wave.reason.is_empty()).then(|| wave.reason.clone()),
        }
    }
}

/// Shows how far a change of the shared catalogue is: one node, a tenth, or halted and why.
#[utoipa::path(get, path = "/fleet/wave", tag = "fleet", operation_id = "fleet_wave",
    responses((status = OK, description = "The wave", body = WaveView)))]
pub(super) async fn wave(State(app): State<App>, _: Caller) -> Result<Json<WaveView>, Problem> {
    let actor = SystemActor::new("fleet-wave").acting_for(OrganizationId::SYSTEM);
    let mut tx = app.store.begin(&actor).await?;
    Ok(Json(WaveView::from(&waves::look(&mut tx).await?)))
}

/// Lets a halted wave begin again, with one node. What is written meanwhile to a resource of it takes its place, and does
/// the same.
#[utoipa::path(post, path = "/fleet/wave/resume", tag = "fleet", operation_id = "fleet_wave_resume",
    responses((status = NO_CONTENT, description = "Done"), (status = CONFLICT, description = "No wave is halted")))]
pub(super) async fn resume(State(app): State<App>, caller: Caller) -> Done<Gone> {
    let system =
        caller.actor().entering(OrganizationId::SYSTEM).ok_or_else(|| Problem::not_found("object"))?;
    let mut write = Write::begin_as(&app, &caller, &system, None).await?;
    let wave = waves::hold(&mut write).await?;
    if wave.stage != Stage::Halted {
        return Err(Problem::conflict("not_halted", "No wave is halted.").into());
    }
    write.step(Move::Resume);
    let before = Some(serde_json::json!({ "stage": wave.stage, "reason": wave.reason }));
    let note = AuditNote { action: "wave.resume", object: "catalogue".to_owned(), before, after: None };
    write.finish(note, Gone {}, http::StatusCode::NO_CONTENT, None).await
}
