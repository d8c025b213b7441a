//! `POST /cache/purge`

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidegate_store::{organizations, routes};
use tidegate_types::RouteId;
use tidegate_types::resource::Resource;
use utoipa::ToSchema;

use crate::api::needs_organization;
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write, note};

/// What to purge.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CachePurge {
    /// Only answers to calls of this route; all of the organization's when absent.
    #[schema(value_type = Option<String>)]
    route: Option<RouteId>,
}

/// What was purged.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CachePurged {
    /// The route; absent: the whole organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    route: Option<RouteId>,
    /// How often it was purged so far.
    purges: u64,
}

/// Purges the response cache: no node gives again what it kept before, and each lets go of it. Nodes hear of
/// it as of any change; with `?wait=fleet` the answer comes when every live node has.
#[utoipa::path(post, path = "/cache/purge", tag = "cache", operation_id = "cache_purge", request_body = CachePurge,
    responses((status = OK, description = "What was purged", body = CachePurged)))]
pub(super) async fn purge(State(app): State<App>, posted: Posted<CachePurge>) -> Done<CachePurged> {
    needs_organization(&posted.caller)?;
    let route = posted.body.route;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let (named, purges, version) = match route {
        Some(id) => {
            let stored = routes::get(&mut write, id).await?;
            let mut after = stored.value;
            after.cache_purges = after.cache_purges.saturating_add(1);
            write.compile(&Resource::Route(after.clone())).await?;
            routes::update(&mut write, &after, Some(stored.version), false).await?;
            (id.to_string(), after.cache_purges, stored.version)
        }
        None => {
            let stored = organizations::get(&mut write).await?;
            let mut after = stored.value;
            after.cache_purges = after.cache_purges.saturating_add(1);
            write.compile(&Resource::Organization(after.clone())).await?;
            organizations::update(&mut write, &after, Some(stored.version), false).await?;
            (after.id.to_string(), after.cache_purges, stored.version)
        }
    };
    let view = CachePurged { route, purges };
    let note = note("cache.purge", named, None::<&CachePurged>, Some(&view))?;
    write.finish(note, view, StatusCode::OK, Some(version + 1)).await
}
