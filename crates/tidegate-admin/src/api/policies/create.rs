//! `POST /policies`

use axum::extract::State;
use tidegate_store::policies;
use tidegate_types::resource::Resource;

use super::{PolicySpec, PolicyView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a policy.
#[utoipa::path(post, path = "/policies", tag = "policies", operation_id = "policies_create", request_body = PolicySpec,
    responses((status = CREATED, description = "The new policy", body = PolicyView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<PolicySpec>) -> Done<PolicyView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id = app.new_id();
    let policy = posted.body.into_policy(write.organization(), id)?;
    write.compile(&Resource::Policy(policy.clone())).await?;
    policies::insert(&mut write, &policy).await?;
    let view = PolicyView::from(&policy);
    write.created("policy.create", id.to_string(), view).await
}
