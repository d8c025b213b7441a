//! `PATCH /providers/{id}`

use axum::extract::State;
use tidegate_store::providers;
use tidegate_types::resource::Resource;
use tidegate_types::{OrganizationId, ProviderId};

use super::{ProviderSpec, ProviderView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes a provider: merge patch.
#[utoipa::path(patch, path = "/providers/{id}", tag = "providers", operation_id = "providers_update", request_body = ProviderSpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The provider as it is now", body = ProviderView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<ProviderView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = providers::get(&mut write, OrganizationId::SYSTEM, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let after = patch.apply(&ProviderSpec::from(before))?.into_provider(id)?;
    tightens::unchanged("slug", &before.slug, &after.slug)?;
    write.compile(&Resource::Provider(after.clone())).await?;
    // Policies name the countries in which a provider may be at home.
    let tightens = before.enabled && !after.enabled || before.headquarters != after.headquarters;
    providers::update(&mut write, &after, Some(stored.version), tightens).await?;
    write
        .updated(
            "provider.update",
            id.to_string(),
            &ProviderView::from(before),
            ProviderView::from(&after),
            stored.version,
        )
        .await
}
