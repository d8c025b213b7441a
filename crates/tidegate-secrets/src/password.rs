//! Passwords: argon2id with 19 MiB and two passes (OWASP's first recommendation).
//!
//! One hash takes tens of milliseconds: callers run it off the async threads and bound how many
//! run at once.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tidegate_types::Secret;

use crate::SecretsError;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Hash of a password that nobody has; gives unknown users the same work as known ones.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn hasher() -> Result<Argon2<'static>, SecretsError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| SecretsError::PasswordHash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a password with this random salt, in PHC form.
///
/// # Errors
/// [`SecretsError::PasswordHash`].
pub fn hash(password: &Secret, salt: [u8; 16]) -> Result<String, SecretsError> {
    let hash = hasher()?.hash_password_with_salt(password.expose().as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| SecretsError::PasswordHash)
}

/// Whether the password is the one that was hashed; `None` for an unknown user does the same work
/// and is never true.
#[must_use]
pub fn verify(password: &Secret, kept: Option<&str>) -> bool {
    let (Ok(argon), Ok(parsed)) = (hasher(), PasswordHash::new(kept.unwrap_or(NOBODY))) else { return false };
    argon.verify_password(password.expose().as_bytes(), &parsed).is_ok() & kept.is_some()
}
