//! `GET /fleet/trust-roots`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tidegate_secrets::ca;
use tidegate_store::{SystemActor, wrapped};
use tidegate_types::OrganizationId;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::App;

/// What nodes trust.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrustRoots {
    /// Certificates (PEM) that the control plane's own descends from.
    trust_roots: String,
}

/// Shows the certificates that nodes trust before they have an identity. They are no secret; fetch them
/// over a network that you trust.
#[utoipa::path(get, path = "/fleet/trust-roots", tag = "fleet", operation_id = "fleet_trust_roots",
    responses((status = OK, description = "The trust roots", body = TrustRoots)))]
pub(super) async fn trust_roots(State(app): State<App>) -> Result<Json<TrustRoots>, Problem> {
    let actor = SystemActor::new("trust-roots").acting_for(OrganizationId::SYSTEM);
    let mut tx = app.store.begin(&actor).await?;
    let authorities = wrapped::authorities(&mut tx).await?;
    let trust_roots = ca::roots_pem(authorities.iter().map(|authority| authority.certificate.as_slice()));
    Ok(Json(TrustRoots { trust_roots }))
}
