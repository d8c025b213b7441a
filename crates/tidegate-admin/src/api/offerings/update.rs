//! `PATCH /offerings/{id}`

use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::resource::Resource;
use tidegate_types::{OfferingId, OrganizationId};

use super::{OfferingSpec, OfferingView};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens;
use crate::write::{Done, Write};

/// Changes a offering: merge patch.
#[utoipa::path(patch, path = "/offerings/{id}", tag = "offerings", operation_id = "offerings_update", request_body = OfferingSpec,
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The offering as it is now", body = OfferingView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OfferingId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<OfferingView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = offerings::get(&mut write, OrganizationId::SYSTEM, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let after = patch.apply(&OfferingSpec::from(before))?.into_offering(id, before.prices.clone())?;
    tightens::unchanged("model", &before.model, &after.model)?;
    tightens::unchanged("provider", &before.provider, &after.provider)?;
    write.compile(&Resource::Offering(after.clone())).await?;
    let facts = before.data_handling != after.data_handling || before.locations != after.locations;
    let tightens = before.enabled && !after.enabled || facts;
    offerings::update(&mut write, &after, Some(stored.version), tightens).await?;
    write
        .updated(
            "offering.update",
            id.to_string(),
            &OfferingView::from(before),
            OfferingView::from(&after),
            stored.version,
        )
        .await
}
