//! Keys that sign nothing here: a token that no rule fits is checked with one of them all the same, so that
//! the time of a refusal does not tell whose tokens an organization trusts.
//!
//! Examples of the standards: RFC 7517 appendix A.1, RFC 8037 appendix A.2.

use jsonwebtoken::{Algorithm, DecodingKey};

const RSA: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZC\
    iFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZ\
    Hzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap\
    JzKnqDKgw";
const P256: (&str, &str) =
    ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Checks a signature that cannot fit; whether the work was done.
pub(super) fn verify(message: &str, signature: &str, algorithm: Algorithm) -> bool {
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_components(RSA, "AQAB"),
        Algorithm::ES256 => DecodingKey::from_ec_components(P256.0, P256.1),
        _ => DecodingKey::from_ed_components(ED25519),
    };
    key.and_then(|key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm)).is_ok()
}
