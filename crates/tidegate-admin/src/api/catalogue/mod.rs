//! `/catalogue/import`: many providers, models, offerings and prices at once. What is missing is
//! made, changed prices become versions, nothing is deleted or taken back.

mod import;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import))
}
