//! `POST /keys`

use axum::extract::State;
use serde::Deserialize;
use tidegate_secrets::virtual_key;
use tidegate_store::keys;
use tidegate_telemetry::entropy;
use tidegate_types::resource::{AllowList, KeyLimits, KeyStatus, Resource, VirtualKey};
use tidegate_types::{KeyId, TeamId, Timestamp};
use utoipa::ToSchema;

use super::{IssuedKey, KeySpec, KeyView};
use crate::api::schema::{AllowListSchema, LimitsSchema, Tags};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// A key to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyCreate {
    /// The team that owns it.
    #[schema(value_type = String)]
    team_id: TeamId,
    /// Unique in the team.
    name: String,
    /// Refused from this time on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Put on every call; they override request tags of the same name.
    #[serde(default)]
    tags: Tags,
    /// What it may reach.
    #[serde(default)]
    #[schema(value_type = AllowListSchema)]
    allow: AllowList,
    /// Its rate limits.
    #[serde(default)]
    #[schema(value_type = LimitsSchema)]
    limits: KeyLimits,
}

/// Issues a virtual key. Its text is shown by this answer only.
#[utoipa::path(post, path = "/keys", tag = "keys", operation_id = "keys_create", request_body = KeyCreate,
    responses((status = CREATED, description = "The new key with its text", body = IssuedKey)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<KeyCreate>) -> Done<IssuedKey> {
    let KeyCreate { team_id, name, expires_at, tags, allow, limits } = posted.body;
    let spec = KeySpec { name, expires_at, tags, allow, limits };
    spec.check(app.clock.now(), true)?;
    let peppers = app.vault.peppers(&app.store).await?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id: KeyId = app.new_id();
    let mut random = [0; 32];
    entropy::fill(&mut random);
    let (text, secret) = virtual_key::issue(id, random, &peppers);
    let key = VirtualKey {
        organization_id: write.organization(),
        id,
        team_id,
        name: spec.name,
        status: KeyStatus::Active,
        secrets: vec![secret],
        expires_at: spec.expires_at,
        allow: spec.allow,
        limits: spec.limits,
        tags: spec.tags,
    };
    write.compile(&Resource::Key(key.clone())).await?;
    keys::insert(&mut write, &key).await?;
    let view = KeyView::from(&key);
    let audited = view.clone();
    write
        .issued("key.create", id.to_string(), &audited, IssuedKey { key: text.expose().to_owned(), view })
        .await
}
