//! `DELETE /price-overrides/{id}`

use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::OfferingId;

use super::PriceOverrideView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Takes an override away: the list price holds again. Its prices are kept, because billing
/// events name them.
#[utoipa::path(delete, path = "/price-overrides/{id}", tag = "price-overrides", operation_id = "price_overrides_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OfferingId>,
    if_match: IfMatch,
) -> Done<Gone> {
    super::super::needs_organization(&caller)?;
    let mut write = Write::begin(&app, &caller).await?;
    let owner = write.organization();
    let stored = offerings::get(&mut write, owner, id).await?;
    if_match.check(stored.version)?;
    offerings::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("price_override.delete", id.to_string(), &PriceOverrideView::from(&stored.value)).await
}
