//! The certificate authority: who a node is, is decided here and read from the certificate alone.

use rcgen::{CertificateParams, KeyPair, SanType};
use tidegate_secrets::SecretsError;
use tidegate_secrets::ca::{CertificateAuthority, NodeKey, node_identity};
use tidegate_types::{NodeId, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

#[test]
fn a_node_is_who_its_certificate_says_for_seven_days() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let key = NodeKey::generate().unwrap();
    let node = NodeId::from_u128(77);
    let signed = authority.sign_node(&key.certificate_request().unwrap(), node, "default", NOW).unwrap();
    let identity = node_identity(&signed.chain[0]).unwrap();
    assert_eq!((identity.node_id, identity.pool.as_str()), (node, "default"));
    assert_eq!(identity.not_after, signed.not_after);
    assert_eq!(identity.not_after.as_seconds() - NOW.as_seconds(), 7 * 86_400);
    assert_eq!(signed.chain.last(), Some(authority.root()));
}

#[test]
fn names_that_a_request_asks_for_are_ignored() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut wish = CertificateParams::new(vec!["control.example".to_owned()]).unwrap();
    let other = "spiffe://tidegate/pool/default/node/node_00000000000000000000000001";
    wish.subject_alt_names.push(SanType::URI(other.try_into().unwrap()));
    wish.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = wish.serialize_request(&key).unwrap();
    let signed = authority.sign_node(request.der(), NodeId::from_u128(9), "default", NOW).unwrap();
    assert_eq!(node_identity(&signed.chain[0]).unwrap().node_id, NodeId::from_u128(9));
    let text = String::from_utf8_lossy(&signed.chain[0]).into_owned();
    assert!(!text.contains("control.example") && !text.contains("node_00000000000000000000000001"));
}

#[test]
fn a_request_that_its_own_key_did_not_sign_is_refused() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let mut request = NodeKey::generate().unwrap().certificate_request().unwrap();
    let last = request.len() - 1;
    request[last] ^= 1;
    for bad in [request.as_slice(), b"", b"garbage", &[0x30; 2000]] {
        let refused = authority.sign_node(bad, NodeId::from_u128(9), "default", NOW);
        assert!(matches!(refused, Err(SecretsError::Certificate(_))));
    }
}

#[test]
fn the_authority_survives_its_stored_form() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let again = CertificateAuthority::from_parts(authority.root(), &authority.expose_key()).unwrap();
    assert_eq!(again.root(), authority.root());
    let key = NodeKey::generate().unwrap();
    let key = NodeKey::from_bytes(&key.expose()).unwrap();
    let signed =
        again.sign_node(&key.certificate_request().unwrap(), NodeId::from_u128(1), "default", NOW).unwrap();
    assert!(node_identity(&signed.chain[0]).is_ok());
    assert!(CertificateAuthority::from_parts(b"", b"").is_err());
}

#[test]
fn other_certificates_name_no_node() {
    let authority = CertificateAuthority::generate(NOW).unwrap();
    let server = authority.issue_server(&["localhost".into(), "127.0.0.1".into()], NOW).unwrap();
    assert!(node_identity(&server.chain[0]).is_err());
    assert!(node_identity(authority.root()).is_err());
    for garbage in [&b""[..], b"x", &[0x30, 0x82, 0xff, 0xff]] {
        assert!(node_identity(garbage).is_err());
    }
    for uri in [
        "spiffe://tidegate/pool/default/node/node_1",
        "spiffe://tidegate/pool//node/node_00000000000000000000000001",
        "spiffe://tidegate/pool/a/b/node/node_00000000000000000000000001",
        "spiffe://elsewhere/pool/default/node/node_00000000000000000000000001",
        "https://tidegate/pool/default/node/node_00000000000000000000000001",
    ] {
        let key = KeyPair::generate().unwrap();
        let mut forged = CertificateParams::default();
        forged.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        assert!(node_identity(forged.self_signed(&key).unwrap().der()).is_err(), "{uri}");
    }
}
