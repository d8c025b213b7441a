//! The endpoints: one folder for each resource, one file for each verb.

mod audit;
mod budgets;
mod cache;
mod calls;
mod catalogue;
mod credentials;
mod credits;
mod encryption;
mod explain;
mod exporters;
pub(crate) mod fleet;
mod join_tokens;
mod keys;
mod ledger;
mod me;
mod members;
mod models;
mod offerings;
mod organizations;
mod policies;
pub(crate) mod pools;
mod price_overrides;
mod prices;
mod providers;
mod routes;
mod schema;
mod service_tokens;
mod sessions;
mod teams;
mod trust_rules;
mod usage;
mod webhooks;
mod zdr;

pub(crate) use members::make_link;

use tidegate_types::id::{Id, IdKind};
use tidegate_types::{OrganizationId, Timestamp};
use utoipa_axum::router::OpenApiRouter;

use crate::actor::{Caller, organization_required};
use crate::problem::Problem;
use crate::state::App;

/// Every endpoint below `/api/v1`.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(sessions::router())
        .merge(me::router())
        .merge(organizations::router())
        .merge(teams::router())
        .merge(members::router())
        .merge(service_tokens::router())
        .merge(keys::router())
        .merge(trust_rules::router())
        .merge(credentials::router())
        .merge(providers::router())
        .merge(models::router())
        .merge(offerings::router())
        .merge(prices::router())
        .merge(catalogue::router())
        .merge(price_overrides::router())
        .merge(routes::router())
        .merge(policies::router())
        .merge(cache::router())
        .merge(budgets::router())
        .merge(credits::router())
        .merge(ledger::router())
        .merge(usage::router())
        .merge(calls::router())
        .merge(explain::router())
        .merge(fleet::router())
        .merge(join_tokens::router())
        .merge(pools::router())
        .merge(webhooks::router())
        .merge(exporters::router())
        .merge(audit::router())
        .merge(encryption::router())
        .merge(zdr::router())
}

/// Refuses with 400 what makes sense inside an organization only.
fn needs_organization(caller: &Caller) -> Result<(), Problem> {
    if caller.organization_id() != OrganizationId::SYSTEM {
        return Ok(());
    }
    Err(organization_required())
}

/// When the object with this id was made: its id says so.
fn made_at<K: IdKind>(id: Id<K>) -> Timestamp {
    Timestamp::from_millis(i64::try_from(id.unix_ms()).unwrap_or(0))
}

/// For fields that are true unless said otherwise.
const fn yes() -> bool {
    true
}
