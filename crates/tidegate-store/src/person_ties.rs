//! What ties a person to more than one organization: decides who may hand out a sign-in link.

use crate::Result;
use crate::actor::PersonId;
use crate::tenant::TenantTx;

/// Whether the person belongs to the bound organization at most, and not to the platform.
///
/// # Errors
/// When the database is away.
pub async fn is_only_here(tx: &mut TenantTx, person: PersonId) -> Result<bool> {
    let (only,): (bool,) = sqlx::query_as("SELECT person_is_only_here($1)")
        .bind(person.to_uuid())
        .fetch_one(tx.connection())
        .await?;
    Ok(only)
}
