//! The common form of keys and tokens: `<prefix>_<26 characters of id>_<32 base62>_<8 hex of crc32>`.
//!
//! The checksum covers everything before it: mistyped and made-up texts fall out without any
//! look-up, and scanners for leaked secrets have few false positives.

use tidegate_types::Secret;
use tidegate_types::id::{Id, IdKind};
use zeroize::Zeroizing;

use crate::base62;

const ID: usize = 26;
const CHECKSUM: usize = 8;

/// Writes the text of a secret.
pub(crate) fn write<K: IdKind>(prefix: &str, id: Id<K>, random: [u8; 32]) -> Secret {
    let secret = Zeroizing::new(base62::encode(random));
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + ID + base62::LENGTH + CHECKSUM + 3));
    text.push_str(prefix);
    text.push('_');
    text.push_str(&id.ulid());
    text.push('_');
    text.extend(secret.iter().map(|byte| char::from(*byte)));
    let checksum = checksum(text.as_bytes());
    text.push('_');
    text.extend(checksum.iter().map(|byte| char::from(*byte)));
    Secret::new(text.as_str())
}

/// Reads the id of a well-formed text; allocates nothing.
pub(crate) fn read<K: IdKind>(prefix: &str, text: &str) -> Option<Id<K>> {
    let rest = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let (id, rest) = rest.split_at_checked(ID)?;
    let (secret, rest) = rest.strip_prefix('_')?.split_at_checked(base62::LENGTH)?;
    let found = rest.strip_prefix('_')?;
    let covered = text.len().checked_sub(CHECKSUM + 1)?;
    let expected = checksum(text.as_bytes().get(..covered)?);
    if !base62::is_base62(secret.as_bytes()) || found.as_bytes() != expected {
        return None;
    }
    Id::from_ulid(id).ok()
}

fn checksum(covered: &[u8]) -> [u8; CHECKSUM] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let crc = crc32fast::hash(covered);
    std::array::from_fn(|place| {
        let nibble = (crc >> (28 - 4 * place)) & 0xf;
        HEX.get(nibble as usize).copied().unwrap_or(b'0')
    })
}
