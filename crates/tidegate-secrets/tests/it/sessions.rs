//! Session tokens: whatever is not exactly ours, unexpired and unaltered is refused.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_secrets::session::{Session, SessionKeys};
use tidegate_types::{SessionId, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Signer {
    kek: KeyEncryptionKey,
    keys: SessionKeys,
}

fn signer() -> Signer {
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    Signer { keys: SessionKeys::derive(&kek, "https://control.example").unwrap(), kek }
}

fn session() -> Session {
    Session { session_id: SessionId::from_u128(5), expires_at: NOW.plus_millis(60_000) }
}

/// Replaces one part of a token by the base64 of this JSON.
fn with_part(token: &str, part: usize, value: &Value) -> String {
    use base64::Engine as _;
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[part] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    parts.join(".")
}

#[test]
fn a_session_is_read_back_until_it_expires() {
    let signer = signer();
    let token = signer.keys.sign(&session(), NOW).unwrap();
    assert_eq!(signer.keys.verify(token.expose(), NOW), Ok(session()));
    assert!(signer.keys.verify(token.expose(), NOW.plus_millis(59_999)).is_ok());
    assert!(signer.keys.verify(token.expose(), NOW.plus_millis(60_000)).is_err(), "expired, without leeway");
}

#[test]
fn every_control_plane_with_the_same_key_accepts_it_and_no_other_does() {
    let signer = signer();
    let token = signer.keys.sign(&session(), NOW).unwrap();
    let twin = SessionKeys::derive(&signer.kek, "https://control.example").unwrap();
    assert!(twin.verify(token.expose(), NOW).is_ok());
    let foreign_issuer = SessionKeys::derive(&signer.kek, "https://other.example").unwrap();
    assert!(foreign_issuer.verify(token.expose(), NOW).is_err());
    let foreign_key = signer_keys();
    assert!(foreign_key.verify(token.expose(), NOW).is_err());
}

fn signer_keys() -> SessionKeys {
    signer().keys
}

#[test]
fn the_token_cannot_choose_its_algorithm() {
    let signer = signer();
    let token = signer.keys.sign(&session(), NOW).unwrap();
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None", "typ": "JWT"}),
        json!({"alg": "HS384", "typ": "JWT"}),
        json!({"alg": "ES256", "typ": "JWT"}),
        json!({"alg": "RS256", "typ": "JWT"}),
        json!({"typ": "JWT"}),
    ] {
        let confused = with_part(token.expose(), 0, &header);
        assert!(signer.keys.verify(&confused, NOW).is_err(), "{header}");
        let unsigned = format!("{}.", confused.rsplit_once('.').unwrap().0);
        assert!(signer.keys.verify(&unsigned, NOW).is_err(), "{header} without a signature");
    }
}

#[test]
fn altered_claims_are_refused() {
    let signer = signer();
    let token = signer.keys.sign(&session(), NOW).unwrap();
    let claims = json!({"iss": "https://control.example", "aud": "tidegate-api", "sub": SessionId::from_u128(6),
        "exp": 9_999_999_999i64, "iat": 0});
    assert!(signer.keys.verify(&with_part(token.expose(), 1, &claims), NOW).is_err());
    for place in 0..token.expose().len() {
        let mut bytes = token.expose().as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of each part has unused bits; only a change of meaning must be refused.
        if let Ok(read) = signer.keys.verify(&changed, NOW) {
            assert_eq!(read, session());
        }
    }
    for garbage in ["", ".", "..", "a.b.c", "é.é.é", &"A".repeat(100_000)] {
        assert!(signer.keys.verify(garbage, NOW).is_err());
    }
}

#[test]
fn missing_or_wrong_typed_claims_are_refused_even_when_signed_by_the_right_key() {
    // What a bug in another signer with our key could produce.
    let key = [3u8; 32];
    let kek_text = {
        use base64::Engine as _;
        let mut bytes = key;
        bytes[0] = 4;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let kek = KeyEncryptionKey::from_secret(&tidegate_types::Secret::new(kek_text)).unwrap();
    let keys = SessionKeys::derive(&kek, "issuer").unwrap();
    let derived = {
        let mut bytes = key;
        bytes[0] = 4;
        let mut out = [0u8; 32];
        hkdf::Hkdf::<sha2::Sha256>::new(None, &bytes).expand(b"tidegate sessions", &mut out).unwrap();
        out
    };
    let sign = |claims: &Value| {
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&derived)).unwrap()
    };
    let good = json!({"iss": "issuer", "aud": "tidegate-api", "sub": SessionId::from_u128(5),
        "exp": NOW.as_seconds() + 60, "iat": NOW.as_seconds()});
    assert!(keys.verify(&sign(&good), NOW).is_ok(), "positive control");
    for (claim, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("nbf", json!("0")),
        ("nbf", json!(NOW.as_seconds() + 1)),
        ("aud", json!("someone-else")),
        ("aud", json!(7)),
        ("iss", json!("someone-else")),
        ("iss", json!(["issuer", "x"])),
        ("sub", json!("member_1")),
        ("iat", json!("today")),
    ] {
        let mut bad = good.clone();
        bad[claim] = value.clone();
        assert!(keys.verify(&sign(&bad), NOW).is_err(), "{claim} = {value}");
    }
    for claim in ["exp", "aud", "iss", "sub"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(claim);
        assert!(keys.verify(&sign(&bad), NOW).is_err(), "without {claim}");
    }
}
