//! `POST /credentials`

use axum::extract::State;
use tidegate_store::credentials;
use tidegate_types::resource::{Credential, CredentialScope, Resource};
use tidegate_types::{CredentialId, OrganizationId};

use super::seal::seal;
use super::{CredentialCreate, CredentialSpec, CredentialView, ScopeName, fits, owner_of};
use crate::idempotency::Posted;
use crate::problem::Problem;
use crate::state::App;
use crate::write::{Done, Write};

/// Stores a credential. Its secret is encrypted at once and never shown.
#[utoipa::path(post, path = "/credentials", tag = "credentials", operation_id = "credentials_create",
    request_body = CredentialCreate,
    responses((status = CREATED, description = "The new credential", body = CredentialView)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<CredentialCreate>) -> Done<CredentialView> {
    let asked = posted.body;
    let spec = CredentialSpec {
        name: asked.name,
        enabled: asked.enabled,
        position: asked.position,
        weight: asked.weight,
        attestation: asked.attestation,
    };
    spec.check(app.clock.now())?;
    let actor = owner_of(&posted.caller, asked.scope)?;
    let scope = match (asked.scope, asked.team_id) {
        _ if actor.organization_id() == OrganizationId::SYSTEM => CredentialScope::System,
        (Some(ScopeName::Team), Some(team_id)) => CredentialScope::Team { team_id },
        (Some(ScopeName::Team), None) => {
            return Err(Problem::invalid("team_id", "is required with scope team").into());
        }
        (_, Some(_)) => return Err(Problem::invalid("team_id", "goes with scope team only").into()),
        _ => CredentialScope::Organization,
    };
    let secret = asked.secret.check(asked.form)?;
    let attestation = spec.attested(None, scope, &actor, app.clock.now())?;
    let pools = app.vault.pools(&app.store).await?;
    let mut write = Write::begin_as(&app, &posted.caller, &actor, posted.once).await?;
    fits::check(&mut write, &asked.provider, asked.form, &secret.places).await?;
    let id: CredentialId = app.new_id();
    let (envelope, sealed) = seal(&app, &mut write, &pools, id, 1, &secret.text).await?;
    let credential = Credential {
        organization_id: write.organization(),
        id,
        name: spec.name,
        scope,
        provider: asked.provider,
        form: asked.form,
        enabled: spec.enabled,
        position: spec.position,
        weight: spec.weight,
        sealed,
        region: secret.region,
        attestation,
    };
    write.compile(&Resource::Credential(credential.clone())).await?;
    credentials::insert(&mut write, &credential, &envelope).await?;
    let view = CredentialView::from(&credential);
    write.created("credential.create", id.to_string(), view).await
}
