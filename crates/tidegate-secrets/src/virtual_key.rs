//! Virtual keys: `tg_<id>_<32 base62>_<crc32>`. Only an HMAC under a pepper is ever kept.
//!
//! The secret has 190 bits, so it needs no stretching. A check reads memory only, allocates
//! nothing, and does the same work for an id that nobody has.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use tidegate_types::resource::KeySecret;
use tidegate_types::{KeyId, Secret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::SecretsError;
use crate::text;

const PREFIX: &str = "tg";

/// One version of the pepper.
#[derive(Clone)]
struct Pepper {
    version: u32,
    bytes: Zeroizing<[u8; 32]>,
    // Prepared once: the key schedule costs as much as the HMAC of a key's text.
    key: hmac::Key,
}

/// The peppers in use: the current one, and during a change the one before it.
#[derive(Clone)]
pub struct Peppers {
    current: Pepper,
    previous: Option<Pepper>,
}

/// The bytes of a pepper with its version, as envelopes hold them.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PepperBytes {
    /// The version, as key secrets name it.
    pub version: u32,
    /// 32 random bytes.
    pub bytes: [u8; 32],
}

impl Pepper {
    fn new(pepper: &PepperBytes) -> Self {
        Self {
            version: pepper.version,
            bytes: Zeroizing::new(pepper.bytes),
            key: hmac::Key::new(hmac::HMAC_SHA256, &pepper.bytes),
        }
    }
}

impl Peppers {
    /// The peppers in use, the current one first.
    ///
    /// # Errors
    /// [`SecretsError::MalformedMaterial`] unless there are one or two of different versions.
    pub fn new(peppers: &[PepperBytes]) -> Result<Self, SecretsError> {
        match peppers {
            [current] => Ok(Self { current: Pepper::new(current), previous: None }),
            [current, previous] if current.version != previous.version => {
                Ok(Self { current: Pepper::new(current), previous: Some(Pepper::new(previous)) })
            }
            _ => Err(SecretsError::MalformedMaterial),
        }
    }

    /// The bytes of every pepper, the current one first.
    pub fn export(&self) -> impl Iterator<Item = PepperBytes> + '_ {
        let export = |pepper: &Pepper| PepperBytes { version: pepper.version, bytes: *pepper.bytes };
        std::iter::once(&self.current).chain(&self.previous).map(export)
    }

    /// The version under which new keys are hashed.
    #[must_use]
    pub fn current_version(&self) -> u32 {
        self.current.version
    }

    fn find(&self, version: u32) -> Option<&Pepper> {
        std::iter::once(&self.current).chain(&self.previous).find(|pepper| pepper.version == version)
    }
}

/// Makes the text of a key, shown once, and what is kept of it.
#[must_use]
pub fn issue(id: KeyId, random: [u8; 32], peppers: &Peppers) -> (Secret, KeySecret) {
    let text = text::write(PREFIX, id, random);
    let tag = hmac::sign(&peppers.current.key, text.expose().as_bytes());
    let mut hmac = [0; 32];
    hmac.copy_from_slice(tag.as_ref());
    (text, KeySecret { pepper_version: peppers.current.version, hmac, until: None })
}

/// A text that has the form of a key and a right checksum: not yet proof of anything.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    text: &'a str,
    id: KeyId,
}

/// Reads the text of a key; `None` when it cannot be one.
#[must_use]
pub fn parse(text: &str) -> Option<PresentedKey<'_>> {
    text::read(PREFIX, text).map(|id| PresentedKey { text, id })
}

impl PresentedKey<'_> {
    /// The public id that the text claims.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Whether this is the key whose secret was kept; constant-time. `until` is the caller's to check.
    #[must_use]
    pub fn matches(&self, kept: &KeySecret, peppers: &Peppers) -> bool {
        matches(self.text, kept.pepper_version, &kept.hmac, peppers)
    }
}

/// The work of a check, for an id that nobody has or a text that is no key: always `false`.
#[must_use]
pub fn matches_nobody(text: &str, peppers: &Peppers) -> bool {
    // A version that exists, and an HMAC that nobody can find a text for.
    matches(text, peppers.current.version, &[0; 32], peppers)
}

fn matches(text: &str, version: u32, kept: &[u8; 32], peppers: &Peppers) -> bool {
    let known = peppers.find(version);
    let found = hmac::sign(&known.unwrap_or(&peppers.current).key, text.as_bytes());
    let same = verify_slices_are_equal(found.as_ref(), kept).is_ok();
    same & known.is_some()
}
