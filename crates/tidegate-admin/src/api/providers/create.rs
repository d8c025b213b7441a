//! `POST /providers`

use axum::extract::State;
use tidegate_store::providers;
use tidegate_types::resource::Resource;

use super::{ProviderSpec, ProviderView};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// Makes a provider.
#[utoipa::path(post, path = "/providers", tag = "providers", operation_id = "providers_create", request_body = ProviderSpec,
    responses((status = CREATED, description = "The new provider", body = ProviderView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<ProviderSpec>) -> Done<ProviderView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let id = app.new_id();
    let provider = posted.body.into_provider(id)?;
    write.compile(&Resource::Provider(provider.clone())).await?;
    providers::insert(&mut write, &provider).await?;
    let view = ProviderView::from(&provider);
    write.created("provider.create", id.to_string(), view).await
}
