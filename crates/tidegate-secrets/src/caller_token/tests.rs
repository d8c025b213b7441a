//! What is accepted and what is not, token by token.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use serde_json::json;
use tidegate_types::{KeyId, OrganizationId, TrustRuleId};

use super::jwks::JwksFault;
use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";

enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
    }
    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }
    fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero().to_vec();
                let e = public.exponent().big_endian_without_leading_zero().to_vec();
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": base64(n), "e": base64(e)})
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(pair.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(pair) => {
                pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = self.sign(&message);
        format!("{message}.{}", base64(signature))
    }

    /// With the header that belongs to it.
    fn issue(&self, kid: &str, claims: &Value) -> String {
        self.token(&json!({"alg": self.algorithm(), "kid": kid, "typ": "JWT"}), claims)
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "gateway", "sub": "workload", "iat": NOW - 60, "exp": NOW + 600})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn rule(keys: Vec<IssuerKey>) -> TrustRule {
    TrustRule {
        organization_id: OrganizationId::from_u128(1),
        id: TrustRuleId::from_u128(1),
        name: "rule".to_owned(),
        key_id: KeyId::from_u128(1),
        issuer: ISSUER.to_owned(),
        audience: "gateway".to_owned(),
        claims: BTreeMap::new(),
        principal_claim: None,
        longest_life_seconds: 3_600,
        discovered: true,
        keys,
    }
}

fn trusting(signer: &Signer) -> TrustRule {
    rule(jwks::read(json!({"keys": [signer.jwk("a")]}).to_string().as_bytes()).unwrap())
}

fn verify(token: &str, rule: &TrustRule) -> Result<(), TokenFault> {
    read(token)?.verify(rule, Timestamp::from_seconds(NOW))
}

#[test]
fn tokens_of_each_algorithm_are_accepted_with_their_own_key_only() {
    let signers = [Signer::rsa(), Signer::p256(), Signer::ed25519()];
    for (place, signer) in signers.iter().enumerate() {
        let token = signer.issue("a", &claims());
        assert_eq!(verify(&token, &trusting(signer)), Ok(()), "{}", signer.algorithm());
        let other = &signers[(place + 1) % 3];
        assert_eq!(verify(&token, &trusting(other)), Err(TokenFault::Algorithm));
        let namesake = match signer {
            Signer::Rsa(_) => Signer::rsa(),
            Signer::P256(_) => Signer::p256(),
            Signer::Ed25519(_) => Signer::ed25519(),
        };
        assert_eq!(verify(&token, &trusting(&namesake)), Err(TokenFault::Signature));
        let mut altered = token.clone();
        altered.replace_range(altered.len() - 8.., "AAAAAAAA");
        assert_eq!(verify(&altered, &trusting(signer)), Err(TokenFault::Signature));
    }
}

#[test]
fn strangers_are_told_the_same_and_cost_the_same_work() {
    for signer in [Signer::rsa(), Signer::p256(), Signer::ed25519()] {
        let forged = signer.issue("a", &with("exp", json!(NOW - 600)));
        let token = read(&forged).unwrap();
        // Were it the key's owner, the token would be said to have expired.
        let mut rule = trusting(&signer);
        assert_eq!(token.verify(&rule, Timestamp::from_seconds(NOW)), Err(TokenFault::Expired));
        rule.keys.clear();
        let fault = token.verify(&rule, Timestamp::from_seconds(NOW)).unwrap_err();
        assert!(fault.is_of_stranger(), "{fault}");
        // The stand-in is a key that can be read, and does not fit.
        assert!(nobody::verify(token.message, token.signature, token.algorithm), "{}", signer.algorithm());
    }
    assert!(!TokenFault::Expired.is_of_stranger());
}

#[test]
fn unsigned_tokens_and_shared_secrets_are_refused() {
    let signer = Signer::rsa();
    let rule = trusting(&signer);
    for alg in ["none", "None", "NONE", "", "HS256", "HS512", "RS1", "RS512", "PS256", "ES384"] {
        let token = signer.token(&json!({"alg": alg, "kid": "a"}), &claims());
        assert_eq!(verify(&token, &rule), Err(TokenFault::Algorithm), "{alg}");
    }
    let message = format!("{}.{}", base64(json!({"alg": "none"}).to_string()), base64(claims().to_string()));
    assert_eq!(verify(&format!("{message}."), &rule), Err(TokenFault::Algorithm));
}

/// The classic: HMAC with the public key's bytes as the secret, under any name of an algorithm.
#[test]
fn the_public_key_is_no_shared_secret() {
    let signer = Signer::rsa();
    let rule = trusting(&signer);
    let public = signer.jwk("a")["n"].as_str().unwrap().to_owned();
    for alg in ["HS256", "RS256", "EdDSA"] {
        let header = json!({"alg": alg, "kid": "a"});
        let message = format!("{}.{}", base64(header.to_string()), base64(claims().to_string()));
        for secret in [public.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(&public).unwrap()] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            assert!(verify(&format!("{message}.{}", base64(tag.as_ref())), &rule).is_err(), "{alg}");
        }
    }
}

#[test]
fn a_key_in_the_header_counts_for_nothing() {
    let (ours, theirs) = (Signer::p256(), Signer::p256());
    let rule = trusting(&ours);
    for extra in [
        json!({"jwk": theirs.jwk("a")}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/chain"}),
        json!({"kid": "../../../dev/null"}),
        json!({"kid": "a' OR 1=1 --"}),
        json!({"kid": "a\u{0}"}),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "a"});
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let fault = verify(&theirs.token(&header, &claims()), &rule).unwrap_err();
        assert!(matches!(fault, TokenFault::Signature | TokenFault::UnknownKey), "{extra}: {fault}");
    }
    let critical = json!({"alg": "ES256", "kid": "a", "crit": ["exp"]});
    assert_eq!(verify(&ours.token(&critical, &claims()), &rule), Err(TokenFault::Malformed));
    let long = json!({"alg": "ES256", "kid": "a".repeat(300)});
    assert_eq!(verify(&ours.token(&long, &claims()), &rule), Err(TokenFault::Malformed));
}

#[test]
fn times_are_required_have_their_type_and_little_leeway() {
    let signer = Signer::ed25519();
    let rule = trusting(&signer);
    let judge = |claims: &Value| verify(&signer.issue("a", claims), &rule);
    for (name, value, expected) in [
        ("exp", json!(NOW - 29), Ok(())),
        ("exp", json!(NOW - 30), Err(TokenFault::Expired)),
        ("exp", json!("1900000000"), Err(TokenFault::Malformed)),
        ("exp", json!(null), Err(TokenFault::Malformed)),
        ("exp", json!(1.0e300), Err(TokenFault::LivesTooLong)),
        ("exp", json!(NOW + 3_600), Err(TokenFault::LivesTooLong)),
        ("iat", json!(NOW + 30), Ok(())),
        ("iat", json!(NOW + 31), Err(TokenFault::NotYet)),
        ("iat", json!([NOW]), Err(TokenFault::Malformed)),
        ("nbf", json!(NOW + 30), Ok(())),
        ("nbf", json!(NOW + 31), Err(TokenFault::NotYet)),
        ("nbf", json!("now"), Err(TokenFault::Malformed)),
        ("nbf", json!(NOW as f64 + 0.5), Ok(())),
    ] {
        assert_eq!(judge(&with(name, value.clone())), expected, "{name} {value}");
    }
    for absent in ["exp", "iat"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(absent);
        assert_eq!(judge(&claims), Err(TokenFault::Malformed), "{absent}");
    }
}

#[test]
fn what_is_no_token_is_refused_without_a_look_at_keys() {
    for text in ["", ".", "..", "a.b", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.AA", "e30=.e30=.AA=="] {
        assert!(matches!(read(text).err(), Some(TokenFault::Malformed)), "{text}");
    }
    let huge = Signer::ed25519().issue("a", &with("padding", json!("x".repeat(LONGEST))));
    assert!(matches!(read(&huge).err(), Some(TokenFault::TooLong)));
    assert!(looks_like_one(&huge) && !looks_like_one("tg_01.a.b") && !looks_like_one("eyJ.b"));
}

#[test]
fn claims_fit_by_value_by_entry_and_by_pointer() {
    let signer = Signer::ed25519();
    let claims = json!({"iss": ISSUER, "aud": ["other", "gateway"], "sub": "s", "n": 5, "flag": true,
        "groups": ["a", "b"], "kubernetes.io": {"namespace": "prod", "a/b": "slash"}, "null": null});
    let text = signer.issue("a", &claims);
    let token = read(&text).unwrap();
    assert_eq!(token.audiences().unwrap(), ["other", "gateway"]);
    let fits = |name: &str, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        token.fits(&TrustRule { claims: BTreeMap::from([(name.to_owned(), values)]), ..rule(Vec::new()) })
    };
    assert!(
        fits("sub", &["x", "s"]) && fits("n", &["5"]) && fits("flag", &["true"]) && fits("groups", &["b"])
    );
    assert!(fits("/kubernetes.io/namespace", &["prod"]) && fits("/kubernetes.io/a~1b", &["slash"]));
    assert!(
        !fits("sub", &["S"]) && !fits("absent", &[""]) && !fits("null", &["null"]) && !fits("groups", &["c"])
    );
    assert!(!fits("kubernetes.io", &["prod"]) && !fits("/kubernetes.io/absent", &["prod"]));
    assert_eq!(token.principal(Some("/kubernetes.io/namespace")).as_deref(), Ok("prod"));
    assert_eq!(token.principal(Some("groups")), Err(TokenFault::Principal));
    let hashed = token.principal(None).unwrap();
    assert!(hashed.starts_with("sub-") && hashed.len() == 20, "{hashed}");
}

#[test]
fn a_withdrawn_key_verifies_until_its_time_and_a_token_without_a_kid_finds_its_key() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let set = json!({"keys": [old.jwk("old"), new.jwk("new"), Signer::rsa().jwk("rsa")]}).to_string();
    let mut rule = rule(jwks::read(set.as_bytes()).unwrap());
    let anonymous = new.token(&json!({"alg": "ES256"}), &claims());
    assert_eq!(verify(&anonymous, &rule), Ok(()));
    let token = old.issue("old", &claims());
    for (until, expected) in [(NOW + 1, Ok(())), (NOW, Err(TokenFault::UnknownKey))] {
        rule.keys.iter_mut().find(|key| key.kid == "old").unwrap().until =
            Some(Timestamp::from_seconds(until));
        assert_eq!(verify(&token, &rule), expected);
    }
}

#[test]
fn only_public_signing_keys_of_known_kinds_are_taken() {
    let (rsa, p256) = (Signer::rsa(), Signer::p256());
    let read = |keys: Value| jwks::read(json!({ "keys": keys }).to_string().as_bytes());
    let mut encryption = rsa.jwk("enc");
    encryption["use"] = json!("enc");
    let mut other = rsa.jwk("ps");
    other["alg"] = json!("PS256");
    let mut short = rsa.jwk("short");
    short["n"] = json!(base64([0xff; 128]));
    let keys =
        read(json!([rsa.jwk("a"), p256.jwk("b"), encryption, other, short, {"kty": "lattice"}])).unwrap();
    assert_eq!(keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(jwks::read(jwks::write(&keys).to_string().as_bytes()).unwrap(), keys);
    let mut private = p256.jwk("a");
    private["d"] = json!("secret");
    assert_eq!(read(json!([private])), Err(JwksFault::Private));
    assert_eq!(read(json!([{"kty": "oct", "k": "c2VjcmV0"}])), Err(JwksFault::Private));
    assert_eq!(read(json!([])), Err(JwksFault::NoneUsable));
    assert_eq!(jwks::read(b"[]"), Err(JwksFault::Malformed));
    let many = (0..65).map(|n| p256.jwk(&n.to_string())).collect::<Vec<_>>();
    assert_eq!(read(json!(many)), Err(JwksFault::TooMany));
}
