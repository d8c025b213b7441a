//! The first platform administrator: once, by somebody who holds the key-encryption key.

use serde_json::json;
use tidegate_store::{AuditNote, PlatformRole, StoreError, SystemActor, persons};
use tidegate_types::{OrganizationId, Secret};

use crate::api::make_link;
use crate::checks::{is_email, normal_email};
use crate::state::{AdminError, App};

/// Makes the first platform administrator and a single-use sign-in link for it.
///
/// # Errors
/// [`AdminError::AlreadyDone`] when there is one; [`AdminError::Refused`] for what is not an
/// e-mail address; [`AdminError::Away`].
pub async fn bootstrap(app: &App, email: &str) -> Result<Secret, AdminError> {
    let email = normal_email(email);
    if !is_email(&email) {
        return Err(AdminError::Refused("that is not an e-mail address".to_owned()));
    }
    let failed = |error: StoreError| AdminError::from(crate::problem::Problem::from(error));
    if persons::platform_admin_exists(&app.store).await.map_err(failed)? {
        return Err(AdminError::AlreadyDone);
    }
    let actor = SystemActor::new("bootstrap").acting_for(OrganizationId::SYSTEM);
    let mut change = app.store.change(&actor, app.clock.now()).await.map_err(failed)?;
    let person = persons::ensure(&mut change, app.new_id(), &email, &email).await.map_err(failed)?;
    persons::set_platform_role(&mut change, person, Some(PlatformRole::PlatformAdmin))
        .await
        .map_err(failed)?;
    let link = make_link(app, &mut change, person).await?;
    let after = Some(json!({"platform_role": "platform_admin"}));
    let note = AuditNote { action: "platform.bootstrap", object: person.to_string(), before: None, after };
    change.commit(note).await.map_err(failed)?;
    Ok(Secret::new(link))
}
