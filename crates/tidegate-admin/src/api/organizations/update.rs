//! `PATCH /organizations/{id}`

use axum::extract::State;
use tidegate_store::{PlatformRole, organizations, placement};
use tidegate_types::resource::Resource;

use super::{OrganizationSpec, OrganizationView, bind};
use crate::actor::Caller;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::problem::Problem;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes an organization: merge patch. `paused`, `pools` and `bound_issuers` are for platform administrators.
#[utoipa::path(patch, path = "/organizations/{id}", tag = "organizations", operation_id = "organizations_update",
    request_body = OrganizationSpec, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The organization as it is now", body = OrganizationView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<OrganizationView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = organizations::get(&mut write).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let served = placement::of(&mut write).await?;
    let spec: OrganizationSpec = patch.apply(&OrganizationSpec::of(before, served.clone()))?;
    spec.check()?;
    let moved = Some(spec.pools.clone()).filter(|pools| *pools != served);
    let is_platform = caller.actor().platform() == Some(PlatformRole::PlatformAdmin);
    if !is_platform {
        if spec.paused != before.paused {
            return Err(Problem::forbidden("Only a platform administrator may pause an organization.").into());
        }
        if moved.is_some() {
            return Err(Problem::forbidden("Only a platform administrator may place an organization.").into());
        }
    }
    if let Some(pools) = &moved {
        super::place::place(&app, &mut write, pools).await?;
    }
    let mut after = before.clone();
    spec.put_into(&mut after);
    write.compile(&Resource::Organization(after.clone())).await?;
    if after.bound_issuers != before.bound_issuers {
        if !is_platform {
            return Err(Problem::forbidden("Only a platform administrator may bind an issuer.").into());
        }
        bind::refuse_taken(&mut write, &after.bound_issuers).await?;
    }
    let tightens = after.paused && !before.paused
        || bind::unbinds(before, &after)
        || after.max_staleness_seconds != before.max_staleness_seconds
        || tightens::organization_limits(before, &after);
    organizations::update(&mut write, &after, Some(stored.version), tightens).await?;
    let after_pools = moved.unwrap_or_else(|| served.clone());
    let (id, before) = (after.id.to_string(), OrganizationView::of(before, served));
    let after = OrganizationView::of(&after, after_pools);
    write.updated("organization.update", id, &before, after, stored.version).await
}
