//! `DELETE /offerings/{id}`

use axum::extract::State;
use tidegate_store::offerings;
use tidegate_types::{OfferingId, OrganizationId};

use super::OfferingView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a offering.
#[utoipa::path(delete, path = "/offerings/{id}", tag = "offerings", operation_id = "offerings_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<OfferingId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = offerings::get(&mut write, OrganizationId::SYSTEM, id).await?;
    if_match.check(stored.version)?;
    offerings::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("offering.delete", id.to_string(), &OfferingView::from(&stored.value)).await
}
