//! Envelopes and seals open only with their key, at their place, unchanged.

use proptest::prelude::*;
use tidegate_secrets::envelope::{self, Aad, DataKey};
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::sealing::{self, SealingKeyPair};
use tidegate_secrets::virtual_key::{PepperBytes, Peppers};
use tidegate_types::resource::SealedSecret;
use tidegate_types::{CredentialId, NodeId, OrganizationId, Secret};

fn pool(version: u32) -> PoolSecrets {
    let peppers = [PepperBytes { version: 2, bytes: [2; 32] }, PepperBytes { version: 1, bytes: [1; 32] }];
    PoolSecrets {
        pool: "default".into(),
        version,
        key: DataKey::generate(),
        peppers: Peppers::new(&peppers).unwrap(),
    }
}

#[test]
fn swapped_rows_do_not_decrypt() {
    let pool = pool(1);
    let (acme, globex) = (OrganizationId::from_u128(1), OrganizationId::from_u128(2));
    let (one, two) = (CredentialId::from_u128(1), CredentialId::from_u128(2));
    let sealed = pool.seal_credential(acme, one, 1, &Secret::new("{\"api_key\":\"k\"}")).unwrap();
    assert_eq!(pool.open_credential(acme, one, &sealed).unwrap().expose(), "{\"api_key\":\"k\"}");
    assert!(pool.open_credential(globex, one, &sealed).is_err(), "another organization");
    assert!(pool.open_credential(acme, two, &sealed).is_err(), "another credential");
    let older = SealedSecret { secret_version: 2, ..sealed.clone() };
    assert!(pool.open_credential(acme, one, &older).is_err(), "another version of the secret");
    let elsewhere = SealedSecret { pool: "other".into(), ..sealed.clone() };
    assert!(pool.open_credential(acme, one, &elsewhere).is_err(), "another pool");
    let rekeyed = SealedSecret { pool_key_version: 2, ..sealed };
    assert!(pool.open_credential(acme, one, &rekeyed).is_err(), "another version of the pool's key");
}

#[test]
fn ten_thousand_random_swaps_of_ciphertexts_open_nothing() {
    let pool = pool(1);
    let organization = OrganizationId::from_u128(1);
    let seal = |n: u128| {
        pool.seal_credential(organization, CredentialId::from_u128(n), 1, &Secret::new("secret")).unwrap()
    };
    let rows: Vec<SealedSecret> = (0..101).map(seal).collect();
    for (place, _) in rows.iter().enumerate() {
        for (other, sealed) in rows.iter().enumerate() {
            let opened = pool.open_credential(organization, CredentialId::from_u128(place as u128), sealed);
            assert_eq!(opened.is_ok(), place == other);
        }
    }
}

#[test]
fn parts_of_the_place_cannot_run_into_each_other() {
    let key = DataKey::generate();
    let sealed = envelope::seal(&key, &Aad::new("p").with("ab").with("c"), b"x").unwrap();
    assert!(envelope::open(&key, &Aad::new("p").with("a").with("bc"), &sealed).is_err());
    assert!(envelope::open(&key, &Aad::new("pa").with("b").with("c"), &sealed).is_err());
    assert!(envelope::open(&key, &Aad::new("p").with("ab").with("c"), &sealed).is_ok());
}

#[test]
fn pool_secrets_reach_the_node_that_they_were_sealed_to_and_no_other() {
    let pool = pool(3);
    let (ours, theirs) = (SealingKeyPair::generate().unwrap(), SealingKeyPair::generate().unwrap());
    let (node, other) = (NodeId::from_u128(1), NodeId::from_u128(2));
    let sealed = pool.seal_to_node(node, ours.public()).unwrap();
    let opened = PoolSecrets::open_on_node("default", 3, node, &ours, &sealed).unwrap();
    assert_eq!(opened.peppers.current_version(), 2);
    assert_eq!(opened.peppers.export().count(), 2);
    let credential = CredentialId::from_u128(9);
    let secret = pool.seal_credential(OrganizationId::SYSTEM, credential, 1, &Secret::new("s")).unwrap();
    assert_eq!(opened.open_credential(OrganizationId::SYSTEM, credential, &secret).unwrap().expose(), "s");

    assert!(PoolSecrets::open_on_node("default", 3, node, &theirs, &sealed).is_err(), "another key");
    assert!(PoolSecrets::open_on_node("default", 3, other, &ours, &sealed).is_err(), "another node");
    assert!(PoolSecrets::open_on_node("default", 4, node, &ours, &sealed).is_err(), "another version");
    assert!(PoolSecrets::open_on_node("spare", 3, node, &ours, &sealed).is_err(), "another pool");
}

#[test]
fn a_sealing_key_survives_its_bytes_and_bad_public_keys_are_refused() {
    let pair = SealingKeyPair::generate().unwrap();
    let again = SealingKeyPair::from_bytes(pair.expose()).unwrap();
    let context = Aad::new("test");
    let sealed = sealing::seal_to(pair.public(), &context, b"hello").unwrap();
    assert_eq!(again.open(&context, &sealed).unwrap().as_slice(), b"hello");
    assert!(again.open(&Aad::new("other"), &sealed).is_err());
    // The all-zero point is of low order: everybody would know the shared secret.
    assert!(sealing::seal_to(&[0; 32], &context, b"hello").is_err());
}

proptest! {
    #[test]
    fn any_flipped_bit_or_cut_is_refused(plain in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let key = DataKey::generate();
        let aad = Aad::new("test");
        let sealed = envelope::seal(&key, &aad, &plain).unwrap();
        prop_assert!(*envelope::open(&key, &aad, &sealed).unwrap() == plain);
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1 << bit;
        prop_assert!(envelope::open(&key, &aad, &flipped).is_err());
        prop_assert!(envelope::open(&key, &aad, &sealed[..at.index(sealed.len())]).is_err());
        prop_assert!(envelope::open(&DataKey::generate(), &aad, &sealed).is_err());
    }

    #[test]
    fn any_flipped_bit_of_a_seal_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let pair = SealingKeyPair::generate().unwrap();
        let context = Aad::new("test");
        let mut sealed = sealing::seal_to(pair.public(), &context, b"secret").unwrap();
        let place = at.index(sealed.len());
        sealed[place] ^= 1 << bit;
        // X25519 ignores the top bit of a public key; the derived key still differs.
        prop_assert!(pair.open(&context, &sealed).is_err());
    }
}
