//! `POST /organizations`

use std::collections::BTreeMap;

use axum::extract::State;
use tidegate_store::{organizations, placement};
use tidegate_telemetry::entropy;
use tidegate_types::OrganizationId;
use tidegate_types::resource::{Organization, Resource};

use super::{OrganizationCreate, OrganizationSpec, OrganizationView};
use crate::capability::{Action, Noun};
use crate::checks::Checks;
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write, note};

/// Makes an organization. Then add its owner: `POST /members?organization=…`.
#[utoipa::path(post, path = "/organizations", tag = "organizations", operation_id = "organizations_create",
    request_body = OrganizationCreate,
    responses((status = CREATED, description = "The new organization", body = OrganizationView)))]
pub(super) async fn create(
    State(app): State<App>,
    posted: Posted<OrganizationCreate>,
) -> Done<OrganizationView> {
    let above = posted.caller.above(Noun::Organizations, Action::Write)?;
    let id = app.new_id();
    let pools = posted.body.pools.clone().unwrap_or_else(|| vec![placement::DEFAULT.to_owned()]);
    let organization = new(posted.body, id, &pools)?;
    let view = OrganizationView::of(&organization, pools.clone());
    // Two entries, two chains: the platform's, which also guards the idempotency key, and the
    // new organization's own. The organization is committed first.
    let outer = Write::begin_as(&app, &posted.caller, &above, posted.once).await?;
    let inside = above.entering(id).ok_or_else(Problem::internal)?;
    let mut write = Write::begin_as(&app, &posted.caller, &inside, None).await?;
    write.compile(&Resource::Organization(organization.clone())).await?;
    organizations::insert(&mut write, &organization).await?;
    if pools != [placement::DEFAULT] {
        super::place::place(&app, &mut write, &pools).await?;
    }
    let written = write.created("organization.create", id.to_string(), view.clone()).await?;
    let note = note("organization.create", id.to_string(), None, Some(&view))?;
    outer.finish(note, view, http::StatusCode::CREATED, Some(1)).await?;
    Ok(written)
}

fn new(asked: OrganizationCreate, id: OrganizationId, pools: &[String]) -> Result<Organization, Problem> {
    Checks::default().slug("slug", &asked.slug).done()?;
    let spec = OrganizationSpec {
        name: asked.name.unwrap_or_else(|| asked.slug.clone()),
        time_zone: asked.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        week_start: asked.week_start,
        paused: false,
        max_staleness_seconds: asked.max_staleness_seconds,
        pools: pools.to_vec(),
        limits: asked.limits,
        model_limits: asked.model_limits,
        bound_issuers: BTreeMap::new(),
    };
    spec.check()?;
    let mut label_key = [0; 32];
    entropy::fill(&mut label_key);
    Ok(Organization {
        id,
        slug: asked.slug,
        name: spec.name,
        time_zone: spec.time_zone,
        week_start: spec.week_start,
        paused: spec.paused,
        max_staleness_seconds: spec.max_staleness_seconds,
        label_key,
        limits: spec.limits,
        model_limits: super::model_limits(spec.model_limits),
        bound_issuers: Vec::new(),
        cache_purges: 0,
    })
}
