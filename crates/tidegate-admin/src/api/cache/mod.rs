//! `/cache`: the response cache of the nodes. Its rules are those of policies and routes.

mod purge;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(purge::purge))
}
