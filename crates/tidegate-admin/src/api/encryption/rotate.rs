//! `POST /encryption/rotations`

use axum::extract::State;
use serde::{Deserialize, Serialize};
use tidegate_keyring::{Keyring, Kind};
use tidegate_store::AuditNote;
use tidegate_telemetry::entropy;
use utoipa::ToSchema;

use super::RotationView;
use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// What is to be rotated.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindName {
    /// The root key: everything is wrapped anew, under whoever keeps root keys now.
    Kek,
    /// Every organization's data key: stored secrets are encrypted anew.
    DataKey,
    /// The keys under which credentials travel to nodes.
    PoolKey,
    /// The pepper of virtual keys: new keys use a new one; the old one retires when no key uses it.
    Pepper,
}

/// A rotation to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotate {
    /// What.
    kind: KindName,
    /// Only this pool's key; all pools' when absent.
    pool: Option<String>,
}

/// Begins a rotation, or tells of the one that runs. Nothing stops for it; whichever control plane is there goes
/// on with it.
#[utoipa::path(post, path = "/encryption/rotations", tag = "encryption", operation_id = "encryption_rotate",
    request_body = Rotate, responses((status = ACCEPTED, description = "It runs", body = RotationView)))]
pub(super) async fn rotate(State(app): State<App>, posted: Posted<Rotate>) -> Done<RotationView> {
    let Rotate { kind, pool } = posted.body;
    let kind = match kind {
        KindName::Kek => Kind::Kek,
        KindName::DataKey => Kind::DataKey,
        KindName::PoolKey => Kind::PoolKey,
        KindName::Pepper => Kind::Pepper,
    };
    let only_pools = pool.is_none() || kind == Kind::PoolKey;
    Checks::default().that(only_pools, "pool", "goes with kind pool_key only").done()?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let (rotation, _) = Keyring::ask(&mut write, entropy::random_u128(), kind, pool.as_deref())
        .await
        .map_err(Problem::from)?;
    let view = RotationView::from(&rotation);
    let after = serde_json::to_value(&view).ok();
    let note = AuditNote { action: "keys.rotate", object: rotation.id.to_string(), before: None, after };
    write.finish(note, view, http::StatusCode::ACCEPTED, None).await
}
