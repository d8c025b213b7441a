//! Persons: one e-mail address in the whole installation, a password hash, a platform role.
//!
//! The app login reaches persons only through functions that answer one exact question.

use tidegate_types::Timestamp;
use uuid::Uuid;

use crate::actor::{PersonId, PlatformRole};
use crate::change::Change;
use crate::connect::Store;
use crate::convert::{name_of, time};
use crate::{Result, StoreError};

/// What checking a password needs.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The person.
    pub person_id: PersonId,
    /// Argon2 hash in PHC form; `None` until a password is set.
    pub password_hash: Option<String>,
    /// May not sign in.
    pub disabled: bool,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("person_id", &self.person_id).finish_non_exhaustive()
    }
}

/// The person with this address (upper and lower case are the same).
///
/// # Errors
/// When the database is away.
pub async fn by_email(store: &Store, email: &str) -> Result<Option<SignIn>> {
    let row: Option<(Uuid, Option<String>, bool)> =
        sqlx::query_as("SELECT person_id, password_hash, disabled FROM person_by_email($1)")
            .bind(email)
            .fetch_optional(store.app())
            .await?;
    Ok(row.map(|(id, password_hash, disabled)| SignIn {
        person_id: PersonId::from_uuid(id),
        password_hash,
        disabled,
    }))
}

/// The person with this address, made with `new_id` when there is none. Returns its id.
///
/// # Errors
/// When the database is away.
pub async fn ensure(change: &mut Change, new_id: PersonId, email: &str, name: &str) -> Result<PersonId> {
    let now = time(change.now());
    let (id,): (Uuid,) = sqlx::query_as("SELECT person_ensure($1, $2, $3, $4)")
        .bind(new_id.to_uuid())
        .bind(email)
        .bind(name)
        .bind(now)
        .fetch_one(change.connection())
        .await?;
    Ok(PersonId::from_uuid(id))
}

/// Sets the password hash and ends the person's sessions.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_password(change: &mut Change, person: PersonId, hash: &str) -> Result<()> {
    let (set,): (Option<bool>,) = sqlx::query_as("SELECT person_set_password($1, $2)")
        .bind(person.to_uuid())
        .bind(hash)
        .fetch_one(change.connection())
        .await?;
    set.map(|_| ()).ok_or(StoreError::NotFound)
}

/// Gives or takes a platform role; only platform administrators (and the system) can.
///
/// # Errors
/// [`StoreError::NotFound`], also when the actor may not.
pub async fn set_platform_role(
    change: &mut Change,
    person: PersonId,
    role: Option<PlatformRole>,
) -> Result<()> {
    let role = role.map(|role| name_of(&role)).transpose()?;
    let (set,): (Option<bool>,) = sqlx::query_as("SELECT person_set_platform_role($1, $2)")
        .bind(person.to_uuid())
        .bind(role)
        .fetch_one(change.connection())
        .await?;
    set.map(|_| ()).ok_or(StoreError::NotFound)
}

/// Whether somebody is platform administrator already (bootstrap happens once).
///
/// # Errors
/// When the database is away.
pub async fn platform_admin_exists(store: &Store) -> Result<bool> {
    let (exists,): (bool,) = sqlx::query_as("SELECT platform_admin_exists()").fetch_one(store.app()).await?;
    Ok(exists)
}

/// Makes a single-use link for a person; `token_hash` is SHA-256 of the link's secret.
///
/// # Errors
/// [`StoreError::Dangling`] for an unknown person.
pub async fn create_link(
    change: &mut Change,
    person: PersonId,
    token_hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<()> {
    sqlx::query("SELECT link_create($1, $2, $3)")
        .bind(token_hash.as_slice())
        .bind(person.to_uuid())
        .bind(time(expires_at))
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Uses a link up, with the change: whom it is for, or `None` when it is unknown, used or expired.
///
/// # Errors
/// When the database is away.
pub async fn redeem_link(change: &mut Change, token_hash: &[u8; 32]) -> Result<Option<PersonId>> {
    let now = time(change.now());
    let (id,): (Option<Uuid>,) = sqlx::query_as("SELECT link_redeem($1, $2)")
        .bind(token_hash.as_slice())
        .bind(now)
        .fetch_one(change.connection())
        .await?;
    Ok(id.map(PersonId::from_uuid))
}
