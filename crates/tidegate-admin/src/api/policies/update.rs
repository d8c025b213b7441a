//! `PATCH /policies/{id}`

use axum::extract::State;
use tidegate_store::policies;
use tidegate_types::PolicyId;
use tidegate_types::resource::Resource;

use super::{PolicySpec, PolicyView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes a policy: merge patch.
#[utoipa::path(patch, path = "/policies/{id}", tag = "policies", operation_id = "policies_update", request_body = PolicySpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The policy as it is now", body = PolicyView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PolicyId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<PolicyView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = policies::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let after = patch.apply(&PolicySpec::from(before))?.into_policy(write.organization(), id)?;
    tightens::unchanged("scope", &before.scope, &after.scope)?;
    write.compile(&Resource::Policy(after.clone())).await?;
    let tightens = tightens::policy(before, &after);
    policies::update(&mut write, &after, Some(stored.version), tightens).await?;
    write
        .updated(
            "policy.update",
            id.to_string(),
            &PolicyView::from(before),
            PolicyView::from(&after),
            stored.version,
        )
        .await
}
