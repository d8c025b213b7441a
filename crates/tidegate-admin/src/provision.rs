//! What an unattended installation needs before anybody signs in: its first administrator with a
//! given password, the service token with which new nodes fetch their join tokens, and its pools.
//!
//! All are asked for again at each start of a control plane, and happen once.

use serde_json::json;
use tidegate_secrets::token;
use tidegate_store::service_tokens::{self, NewServiceToken};
use tidegate_store::{AuditNote, PlatformRole, Role, StoreError, SystemActor, persons, wrapped};
use tidegate_types::{OrganizationId, Secret};

use crate::checks::{is_email, normal_email};
use crate::passwords;
use crate::problem::Problem;
use crate::state::{AdminError, App};

fn failed(error: StoreError) -> AdminError {
    AdminError::from(Problem::from(error))
}

/// Makes the first platform administrator, who signs in with `password`.
///
/// # Errors
/// [`AdminError::AlreadyDone`] when there is one; [`AdminError::Refused`] for what is not an
/// e-mail address, or too short a password; [`AdminError::Away`].
pub async fn first_administrator(app: &App, email: &str, password: Secret) -> Result<(), AdminError> {
    let email = normal_email(email);
    if !is_email(&email) {
        return Err(AdminError::Refused("that is not an e-mail address".to_owned()));
    }
    passwords::check(password.expose())?;
    if persons::platform_admin_exists(&app.store).await.map_err(failed)? {
        return Err(AdminError::AlreadyDone);
    }
    let hash = app.passwords.hash(password).await?;
    let actor = SystemActor::new("provision").acting_for(OrganizationId::SYSTEM);
    let mut change = app.store.change(&actor, app.clock.now()).await.map_err(failed)?;
    let person = persons::ensure(&mut change, app.new_id(), &email, &email).await.map_err(failed)?;
    let role = Some(PlatformRole::PlatformAdmin);
    persons::set_platform_role(&mut change, person, role).await.map_err(failed)?;
    persons::set_password(&mut change, person, &hash).await.map_err(failed)?;
    let after = Some(json!({"platform_role": "platform_admin"}));
    let note = AuditNote { action: "platform.provision", object: person.to_string(), before: None, after };
    change.commit(note).await.map_err(failed)?;
    Ok(())
}

/// Makes the service token that follows from `seed`, unless it is there. Whoever holds the seed
/// can make join tokens, and whatever else a platform administrator can.
///
/// # Errors
/// [`AdminError::AlreadyDone`] when it is there; [`AdminError::Refused`] for a short seed;
/// [`AdminError::Away`].
pub async fn enroller(app: &App, seed: &Secret) -> Result<(), AdminError> {
    let short = || AdminError::Refused("the enroller's seed has fewer than 32 characters".to_owned());
    let (id, _, token_hash) = token::from_seed(seed).ok_or_else(short)?;
    let actor = SystemActor::new("provision").acting_for(OrganizationId::SYSTEM);
    let mut change = app.store.change(&actor, app.clock.now()).await.map_err(failed)?;
    match service_tokens::get(&mut change, id).await {
        Err(StoreError::NotFound) => {}
        Ok(_) => return Err(AdminError::AlreadyDone),
        Err(error) => return Err(failed(error)),
    }
    let name = format!("enroller-{id}");
    let new = NewServiceToken {
        id,
        name: &name,
        role: Role::Viewer,
        platform_role: Some(PlatformRole::PlatformAdmin),
        token_hash,
        expires_at: None,
    };
    service_tokens::insert(&mut change, &new).await.map_err(failed)?;
    let after = Some(json!({"name": name, "platform_role": "platform_admin"}));
    let note = AuditNote { action: "service_token.create", object: id.to_string(), before: None, after };
    change.commit(note).await.map_err(failed)?;
    Ok(())
}

/// Makes a pool, unless it is there.
///
/// # Errors
/// [`AdminError::AlreadyDone`] when it is there; [`AdminError::Refused`] for a name that no pool can
/// have; [`AdminError::Away`].
pub async fn pool(app: &App, name: &str) -> Result<(), AdminError> {
    crate::checks::Checks::default().slug("pool", name).done()?;
    let actor = SystemActor::new("provision").acting_for(OrganizationId::SYSTEM);
    let mut change = app.store.change(&actor, app.clock.now()).await.map_err(failed)?;
    if wrapped::pools(&mut change).await.map_err(failed)?.iter().any(|there| there == name) {
        return Err(AdminError::AlreadyDone);
    }
    crate::api::pools::make(app, &mut change, name).await?;
    let after = Some(json!({"name": name}));
    let note = AuditNote { action: "pool.create", object: name.to_owned(), before: None, after };
    change.commit(note).await.map_err(failed)?;
    Ok(())
}
