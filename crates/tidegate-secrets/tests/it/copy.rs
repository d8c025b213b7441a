//! The copy of the configuration: what is not whole, not signed, or for somebody else is refused.

use std::io::Cursor;
use std::sync::Arc;

use tidegate_secrets::ca::{CertificateAuthority, NodeKey};
use tidegate_secrets::copy::{
    CopyError, Header, Record, Reserve, Verified, Writer, parse_class_key, read_class_key, write_class_key,
};
use tidegate_secrets::decision::Certificates;
use tidegate_secrets::envelope::DataKey;
use tidegate_secrets::pool::PoolSecrets;
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_secrets::virtual_key::{PepperBytes, Peppers};
use tidegate_types::Timestamp;

const ISSUED: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const HOUR: i64 = 3_600_000;

struct Made {
    authority: CertificateAuthority,
    class: SealingKeyPair,
    bytes: Vec<u8>,
}

fn made() -> Made {
    let authority = CertificateAuthority::generate(ISSUED).unwrap();
    let class = SealingKeyPair::generate().unwrap();
    let header = Header { pool: "default".to_owned(), issued_at: ISSUED, positions: vec![3, 0, 7] };
    let mut writer = Writer::begin(Vec::new(), header, class.public()).unwrap();
    let peppers = Peppers::new(&[PepperBytes { version: 1, bytes: [7; 32] }]).unwrap();
    let secrets =
        PoolSecrets { pool: "default".to_owned(), version: 4, key: DataKey::from_bytes(&[9; 32]), peppers };
    let reserve = Reserve {
        key: NodeKey::generate().unwrap(),
        sealing: SealingKeyPair::generate().unwrap(),
        obtained: ISSUED,
        answer: b"answer".to_vec(),
    };
    writer.put(&Record::Secrets(Arc::new(secrets))).unwrap();
    writer.put(&Record::Delta(b"what a node holds".to_vec())).unwrap();
    writer.put(&Record::Reserve(Arc::new(reserve))).unwrap();
    let bytes = writer.finish(&authority).unwrap();
    Made { authority, class, bytes }
}

impl Made {
    fn verify(&self, bytes: &[u8]) -> Result<Verified<Cursor<Vec<u8>>>, CopyError> {
        Verified::read(Cursor::new(bytes.to_vec()), &Certificates::new([self.authority.root()]))
    }
}

#[test]
fn what_was_put_in_comes_out() {
    let made = made();
    let mut copy = made.verify(&made.bytes).unwrap();
    copy.admit("default", ISSUED, HOUR, ISSUED).unwrap();
    let mut found = Vec::new();
    let header = copy
        .open(&made.class, |record| {
            found.push(match record {
                Record::Secrets(secrets) => {
                    format!("secrets {} {}", secrets.version, secrets.key.expose()[0])
                }
                Record::Delta(delta) => String::from_utf8(delta).unwrap(),
                Record::Reserve(reserve) => String::from_utf8(reserve.answer.clone()).unwrap(),
            });
            Ok(())
        })
        .unwrap();
    assert_eq!(found, ["secrets 4 9", "what a node holds", "answer"]);
    assert_eq!(header.positions, [3, 0, 7]);
    let plain = b"what a node holds";
    assert!(!made.bytes.windows(plain.len()).any(|window| window == plain), "it is encrypted");
}

#[test]
fn a_byte_that_was_changed_anywhere_is_a_refusal() {
    let made = made();
    for place in 0..made.bytes.len() {
        for flip in [1, 0x80] {
            let mut bytes = made.bytes.clone();
            bytes[place] ^= flip;
            assert!(
                matches!(made.verify(&bytes), Err(CopyError::Malformed | CopyError::NotSigned)),
                "byte {place}"
            );
        }
    }
}

#[test]
fn a_copy_that_is_cut_off_anywhere_or_goes_on_is_a_refusal() {
    let made = made();
    for length in 0..made.bytes.len() {
        assert!(matches!(made.verify(&made.bytes[..length]), Err(CopyError::Malformed)), "{length} bytes");
    }
    let longer = [made.bytes.as_slice(), b"x"].concat();
    assert!(matches!(made.verify(&longer), Err(CopyError::Malformed)));
}

#[test]
fn who_signs_with_another_root_forges_nothing() {
    let (made, other) = (made(), CertificateAuthority::generate(ISSUED).unwrap());
    let foreign = Verified::read(Cursor::new(made.bytes.clone()), &Certificates::new([other.root()]));
    assert!(matches!(foreign, Err(CopyError::NotSigned)));
}

#[test]
fn other_pools_class_keys_and_times_are_refused_with_the_reason() {
    let made = made();
    let reason = |pool: &str, now: Timestamp, known: Timestamp| {
        made.verify(&made.bytes).unwrap().admit(pool, now, HOUR, known).unwrap_err().to_string()
    };
    assert_eq!(reason("eu", ISSUED, ISSUED), "the copy is of pool default");
    assert!(reason("default", ISSUED.plus_millis(HOUR + 1), ISSUED).contains("node.copy.max_age_hours"));
    assert!(reason("default", ISSUED, ISSUED.plus_millis(1)).contains("of which nodes of the pool know"));
    made.verify(&made.bytes).unwrap().admit("default", ISSUED.plus_millis(HOUR), HOUR, ISSUED).unwrap();
    let other = SealingKeyPair::generate().unwrap();
    let mut taken = 0;
    let mut copy = made.verify(&made.bytes).unwrap();
    let opened = copy.open(&other, |_| {
        taken += 1;
        Ok(())
    });
    assert!(matches!(opened, Err(CopyError::OtherClass)) && taken == 0);
}

#[test]
fn records_in_another_order_do_not_open_even_when_they_are_signed() {
    let made = made();
    // What is between the header and the end, part by part, the first two exchanged.
    let mut parts = Vec::new();
    let mut at = 8;
    while at < made.bytes.len() {
        let length = u32::from_be_bytes(made.bytes[at..at + 4].try_into().unwrap()) as usize;
        parts.push(made.bytes[at..at + 4 + length].to_vec());
        at += 4 + length;
    }
    parts.pop();
    parts.swap(1, 2);
    let mut bytes = made.bytes[..8].to_vec();
    bytes.extend(parts.concat());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    let text = [b"tidegate copy of the configuration\n".as_slice(), digest.as_ref()].concat();
    let signature = made.authority.sign_text(&text).unwrap();
    bytes.extend((signature.len() as u32).to_be_bytes());
    bytes.extend(signature);
    let mut copy = made.verify(&bytes).unwrap();
    let opened = copy.open(&made.class, |_| Ok(()));
    assert!(matches!(opened, Err(CopyError::Secrets(_))));
}

#[test]
fn a_class_key_is_made_once_and_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("class-key");
    let public = parse_class_key(&write_class_key(&file).unwrap()).unwrap();
    assert_eq!(read_class_key(&file).unwrap().public(), &public);
    assert!(write_class_key(&file).is_err(), "it is never overwritten");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
    assert!(read_class_key(&file).is_err());
    assert!(parse_class_key("AAAA").is_err());
}
