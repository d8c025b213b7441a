//! The key-encryption key: where it may come from and what it wraps.

use std::os::unix::fs::PermissionsExt as _;

use tidegate_secrets::envelope::{Aad, DataKey};
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::{SecretsError, keygen};
use tidegate_types::Secret;

#[test]
fn keygen_writes_a_file_that_only_its_owner_reads_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kek");
    keygen::write_key_encryption_key(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    let first = std::fs::read(&path).unwrap();
    assert_eq!(keygen::write_key_encryption_key(&path), Err(SecretsError::KeyFileNotCreated));
    assert_eq!(std::fs::read(&path).unwrap(), first);
    KeyEncryptionKey::from_file(&path).unwrap();
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kek");
    keygen::write_key_encryption_key(&path).unwrap();
    for mode in [0o440, 0o404, 0o644, 0o660, 0o420] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(KeyEncryptionKey::from_file(&path).err(), Some(SecretsError::KeyFileExposed), "{mode:o}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(KeyEncryptionKey::from_file(&path).is_ok());
    let missing = KeyEncryptionKey::from_file(&folder.path().join("none"));
    assert_eq!(missing.err(), Some(SecretsError::KeyFileUnreadable));
}

#[test]
fn empty_short_and_uniform_keys_are_refused() {
    for text in ["", " ", "c2hvcnQ=", "not base64!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        let refused = KeyEncryptionKey::from_secret(&Secret::new(text)).err();
        assert_eq!(refused, Some(SecretsError::MalformedKey), "{text}");
    }
}

#[test]
fn a_wrapped_key_opens_only_under_its_key_and_at_its_place() {
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let other = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
    let (key, place) = (DataKey::generate(), Aad::new("data key").with("org_1").with(1u32.to_be_bytes()));
    let wrapped = kek.wrap_key(&place, &key).unwrap();
    assert!(kek.unwrap_key(&place, &wrapped).unwrap().expose() == key.expose());
    assert_eq!(other.unwrap_key(&place, &wrapped).err(), Some(SecretsError::NotDecrypted));
    let swapped = Aad::new("data key").with("org_2").with(1u32.to_be_bytes());
    assert_eq!(kek.unwrap_key(&swapped, &wrapped).err(), Some(SecretsError::NotDecrypted));
    let longer = kek.wrap(&place, &[0; 33]).unwrap();
    assert_eq!(kek.unwrap_key(&place, &longer).err(), Some(SecretsError::MalformedMaterial));
}
