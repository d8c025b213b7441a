//! `PATCH /credentials/{id}`

use axum::extract::State;
use tidegate_store::credentials;
use tidegate_types::CredentialId;
use tidegate_types::resource::Resource;

use super::seal::seal;
use super::{CredentialChange, CredentialSpec, CredentialView, SecretFields, find, fits};
use crate::actor::Caller;
use crate::body::Path;
use crate::capability::Action;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::write::{Done, Write};

/// Changes a credential: merge patch. With `secret`, it gets a new secret.
#[utoipa::path(patch, path = "/credentials/{id}", tag = "credentials", operation_id = "credentials_update",
    request_body = CredentialChange, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The credential as it is now", body = CredentialView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CredentialId>,
    if_match: IfMatch,
    mut patch: MergePatch,
) -> Done<CredentialView> {
    let (actor, _) = find(&app, &caller, id, Action::Write).await?;
    let fresh: Option<SecretFields> = patch.take("secret")?;
    let pools = if fresh.is_some() { app.vault.pools(&app.store).await? } else { Vec::new() };
    let mut write = Write::begin_as(&app, &caller, &actor, None).await?;
    let stored = credentials::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = &stored.value;
    let spec = patch.apply(&CredentialSpec::from(before))?;
    let now = app.clock.now();
    let mut after = before.clone();
    after.attestation = spec.attested(before.attestation.as_ref(), before.scope, &actor, now)?;
    if after.attestation != before.attestation {
        spec.check(now)?;
    } else {
        spec.check_name()?;
    }
    spec.put_into(&mut after);
    let envelope = match fresh {
        Some(fields) => {
            let secret = fields.check(before.form)?;
            fits::check(&mut write, &before.provider, before.form, &secret.places).await?;
            let version = credentials::envelope(&mut write, id).await?.secret_version.saturating_add(1);
            let (envelope, sealed) = seal(&app, &mut write, &pools, id, version, &secret.text).await?;
            after.sealed = sealed;
            after.region = secret.region;
            Some(envelope)
        }
        None => None,
    };
    write.compile(&Resource::Credential(after.clone())).await?;
    let tightens = (before.enabled && !after.enabled) || before.attestation != after.attestation;
    credentials::update(&mut write, &after, envelope.as_ref(), Some(stored.version), tightens).await?;
    let (before, after) = (CredentialView::from(before), CredentialView::from(&after));
    write.updated("credential.update", id.to_string(), &before, after, stored.version).await
}
