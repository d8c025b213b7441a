//! Passwords.

use tidegate_secrets::password;
use tidegate_types::Secret;

#[test]
fn a_password_is_verified_by_its_hash_alone() {
    let right = Secret::new("correct horse battery staple");
    let kept = password::hash(&right, [7; 16]).unwrap();
    assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
    assert!(password::verify(&right, Some(&kept)));
    assert!(!password::verify(&Secret::new("correct horse battery stapl"), Some(&kept)));
    assert!(!password::verify(&Secret::new(""), Some(&kept)));
    assert_ne!(kept, password::hash(&right, [8; 16]).unwrap(), "the salt decides");
}

#[test]
fn an_unknown_user_is_never_signed_in_and_costs_a_real_hash() {
    let any = Secret::new("anything");
    let kept = password::hash(&any, [7; 16]).unwrap();
    // The shortest of some is what the work takes; the others were interrupted.
    let shortest = |kept: Option<&str>| {
        let verified = |_| {
            let begun = std::time::Instant::now();
            assert_eq!(password::verify(&any, kept), kept.is_some());
            begun.elapsed()
        };
        (0..5).map(verified).min().unwrap()
    };
    let (unknown, known) = (shortest(None), shortest(Some(&kept)));
    // A malformed stand-in would return at once; the same work stays within a wide factor.
    assert!(unknown * 10 > known, "{unknown:?} and {known:?}");
}

#[test]
fn malformed_hashes_verify_nobody() {
    for kept in ["", "$", "plain", "$argon2id$v=19$m=19456,t=2,p=1$AAAA"] {
        assert!(!password::verify(&Secret::new(kept), Some(kept)));
    }
}
