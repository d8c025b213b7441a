//! `PATCH /credits`

use axum::extract::State;
use tidegate_store::credits;
use tidegate_types::resource::Resource;

use super::{CreditSpec, CreditView};
use crate::actor::Caller;
use crate::api::organizations::refuse_several_pools;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Sets credit up, or changes how it is: merge patch (platform administrators). From then on the
/// organization can spend what it has and no more.
#[utoipa::path(patch, path = "/credits", tag = "credits", operation_id = "credits_update", request_body = CreditSpec,
    responses((status = OK, description = "The credit as it is now", body = CreditView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<CreditView> {
    let mut write = Write::begin(&app, &caller).await?;
    refuse_several_pools(&mut write).await?;
    let (before, version) = super::view(&app, &mut write).await?;
    if_match.check(version)?;
    let setup = patch.apply(&before.spec)?.setup()?;
    let cap = credits::set_up(&mut write, &setup, Some(version)).await?;
    write.compile(&Resource::Budget(cap)).await?;
    let (after, now) = super::view(&app, &mut write).await?;
    let id = write.organization().to_string();
    write.updated("credit.update", id, &before, after, now - 1).await
}
