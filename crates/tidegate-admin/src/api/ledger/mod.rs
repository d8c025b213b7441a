//! `/ledger`: sums of the accounts, and computing booked charges again.

mod get;
mod rerate;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get::get)).routes(routes!(rerate::rerate))
}
