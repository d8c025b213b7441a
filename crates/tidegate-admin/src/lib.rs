//! The management API: `/api/v1` over the store, for people and programs.
//!
//! A request's way: [`envelope`] → guard ([`actor`], which reads the [`capability`] table) →
//! `api/<resource>/<verb>.rs` → [`write`] (compile, store, audit, commit, wait). Knows nothing of
//! SQL, gRPC, Redis or the request path of the data plane.

mod actor;
mod api;
mod body;
mod bootstrap;
pub mod capability;
mod checks;
mod compile;
mod envelope;
mod etag;
mod fleet_wait;
mod found;
mod idempotency;
mod openapi;
mod page;
mod passwords;
mod patch;
mod peer;
mod problem;
mod provision;
mod state;
mod throttle;
mod tightens;
mod trial;
mod vault;
mod write;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

pub use body::MAX_BODY_BYTES;
pub use bootstrap::bootstrap;
pub use envelope::REQUEST_TIMEOUT;
pub use openapi::PUBLIC as PUBLIC_ENDPOINTS;
pub use problem::{FieldError, ProblemBody};
pub use provision::{enroller, first_administrator, pool};
pub use state::{AdminError, App};
pub use trial::{CredentialTester, CredentialTrial, Later, NotTried};

/// The management API. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so
/// that sign-in is throttled per network address.
pub fn router(app: App) -> Router {
    let (routes, registered) = registered();
    let document = openapi::complete(&registered);
    routes
        .route("/api/v1/openapi.json", get(move || std::future::ready(Json(document.clone()))))
        .fallback(envelope::no_endpoint)
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(app.clone(), envelope::surround))
        .with_state(app)
}

/// The API's OpenAPI 3.1 document, as served at `/api/v1/openapi.json` and committed beside this
/// crate.
#[must_use]
pub fn openapi() -> Value {
    openapi::complete(&registered().1)
}

fn registered() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(openapi::base()).nest("/api/v1", api::router()).split_for_parts()
}
