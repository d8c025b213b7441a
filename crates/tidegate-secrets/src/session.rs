//! Session tokens of the management API: JWTs signed by the installation's own secret.
//!
//! The algorithm belongs to the key (HS256), never to the token; `exp`, `aud` and `iss` are
//! required and must have their right types. Whether a session was ended is the store's to say.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tidegate_types::{Secret, SessionId, Timestamp};
use zeroize::Zeroizing;

use crate::SecretsError;
use crate::kek::KeyEncryptionKey;

const AUDIENCE: &str = "tidegate-api";

/// A sign-in, until when. Whose it is, is the store's to say: a token outlives no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The session.
    pub session_id: SessionId,
    /// Refused from this time on (whole seconds).
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: SessionId,
    exp: i64,
    iat: i64,
    // Not written; read so that one of the wrong type or in the future is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
}

/// Signs and verifies session tokens. No Debug.
#[derive(Clone)]
pub struct SessionKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    issuer: String,
}

impl SessionKeys {
    /// The secret of an installation that keeps none yet: of its key-encryption key.
    ///
    /// # Errors
    /// As [`KeyEncryptionKey::derived`].
    pub fn first_secret(kek: &KeyEncryptionKey) -> Result<Zeroizing<[u8; 32]>, SecretsError> {
        kek.derived(b"tidegate sessions")
    }

    /// The keys of an installation with this secret.
    #[must_use]
    pub fn new(secret: &[u8], issuer: &str) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            issuer: issuer.to_owned(),
        }
    }

    /// The keys of an installation that keeps no secret of its own.
    ///
    /// # Errors
    /// As [`KeyEncryptionKey::derived`].
    pub fn derive(kek: &KeyEncryptionKey, issuer: &str) -> Result<Self, SecretsError> {
        Ok(Self::new(Self::first_secret(kek)?.as_ref(), issuer))
    }

    /// Signs a session's token.
    ///
    /// # Errors
    /// [`SecretsError::InvalidSession`].
    pub fn sign(&self, session: &Session, now: Timestamp) -> Result<Secret, SecretsError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: session.session_id,
            exp: session.expires_at.as_seconds(),
            iat: now.as_seconds(),
            nbf: None,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding);
        token.map(Secret::new).map_err(|_| SecretsError::InvalidSession)
    }

    /// Verifies a session's token at this time.
    ///
    /// # Errors
    /// [`SecretsError::InvalidSession`], whatever the reason.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Session, SecretsError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation())
            .map_err(|_| SecretsError::InvalidSession)?
            .claims;
        let now = now.as_seconds();
        if claims.exp <= now || claims.nbf.is_some_and(|from| from > now) {
            return Err(SecretsError::InvalidSession);
        }
        let expires_at = Timestamp::from_seconds(claims.exp);
        Ok(Session { session_id: claims.sub, expires_at })
    }

    fn validation(&self) -> Validation {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims = ["exp", "aud", "iss"].map(str::to_owned).into();
        validation.aud = Some(HashSet::from([AUDIENCE.to_owned()]));
        validation.iss = Some(HashSet::from([self.issuer.clone()]));
        // Time comes as an argument: `verify` compares `exp` and `nbf` itself, without leeway.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }
}
