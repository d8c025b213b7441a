//! Signed tokens (JWT) that applications call with in place of a virtual key: reading and checking them.
//!
//! The algorithm belongs to the issuer's key, never to the token; only RS256, ES256 and EdDSA are known.
//! Nothing is fetched: `jku`, `x5u` and `jwk` of a header are not looked at, and `kid` is only compared.
//! Times come as arguments and must have their right types (RFC 7519 section 4.1; CVE-2026-25537).

pub mod jwks;
mod nobody;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tidegate_types::Timestamp;
use tidegate_types::resource::{IssuerKey, IssuerKeyMaterial, TrustRule};

/// Longest token in bytes.
pub const LONGEST: usize = 16 * 1024;
/// Longest name of a key.
pub(crate) const LONGEST_KID: usize = 256;
/// How far clocks may differ, in seconds.
const LEEWAY: f64 = 30.0;
/// Keys that are tried for a token that names none.
const MOST_TRIED: usize = 8;
/// Longest text of a principal, in bytes.
const LONGEST_PRINCIPAL: usize = 256;

/// Why a token is refused. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than [`LONGEST`].
    #[error("this token is longer than 16 KiB")]
    TooLong,
    /// Not three parts of base64url with the objects that a token has, or a claim has the wrong type.
    #[error("this token cannot be read: it is no signed JWT with the claims iss, aud, exp and iat")]
    Malformed,
    /// Unsigned, signed by a shared secret, or by what no key of the issuer is for.
    #[error("this token's algorithm is not accepted; issuers sign with RS256, ES256 or EdDSA")]
    Algorithm,
    /// Its time is over.
    #[error("this token has expired")]
    Expired,
    /// Its time has not come.
    #[error("this token is not valid yet")]
    NotYet,
    /// It lives longer than its rule allows.
    #[error("this token lives longer than its trust rule allows")]
    LivesTooLong,
    /// The issuer's keys that are known do not include the one that it names.
    #[error(
        "this token is signed with a key of its issuer that is not known here yet; try again in a few seconds"
    )]
    UnknownKey,
    /// The signature is wrong.
    #[error("this token's signature does not fit its issuer's key")]
    Signature,
    /// It has not the claim that its rule shows in usage.
    #[error("this token lacks the claim by which its trust rule tells principals apart")]
    Principal,
}

impl TokenFault {
    /// Whether the token's signature was not proven: its bearer is told nothing of the rules that there are.
    #[must_use]
    pub const fn is_of_stranger(self) -> bool {
        matches!(self, Self::Algorithm | Self::UnknownKey | Self::Signature)
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// A token that was read; nothing of it is proven before [`CallerToken::verify`].
pub struct CallerToken<'a> {
    message: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
    claims: Map<String, Value>,
}

/// Whether a text has the form of a signed token: three parts, the first a JSON object.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Reads a token.
///
/// # Errors
/// [`TokenFault::TooLong`], [`TokenFault::Malformed`], [`TokenFault::Algorithm`].
pub fn read(text: &str) -> Result<CallerToken<'_>, TokenFault> {
    if text.len() > LONGEST {
        return Err(TokenFault::TooLong);
    }
    let (message, signature) = text.rsplit_once('.').ok_or(TokenFault::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(TokenFault::Malformed)?;
    let header: Header = part(header)?;
    let claims: Map<String, Value> = part(claims)?;
    if header.crit.is_some() || header.kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
        return Err(TokenFault::Malformed);
    }
    let algorithm = match header.alg.as_str() {
        "RS256" => Algorithm::RS256,
        "ES256" => Algorithm::ES256,
        "EdDSA" => Algorithm::EdDSA,
        _ => return Err(TokenFault::Algorithm),
    };
    Ok(CallerToken { message, signature, algorithm, kid: header.kid, claims })
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenFault::Malformed)
}

impl CallerToken<'_> {
    /// `iss`.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] when it has none.
    pub fn issuer(&self) -> Result<&str, TokenFault> {
        self.claims.get("iss").and_then(Value::as_str).ok_or(TokenFault::Malformed)
    }

    /// `aud`: one or several; the first 16 count.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] when it has none.
    pub fn audiences(&self) -> Result<Vec<&str>, TokenFault> {
        let audiences = match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).take(16).collect(),
            _ => Vec::new(),
        };
        if audiences.is_empty() { Err(TokenFault::Malformed) } else { Ok(audiences) }
    }

    /// Whether it has every claim that the rule asks for. A list fits when one of its entries does.
    #[must_use]
    pub fn fits(&self, rule: &TrustRule) -> bool {
        rule.claims.iter().all(|(name, values)| match self.claim(name) {
            Some(Value::Array(entries)) => entries.iter().any(|entry| is_one_of(entry, values)),
            Some(value) => is_one_of(value, values),
            None => false,
        })
    }

    /// Checks its signature against a rule's keys, then its times. One signature at least is computed, so
    /// that the time does not tell whose keys are known.
    ///
    /// # Errors
    /// The [`TokenFault`] that is found first; before the signature is proven [`TokenFault::is_of_stranger`].
    pub fn verify(&self, rule: &TrustRule, now: Timestamp) -> Result<(), TokenFault> {
        self.check_signature(rule, now)?;
        self.check_times(rule.longest_life_seconds, now)
    }

    /// The same work for a token that no rule fits.
    pub fn matches_nobody(&self) {
        nobody::verify(self.message, self.signature, self.algorithm);
    }

    fn check_signature(&self, rule: &TrustRule, now: Timestamp) -> Result<(), TokenFault> {
        let mut tried = 0;
        let mut fault = TokenFault::UnknownKey;
        let current = |key: &&IssuerKey| key.until.is_none_or(|until| now < until);
        for key in rule.keys.iter().filter(current).filter(|key| self.names(key)) {
            let (algorithm, decoding) = decoding(&key.material)?;
            if algorithm != self.algorithm {
                // A token that names no key is tried with those that are for its algorithm.
                fault = if self.kid.is_some() { TokenFault::Algorithm } else { fault };
                continue;
            }
            tried += 1;
            match jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &decoding, algorithm)
            {
                Ok(true) => return Ok(()),
                Ok(false) | Err(_) => fault = TokenFault::Signature,
            }
            if tried == MOST_TRIED {
                break;
            }
        }
        if tried == 0 {
            self.matches_nobody();
        }
        Err(fault)
    }

    /// Whose token it is, as usage shows it: a claim's text, or a hash of issuer and subject.
    ///
    /// # Errors
    /// [`TokenFault::Principal`].
    pub fn principal(&self, claim: Option<&str>) -> Result<String, TokenFault> {
        match claim {
            Some(name) => {
                let text = self.claim(name).and_then(text_of).ok_or(TokenFault::Principal)?;
                let fine = !text.is_empty()
                    && text.len() <= LONGEST_PRINCIPAL
                    && !text.chars().any(char::is_control);
                fine.then_some(text).ok_or(TokenFault::Principal)
            }
            None => {
                let subject = self.claims.get("sub").and_then(Value::as_str).ok_or(TokenFault::Principal)?;
                let hash = Sha256::new_with_prefix(self.issuer()?).chain_update([0]).chain_update(subject);
                let hash: [u8; 32] = hash.finalize().into();
                Ok(hash.iter().take(8).fold("sub-".to_owned(), |text, byte| text + &format!("{byte:02x}")))
            }
        }
    }

    /// A top-level claim, or with a leading `/` what a JSON pointer (RFC 6901) leads to.
    fn claim(&self, name: &str) -> Option<&Value> {
        let Some(path) = name.strip_prefix('/') else { return self.claims.get(name) };
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let value = self.claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
        match rest {
            Some(rest) => value.pointer(&format!("/{rest}")),
            None => Some(value),
        }
    }

    fn names(&self, key: &IssuerKey) -> bool {
        self.kid.as_ref().is_none_or(|kid| *kid == key.kid)
    }

    fn check_times(&self, longest_life: u32, now: Timestamp) -> Result<(), TokenFault> {
        let needed = |name| self.time(name)?.ok_or(TokenFault::Malformed);
        let (expires, issued, from) = (needed("exp")?, needed("iat")?, self.time("nbf")?);
        let now = now.as_seconds() as f64;
        if expires + LEEWAY <= now {
            return Err(TokenFault::Expired);
        }
        if issued.max(from.unwrap_or(issued)) - LEEWAY > now {
            return Err(TokenFault::NotYet);
        }
        if expires - issued > f64::from(longest_life) {
            return Err(TokenFault::LivesTooLong);
        }
        Ok(())
    }

    /// A numeric date: one of another type is a fault, not an absent one.
    fn time(&self, name: &str) -> Result<Option<f64>, TokenFault> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64().filter(|seconds| seconds.is_finite())),
            Some(_) => Err(TokenFault::Malformed),
        }
    }
}

fn is_one_of(value: &Value, values: &[String]) -> bool {
    text_of(value).is_some_and(|text| values.contains(&text))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn decoding(material: &IssuerKeyMaterial) -> Result<(Algorithm, DecodingKey), TokenFault> {
    let (algorithm, key) = match material {
        IssuerKeyMaterial::Rsa { n, e } => (Algorithm::RS256, DecodingKey::from_rsa_components(n, e)),
        IssuerKeyMaterial::P256 { x, y } => (Algorithm::ES256, DecodingKey::from_ec_components(x, y)),
        IssuerKeyMaterial::Ed25519 { x } => (Algorithm::EdDSA, DecodingKey::from_ed_components(x)),
    };
    key.map(|key| (algorithm, key)).map_err(|_| TokenFault::Signature)
}

#[cfg(test)]
mod tests;
