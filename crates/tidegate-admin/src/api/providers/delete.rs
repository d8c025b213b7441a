//! `DELETE /providers/{id}`

use axum::extract::State;
use tidegate_store::providers;
use tidegate_types::{OrganizationId, ProviderId};

use super::ProviderView;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a provider.
#[utoipa::path(delete, path = "/providers/{id}", tag = "providers", operation_id = "providers_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProviderId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = providers::get(&mut write, OrganizationId::SYSTEM, id).await?;
    if_match.check(stored.version)?;
    providers::delete(&mut write, id, Some(stored.version)).await?;
    write.removed("provider.delete", id.to_string(), &ProviderView::from(&stored.value)).await
}
