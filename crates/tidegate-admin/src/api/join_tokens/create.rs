//! `POST /join-tokens`

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidegate_secrets::ca;
use tidegate_secrets::token::{self, TokenKind};
use tidegate_store::{AuditNote, join_tokens, wrapped};
use tidegate_telemetry::entropy;
use tidegate_types::{NodeId, Timestamp};
use utoipa::ToSchema;

use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// A join token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinTokenCreate {
    /// The pool that the node joins.
    #[serde(default = "default_pool")]
    #[schema(default = "default")]
    pool: String,
    /// How long it can be used, in seconds: 60 to 604800 (7 days).
    #[serde(default = "one_hour")]
    #[schema(default = 3600)]
    expires_in_seconds: u32,
}

fn default_pool() -> String {
    "default".to_owned()
}

const fn one_hour() -> u32 {
    3600
}

/// A join token, shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JoinToken)]
pub(crate) struct JoinTokenView {
    /// Give it to the node as its join token. It works once.
    token: String,
    /// The pool that the node joins.
    pool: String,
    /// Certificates (PEM) that the control plane's own descends from: the node's trust roots.
    trust_roots: String,
    /// Refused from this time on.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Makes a single-use join token for a new node.
#[utoipa::path(post, path = "/join-tokens", tag = "fleet", operation_id = "join_tokens_create",
    request_body = Option<JoinTokenCreate>,
    responses((status = CREATED, description = "The new join token", body = JoinTokenView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<JoinTokenCreate>) -> Done<JoinTokenView> {
    let JoinTokenCreate { pool, expires_in_seconds } = posted.body;
    let mut checks = Checks::default();
    checks.slug("pool", &pool);
    let lasts = (60..=604_800).contains(&expires_in_seconds);
    checks.that(lasts, "expires_in_seconds", "must be 60 to 604800").done()?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id: NodeId = app.new_id();
    let mut random = [0; 32];
    entropy::fill(&mut random);
    let (text, hash) = token::issue(TokenKind::Join, id, random);
    let expires_at = app.clock.now().plus_millis(i64::from(expires_in_seconds) * 1000);
    join_tokens::insert(&mut write, &hash, &pool, expires_at).await?;
    let after = Some(serde_json::json!({"pool": pool, "expires_at": expires_at}));
    let note = AuditNote { action: "join_token.create", object: id.to_string(), before: None, after };
    let authorities = wrapped::authorities(&mut write).await?;
    let trust_roots = ca::roots_pem(authorities.iter().map(|authority| authority.certificate.as_slice()));
    let shown = JoinTokenView { token: text.expose().to_owned(), pool, trust_roots, expires_at };
    write.finish(note, shown, StatusCode::CREATED, None).await
}
