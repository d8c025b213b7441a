//! An issuer's public keys: the JWK set (RFC 7517) read into keys that nodes verify with, and written.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_types::resource::{IssuerKey, IssuerKeyMaterial};

use super::LONGEST_KID;

/// Most keys of one issuer.
pub const MOST_KEYS: usize = 64;

/// Why a set of keys is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    /// Not a JWK set.
    #[error("is no JWK set: an object with a list `keys`")]
    Malformed,
    /// A key that must stay with its owner.
    #[error("holds a private or a shared key; paste public keys only")]
    Private,
    /// None that could verify a token.
    #[error("holds no key for RS256 (2,048 to 8,192 bits), ES256 or EdDSA (Ed25519)")]
    NoneUsable,
    /// Too many.
    #[error("holds more than 64 keys")]
    TooMany,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
    // Of private and shared keys; never kept.
    #[serde(default)]
    d: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    k: Option<serde::de::IgnoredAny>,
}

/// Reads the keys that can verify tokens; keys for other uses and algorithms are left out.
///
/// # Errors
/// [`JwksFault`].
pub fn read(set: &[u8]) -> Result<Vec<IssuerKey>, JwksFault> {
    let set: Set = serde_json::from_slice(set).map_err(|_| JwksFault::Malformed)?;
    if set.keys.iter().any(|key| key.d.is_some() || key.k.is_some()) {
        return Err(JwksFault::Private);
    }
    let mut keys: Vec<IssuerKey> = set.keys.into_iter().filter_map(usable).collect();
    keys.sort();
    keys.dedup();
    match keys.len() {
        0 => Err(JwksFault::NoneUsable),
        1..=MOST_KEYS => Ok(keys),
        _ => Err(JwksFault::TooMany),
    }
}

/// The set as issuers publish it, without keys that were withdrawn.
#[must_use]
pub fn write(keys: &[IssuerKey]) -> Value {
    let key = |key: &IssuerKey| match &key.material {
        IssuerKeyMaterial::Rsa { n, e } => {
            json!({"kty": "RSA", "alg": "RS256", "kid": key.kid, "n": n, "e": e})
        }
        IssuerKeyMaterial::P256 { x, y } => {
            json!({"kty": "EC", "alg": "ES256", "crv": "P-256", "kid": key.kid, "x": x, "y": y})
        }
        IssuerKeyMaterial::Ed25519 { x } => {
            json!({"kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "kid": key.kid, "x": x})
        }
    };
    json!({"keys": keys.iter().filter(|key| key.until.is_none()).map(key).collect::<Vec<_>>()})
}

fn usable(key: Jwk) -> Option<IssuerKey> {
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") || key.kid.len() > LONGEST_KID {
        return None;
    }
    let is_for = |name: &str| key.alg.as_deref().is_none_or(|alg| alg == name);
    let material = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) if is_for("RS256") => {
            let (n, e) = (sized(key.n?, 256..=1024)?, sized(key.e?, 1..=8)?);
            IssuerKeyMaterial::Rsa { n, e }
        }
        ("EC", Some("P-256")) if is_for("ES256") => {
            IssuerKeyMaterial::P256 { x: sized(key.x?, 32..=32)?, y: sized(key.y?, 32..=32)? }
        }
        ("OKP", Some("Ed25519")) if is_for("EdDSA") || is_for("Ed25519") => {
            IssuerKeyMaterial::Ed25519 { x: sized(key.x?, 32..=32)? }
        }
        _ => return None,
    };
    Some(IssuerKey { kid: key.kid, material, until: None })
}

/// A member of so many bytes.
fn sized(text: String, bytes: std::ops::RangeInclusive<usize>) -> Option<String> {
    let decoded = URL_SAFE_NO_PAD.decode(&text).ok()?;
    // A modulus may be written with a leading zero.
    let significant = decoded.iter().skip_while(|byte| **byte == 0).count();
    let fits = bytes.contains(&decoded.len()) || bytes.contains(&significant);
    (fits && (significant >= *bytes.start() || *bytes.end() == 32)).then_some(text)
}
