//! `/encryption`: rotations of keys, for platform roles.

mod rotate;
mod rotations;

use serde::Serialize;
use tidegate_store::key_rotations::Rotation;
use tidegate_store::root_keys::RootRow;
use tidegate_types::Timestamp;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(rotations::rotations, rotate::rotate))
}

/// A rotation of keys.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = KeyRotation)]
pub(crate) struct RotationView {
    /// Identity.
    id: String,
    /// `kek`, `data_key`, `pool_key` or `pepper`.
    kind: String,
    /// The pool of a pool key; none: all.
    pool: Option<String>,
    /// `running` or `done`.
    state: String,
    /// Keys and secrets done.
    done: u64,
    /// Of as many.
    total: u64,
    /// Why it does not go on; it is tried again all the same.
    problem: Option<String>,
    /// Who began it.
    started_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it was done.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// A root key: it wraps all other keys, and somebody else keeps it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RootKey)]
pub(crate) struct RootView {
    /// Version.
    version: u32,
    /// Who keeps it.
    #[schema(example = "local:0123456789abcdef")]
    wrapper: String,
    /// `pending`, `active` or `retiring`.
    state: String,
}

impl From<&Rotation> for RotationView {
    fn from(rotation: &Rotation) -> Self {
        Self {
            id: rotation.id.to_string(),
            kind: rotation.kind.clone(),
            pool: rotation.pool.clone(),
            state: rotation.state.clone(),
            done: rotation.done,
            total: rotation.total,
            problem: rotation.problem.clone(),
            started_by: rotation.started_by.clone(),
            started_at: rotation.started_at,
            finished_at: rotation.finished_at,
        }
    }
}

impl From<&RootRow> for RootView {
    fn from(row: &RootRow) -> Self {
        Self { version: row.version, wrapper: row.wrapper.clone(), state: row.state.clone() }
    }
}
